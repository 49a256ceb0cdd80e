/**
 * Looks for a new network path (an ICE restart) when the old one is in doubt: not at the first
 * hiccup, one at a time, with growing pauses, until the path stands.
 */

import { restartDelay_ms } from './reconnect.js';

/** A path that comes back within this needs no help. */
const PATIENCE_MS = 1200;
/** A path that stood for this long is as good as new: the next restart waits for nothing. */
const STEADY_MS = 10_000;

/** Owns one timer; let it `rest` when there is no connection. */
export class PathCare {
  #stands;
  #restart;
  #attempts = 0;
  #restartedAt = -Infinity;
  #troubledAt = -Infinity;
  #owed = false;
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
    this.#trouble();
    this.#lookIn(Math.max(PATIENCE_MS, this.#pause_ms()));
  }

  /**
   * Nothing comes any more: no need to wait and see, unless it was tried only just now.
   *
   * @returns {boolean} whether a restart is offered at once
   */
  silence() {
    this.#trouble();
    const pause_ms = this.#pause_ms();
    if (pause_ms <= 0) return this.#attempt();
    this.#lookIn(pause_ms);
    return false;
  }

  /**
   * The device's own network changed: what stood before says nothing.
   *
   * @returns {boolean} whether a restart is offered
   */
  move() {
    this.#trouble();
    this.#owed = !this.#attempt();
    return !this.#owed;
  }

  /**
   * Somebody can be asked again.
   *
   * @returns {boolean} whether a restart is offered at once
   */
  resume() {
    if (this.#owed) return this.move();
    return !this.#stands() && this.silence();
  }

  /** There is nothing to care for. */
  rest() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#attempts = 0;
    this.#restartedAt = -Infinity;
    this.#troubledAt = -Infinity;
    this.#owed = false;
  }

  #trouble() {
    const now = performance.now();
    if (now - this.#troubledAt >= STEADY_MS) this.#attempts = 0;
    this.#troubledAt = now;
  }

  /** @returns {number} how long the last restart still has to show that it helps; 0 or less: no longer */
  #pause_ms() {
    return restartDelay_ms(this.#attempts) - (performance.now() - this.#restartedAt);
  }

  /** @param {number} wait_ms */
  #lookIn(wait_ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), wait_ms);
  }

  #look() {
    this.#timer = undefined;
    if (this.#stands()) return;
    this.#trouble();
    this.#attempt();
  }

  /** @returns {boolean} whether there was somebody to ask */
  #attempt() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#restart()) return false;
    this.#attempts += 1;
    this.#restartedAt = performance.now();
    this.#lookIn(restartDelay_ms(this.#attempts));
    return true;
  }
}
