/**
 * Looks for a new network path (an ICE restart) when the old one is in doubt: not at the first
 * hiccup, one at a time, with growing pauses, until the path stands.
 */

import { restartDelay_ms } from './reconnect.js';

/** A path that comes back within this needs no help. */
const PATIENCE_MS = 1200;

/** Owns one timer; let it `rest` when there is no connection. */
export class PathCare {
  #stands;
  #restart;
  #attempts = 0;
  #restartedAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {object} parts
   * @param {() => boolean} parts.stands whether media flows now
   * @param {() => boolean} parts.restart offers an ICE restart; false when nobody can be asked
   */
  constructor({ stands, restart }) {
    this.#stands = stands;
    this.#restart = restart;
  }

  /** Somebody says that the path is gone. */
  doubt() {
    if (this.#timer !== undefined || this.#stands()) return;
    const paused_ms = performance.now() - this.#restartedAt;
    const wait_ms = Math.max(PATIENCE_MS, restartDelay_ms(this.#attempts) - paused_ms);
    this.#timer = setTimeout(() => this.#look(), wait_ms);
  }

  /** Sure to be gone, or the device's own network changed: no need to wait and see. */
  mend() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#restart()) return;
    this.#attempts += 1;
    this.#restartedAt = performance.now();
    this.#timer = setTimeout(() => this.#look(), restartDelay_ms(this.#attempts));
  }

  /** There is nothing to care for. */
  rest() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#attempts = 0;
    this.#restartedAt = -Infinity;
  }

  #look() {
    this.#timer = undefined;
    if (this.#stands()) this.#attempts = 0;
    else this.mend();
  }
}
