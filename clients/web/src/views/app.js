/**
 * The whole page: header, banner, the screen of the moment, notices.
 */

import { el, name, say, setAttribute, setText, show, translate } from '../dom.js';
import { language, t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { screenOf, self } from '../state.js';
import { Banner } from './banner.js';
import { CallView } from './call.js';
import { LobbyView } from './lobby.js';
import { ConnectingView, EndedView, FailureView, NoLinkView } from './outside.js';
import { RecordingSign } from './recording.js';
import { WaitingView } from './waiting.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {'nolink' | 'failure' | import('../state.js').Screen} Page */

const NOTICE_MS = 6000;
/** More would hide the person one talks with. */
const NOTICES_AT_ONCE = 2;

/**
 * @param {App} app
 * @returns {Page}
 */
export function pageOf(app) {
  if (app.failure !== null) return 'failure';
  return app.invited ? screenOf(app.room) : 'nolink';
}

/** How good the connection is: three bars and words. */
class QualitySign {
  #words = el('span', { class: 'quality-words' });

  constructor() {
    this.element = el(
      'span',
      { class: 'quality', testid: 'quality', role: 'status' },
      el('span', { class: 'bars', 'aria-hidden': 'true' }, el('i'), el('i'), el('i')),
      this.#words,
    );
  }

  /** @param {App} app */
  update({ quality }) {
    setAttribute(this.element, 'data-quality', quality);
    say(this.#words, `quality.${quality}`);
  }
}

/** Draws the page from the store. */
export class AppView {
  #root;
  #context;
  #title = el('span', { class: 'head-title' });
  #lang;
  #sign;
  #quality = new QualitySign();
  #banner;
  #main = el('main', { id: 'main', tabindex: -1 });
  #notices = el('div', { class: 'notices' });
  #spoken = el('div', { class: 'visually-hidden', 'aria-live': 'polite' });
  /** @type {View | null} */
  #view = null;
  #shown = '';

  /**
   * @param {HTMLElement} root
   * @param {Omit<Context, 'ask' | 'tell'>} parts
   * @param {{onLanguage: () => void}} told
   */
  constructor(root, parts, { onLanguage }) {
    this.#root = root;
    this.#context = {
      ...parts,
      ask: (/** @type {Promise<unknown>} */ asked) => {
        asked.catch((error) => this.complain(error));
      },
      tell: (/** @type {string} */ text) => this.tell(text),
    };
    this.#lang = el('button', {
      class: 'lang',
      type: 'button',
      testid: 'lang',
      on: { click: onLanguage },
    });
    this.#sign = new RecordingSign(this.#context);
    this.#banner = new Banner(this.#context, { enableSound: () => this.enableSound() });
    root.replaceChildren(
      el('a', { class: 'skip', href: '#main', text: 'skip_to_content', on: { click: (event) => this.#skip(event) } }),
      el(
        'header',
        { class: 'head' },
        el('span', { class: 'brand' }, icon('heart'), el('span', { class: 'brand-words', text: 'product' })),
        this.#title,
        this.#sign.element,
        this.#quality.element,
        this.#lang,
      ),
      this.#banner.element,
      this.#main,
      this.#notices,
      this.#spoken,
    );
    this.#speakLanguage();
  }

  /** @param {App} app */
  update(app) {
    const page = pageOf(app);
    // A view knows what one may do when it is made; a new role makes it anew.
    const key = page === 'call' ? `call ${self(app.room)?.permissions.join()}` : page;
    if (key !== this.#shown) this.#change(key, page);
    this.#root.dataset.page = page;
    const { room } = app;
    setText(this.#title, page === 'call' ? (room.consultation?.title ?? '') : '');
    this.#sign.update(app);
    if (page !== 'call') show(this.#sign.element, false);
    this.#quality.update(app);
    show(this.#quality.element, page === 'call');
    this.#banner.update(app);
    this.#view?.update(app);
    if (app.panel === 'chat') {
      for (const notice of this.#notices.querySelectorAll('[data-about="chat"]')) notice.remove();
    }
    const own = self(room);
    setAttribute(this.#main, 'data-state', own?.state ?? null);
  }

  /** Say everything in the language now chosen. */
  speak() {
    translate(this.#root);
    this.#speakLanguage();
    this.update(this.#context.store.get());
  }

  /**
   * A short notice, shown and read out.
   *
   * @param {string} text
   * @param {'chat'} [about] gone when that is looked at
   */
  tell(text, about) {
    this.#notice(text, { class: 'notice', testid: 'notice', role: 'status', 'data-about': about });
    this.say(text);
  }

  /**
   * Read out only: for what the eye sees anyway.
   *
   * @param {string} text
   */
  say(text) {
    this.#spoken.textContent = text;
  }

  /**
   * Show why something that was asked for did not happen.
   *
   * @param {unknown} error
   */
  complain(error) {
    const { code, text: words } = /** @type {Partial<import('../connection.js').RequestError>} */ (error);
    // Asked of a consultation that this page has left for another.
    if (code === 'abandoned') return;
    const text = words ? words[language()] : t('error.connection_lost');
    this.#notice(text, { class: 'notice error', testid: 'error', role: 'alert' });
  }

  /**
   * @param {string} text
   * @param {import('../dom.js').Attributes} look
   */
  #notice(text, look) {
    const close = () => notice.remove();
    const notice = el(
      'div',
      look,
      el('span', {}, text),
      el('button', { class: 'icon-button', type: 'button', label: 'close', on: { click: close } }, icon('cross')),
    );
    for (const older of [...this.#notices.children]) {
      if (older.textContent === notice.textContent) older.remove();
    }
    while (this.#notices.childElementCount >= NOTICES_AT_ONCE) this.#notices.firstElementChild?.remove();
    this.#notices.append(notice);
    setTimeout(close, NOTICE_MS);
  }

  /**
   * @param {string} key
   * @param {Page} page
   */
  #change(key, page) {
    const moved = this.#shown !== '';
    this.#shown = key;
    this.#view?.close?.();
    this.#notices.replaceChildren();
    for (const dialog of document.querySelectorAll('dialog[open]')) {
      if (dialog instanceof HTMLDialogElement) dialog.close();
    }
    this.#view = this.#make(page);
    this.#main.replaceChildren(this.#view.element);
    (this.#view instanceof CallView ? this.#view.cards : this.#root).append(this.#notices);
    scrollTo(0, 0);
    // Keyboard and screen reader go on from the new screen's beginning.
    if (moved) this.#main.focus({ preventScroll: true });
  }

  /**
   * @param {Page} page
   * @returns {View}
   */
  #make(page) {
    switch (page) {
      case 'nolink':
        return new NoLinkView(this.#context);
      case 'failure':
        return new FailureView(this.#context);
      case 'connecting':
        return new ConnectingView();
      case 'lobby':
        return new LobbyView(this.#context);
      case 'waiting':
        return new WaitingView(this.#context);
      case 'call':
        return new CallView(this.#context);
      case 'ended':
        return new EndedView(this.#context);
    }
  }

  /** The person has touched the page: the browser lets sound through now. */
  enableSound() {
    this.#context.store.set({ sound_blocked: false });
    if (this.#view instanceof CallView) this.#view.enableSound();
  }

  #speakLanguage() {
    document.documentElement.lang = language();
    setText(this.#lang, language() === 'vi' ? 'EN' : 'VI');
    name(this.#lang, 'switch_language_label');
  }

  /** @param {Event} event */
  #skip(event) {
    // The fragment is the invitation: don't let the link replace it.
    event.preventDefault();
    this.#main.focus();
  }
}
