/**
 * One line on top that says what is going on with the call, and one button that helps.
 */

import { el, say, setAttribute, show } from '../dom.js';
import { icon } from '../icons.js';
import { screenOf, self } from '../state.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {import('../dom.js').Key} Key */
/** @typedef {{text: Key, kind: 'info' | 'warn', button?: Key, testid?: string, act?: () => void}} Notice */

/** @implements {View} */
export class Banner {
  #context;
  #actions;
  #words = el('span', {});
  #button;
  /** @type {(() => void) | undefined} */
  #act;

  /**
   * @param {Context} context
   * @param {{enableSound: () => void, openSettings: () => void}} actions
   */
  constructor(context, actions) {
    this.#context = context;
    this.#actions = actions;
    this.#button = el('button', {
      class: 'button light',
      type: 'button',
      on: { click: () => this.#act?.() },
    });
    this.element = el(
      'div',
      { class: 'banner', testid: 'banner', role: 'status', hidden: true },
      icon('alert'),
      this.#words,
      this.#button,
    );
  }

  /** @param {App} app */
  update(app) {
    const notice = this.#choose(app);
    show(this.element, notice !== null);
    if (notice === null) return;
    say(this.#words, notice.text);
    setAttribute(this.element, 'data-kind', notice.kind);
    show(this.#button, notice.button !== undefined);
    setAttribute(this.#button, 'data-testid', notice.testid ?? null);
    if (notice.button !== undefined) say(this.#button, notice.button);
    this.#act = notice.act;
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
    if (app.faults.includes('microphone')) {
      return {
        text: 'banner.silent',
        kind: 'warn',
        button: 'banner.choose_microphone',
        act: this.#actions.openSettings,
      };
    }
    return app.quality === 'bad' ? { text: 'quality.advice_bad', kind: 'info' } : null;
  }
}
