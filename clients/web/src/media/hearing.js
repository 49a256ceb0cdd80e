/**
 * Notices within a second or so that nothing comes from the server any more: browsers need six for it,
 * and say nothing when an address of the device is replaced by another. Pure.
 *
 * The server sends something each second, and to whoever is in a talk much more: a silence after that
 * means, as a rule, that the path is gone.
 */

/** Who was heard so often lately is not silent by chance. */
const LIVELY_PACKETS = 20;
const LIVELY_MS = 2000;
const SILENT_MS = 800;
/** After this long the browser's own checks of the path say more than the silence does. */
const BELIEVED_MS = 8000;

/** Call `note` some times a second, with what the connection's `transport` statistics count. */
export class Hearing {
  /** @type {{packets: number, at_ms: number}[]} oldest first; the newest is when something came last */
  #heard = [];
  silent = false;

  /**
   * @param {number} packets received so far, of any kind
   * @param {number} now_ms
   * @returns {boolean} whether it has just fallen silent
   */
  note(packets, now_ms) {
    const last = this.#heard.at(-1);
    if (last === undefined || packets !== last.packets) {
      // After a silence it must become lively anew.
      const since_ms = this.silent ? Infinity : now_ms - LIVELY_MS;
      this.#heard = this.#heard.filter(({ at_ms }) => at_ms >= since_ms);
      this.#heard.push({ packets, at_ms: now_ms });
      this.silent = false;
      return false;
    }
    const silent_ms = now_ms - last.at_ms;
    if (this.silent) {
      if (silent_ms >= BELIEVED_MS) {
        this.#heard = [];
        this.silent = false;
      }
      return false;
    }
    const lively = last.packets - (this.#heard[0]?.packets ?? 0) >= LIVELY_PACKETS;
    this.silent = lively && silent_ms >= SILENT_MS;
    return this.silent;
  }
}
