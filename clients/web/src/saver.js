/**
 * Sound only: as few bytes as a conversation can do with. The person's choice, remembered.
 */

import { choices, keepChoices } from './keep.js';
import { starved } from './media/pictures.js';
import { may } from './state.js';

/** @typedef {import('./store.js').App} App */

/** A network that carries no picture for so long will hardly carry one soon. */
const ADVISE_AFTER_MS = 10_000;

/** Turns it on and off, and advises it. */
export class Saver {
  #store;
  #devices;
  #declined = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {import('./store.js').Store} store
   * @param {import('./media/devices.js').Devices} devices
   */
  constructor(store, devices) {
    this.#store = store;
    this.#devices = devices;
    store.set({ saver: choices().saver ?? false });
  }

  /** @param {boolean} on */
  turn(on) {
    this.#set(on);
    if (on) {
      if (this.#devices.screen !== null) this.#devices.unshare();
      void this.#devices.rest(['video']);
    } else if ((choices().camera_on ?? true) && may(this.#store.get().room, 'speak')) {
      void this.#devices.turn('video', true);
    }
  }

  /** Not now: it is not offered again on this page. */
  decline() {
    this.#declined = true;
    this.#store.set({ saver_advised: false });
  }

  /**
   * Call it after every change.
   *
   * @param {App} app
   * @param {App} before
   */
  follow(app, before) {
    // Whoever switches their camera on, or shares a screen, wants pictures.
    const { screen, video } = app.devices;
    const shows = (video.wanted && !before.devices.video.wanted) || (screen && !before.devices.screen);
    if (app.saver && shows) this.#set(false);
    this.#advise(this.#store.get());
  }

  /** @param {App} app */
  #advise(app) {
    if (app.saver || this.#declined || !starved(app.room.pictures)) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      if (app.saver_advised) this.#store.set({ saver_advised: false });
      return;
    }
    if (app.saver_advised) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#store.set({ saver_advised: true });
    }, ADVISE_AFTER_MS);
  }

  /** @param {boolean} on */
  #set(on) {
    keepChoices({ saver: on });
    this.#store.set({ saver: on });
  }
}
