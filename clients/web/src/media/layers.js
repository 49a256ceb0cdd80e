/**
 * Keeps a sender's encodings as the server last asked and as its track needs them, whatever else goes
 * on with that sender.
 */

import { adjust } from './encodings.js';

/** @typedef {import('../protocol.js').Layer} Layer */

/** A negotiation or a track being replaced makes `setParameters` fail; both are over soon. */
const RETRY_MS = [40, 80, 160, 320, 640, 1280, 2560];

/** One sender's. Close it with the connection. */
export class Layers {
  #sender;
  /** @type {readonly Layer[] | null} */
  #wanted = null;
  #stale = false;
  #busy = false;
  #closed = false;

  /** @param {RTCRtpSender} sender */
  constructor(sender) {
    this.#sender = sender;
  }

  /** @param {readonly Layer[] | null} layers null: all of them; the newest word counts */
  want(layers) {
    if (layers === this.#wanted) return;
    this.#wanted = layers;
    this.check();
  }

  /** The sender was negotiated anew or has another track: see that all is as it was asked. */
  check() {
    this.#stale = true;
    if (!this.#busy) void this.#apply();
  }

  close() {
    this.#closed = true;
  }

  async #apply() {
    this.#busy = true;
    let failures = 0;
    while (this.#stale && !this.#closed) {
      this.#stale = false;
      if (await this.#set()) {
        failures = 0;
        continue;
      }
      const wait_ms = RETRY_MS[failures];
      // The next negotiation or track calls `check`.
      if (wait_ms === undefined) break;
      failures += 1;
      this.#stale = true;
      await new Promise((resolve) => setTimeout(resolve, wait_ms));
    }
    this.#busy = false;
  }

  /** @returns {Promise<boolean>} false when it has to be tried again */
  async #set() {
    try {
      const parameters = this.#sender.getParameters();
      const { width, height } = this.#sender.track?.getSettings() ?? {};
      const captured_px = width && height ? width * height : Infinity;
      if (!adjust(parameters.encodings, this.#wanted, captured_px)) return true;
      await this.#sender.setParameters(parameters);
      return true;
    } catch {
      return false;
    }
  }
}
