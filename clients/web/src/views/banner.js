/**
 * One line on top that says what is going on with the call, and one button that helps.
 */

import { el, say, setAttribute, show } from '../dom.js';
import { icon } from '../icons.js';
import { allPaused } from '../media/pictures.js';
import { may, screenOf, self } from '../state.js';
import { canRetry } from './devices.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {import('../dom.js').Key} Key */
/**
 * `dismiss` is there where one may go on without.
 *
 * @typedef {{text: Key, kind: 'info' | 'warn', button?: Key, testid?: string, act?: () => void,
 *   dismiss?: () => void}} Notice
 */

/** @implements {View} */
export class Banner {
  #context;
  #actions;
  #words = el('span', {});
  #button;
  #close;
  /** @type {Notice | null} */
  #notice = null;

  /**
   * @param {Context} context
   * @param {{enableSound: () => void}} actions
   */
  constructor(context, actions) {
    this.#context = context;
    this.#actions = actions;
    this.#button = el('button', {
      class: 'button light',
      type: 'button',
      on: { click: () => this.#notice?.act?.() },
    });
    this.#close = el(
      'button',
      { class: 'icon-button', type: 'button', label: 'close', on: { click: () => this.#notice?.dismiss?.() } },
      icon('cross'),
    );
    this.element = el(
      'div',
      { class: 'banner', testid: 'banner', role: 'status', hidden: true },
      icon('alert'),
      this.#words,
      this.#button,
      this.#close,
    );
  }

  /** @param {App} app */
  update(app) {
    const notice = this.#choose(app);
    this.#notice = notice;
    show(this.element, notice !== null);
    if (notice === null) return;
    say(this.#words, notice.text);
    setAttribute(this.element, 'data-kind', notice.kind);
    show(this.#button, notice.button !== undefined);
    setAttribute(this.#button, 'data-testid', notice.testid ?? null);
    if (notice.button !== undefined) say(this.#button, notice.button);
    show(this.#close, notice.dismiss !== undefined);
  }

  /**
   * The most urgent notice, or none.
   *
   * @param {App} app
   * @returns {Notice | null}
   */
  #choose(app) {
    const screen = screenOf(app.room);
    if (app.failure !== null || screen === 'ended' || screen === 'connecting') return null;
    if (app.net === 'lost') {
      return { text: screen === 'call' ? 'banner.lost_call' : 'banner.lost_waiting', kind: 'warn' };
    }
    return screen === 'call' ? this.#chooseInCall(app) : null;
  }

  /**
   * @param {App} app
   * @returns {Notice | null}
   */
  #chooseInCall(app) {
    const { session, ask } = this.#context;
    const muted = self(app.room)?.muted ?? [];
    const unmute = () => ask(session.unmute());
    if (app.flow === 'broken') return { text: 'banner.media_lost', kind: 'warn' };
    if (muted.includes('audio')) {
      return { text: 'banner.chair_muted', kind: 'info', button: 'banner.unmute', testid: 'unmute', act: unmute };
    }
    const device = this.#chooseOfDevice(app, 'audio');
    if (device !== null) return device;
    if (app.sound_blocked) {
      return {
        text: 'banner.sound_blocked',
        kind: 'warn',
        button: 'banner.enable_sound',
        testid: 'enable-sound',
        act: this.#actions.enableSound,
      };
    }
    if (muted.includes('video')) {
      return { text: 'banner.chair_muted_video', kind: 'info', button: 'banner.unmute_video', testid: 'unmute', act: unmute };
    }
    const camera = this.#chooseOfDevice(app, 'video');
    if (camera !== null) return camera;
    return this.#chooseOfPictures(app);
  }

  /**
   * @param {App} app
   * @returns {Notice | null} why there are no pictures, and sound only as the way out
   */
  #chooseOfPictures(app) {
    const { saver } = this.#context;
    if (app.saver) {
      return { text: 'saver.on', kind: 'info', button: 'saver.off', testid: 'saver-off', act: () => saver.turn(false) };
    }
    if (app.saver_advised) {
      return {
        text: 'saver.advice',
        kind: 'info',
        button: 'saver.accept',
        testid: 'saver-accept',
        act: () => saver.turn(true),
        dismiss: () => saver.decline(),
      };
    }
    const pause = allPaused(app.room.pictures);
    if (pause !== null) return { text: `pictures.${pause}`, kind: 'info' };
    return app.quality === 'bad' ? { text: 'quality.advice_bad', kind: 'info' } : null;
  }

  /**
   * @param {App} app
   * @param {'audio' | 'video'} kind
   * @returns {Notice | null} what to do about a device that is wanted and does not work
   */
  #chooseOfDevice(app, kind) {
    const { devices } = this.#context;
    if (!may(app.room, 'speak')) return null;
    const { status, wanted } = app.devices[kind];
    if (kind === 'audio' && status === 'closed' && !wanted) {
      const act = () => void devices.turn('audio', true);
      return { text: 'banner.may_speak', kind: 'info', button: 'device.microphone_on', testid: 'speak', act };
    }
    if (status === 'open' || status === 'asking' || status === 'closed' || !wanted) return null;
    const dismiss = kind === 'video' ? () => void devices.rest(['video']) : undefined;
    const notice = /** @type {Notice} */ ({ text: `device_error.${kind}.${status}`, kind: 'warn', dismiss });
    if (!canRetry(status)) return notice;
    return { ...notice, button: 'device.retry', testid: 'device-retry', act: () => void devices.open() };
  }
}
