/**
 * The pages outside a consultation: no link, opening, could not enter, ended.
 */

import { el, say, setAttribute, setText, show } from '../dom.js';
import { pick, t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { passes } from '../reconnect.js';
import { isClinician, self } from '../state.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */

/** Explains how to get in, and takes a pasted link. @implements {View} */
export class NoLinkView {
  #input;
  #session;
  #wrong = el('p', { class: 'problem', role: 'alert', id: 'paste-wrong', text: 'nolink.wrong' });
  #resume = el('h2', { class: 'card-title', id: 'return-title' });
  #return;

  /** @param {Context} context */
  constructor({ session }) {
    this.#session = session;
    this.#input = el('input', {
      id: 'paste',
      testid: 'paste',
      type: 'text',
      inputmode: 'url',
      autocomplete: 'off',
      spellcheck: 'false',
      'aria-describedby': 'paste-wrong',
    });
    this.#return = el(
      'section',
      { class: 'card stack', 'aria-labelledby': 'return-title', testid: 'return' },
      this.#resume,
      el('button', {
        class: 'button primary big',
        type: 'button',
        testid: 'resume',
        text: 'nolink.resume',
        on: { click: () => session.resume() },
      }),
      el('button', {
        class: 'button secondary',
        type: 'button',
        testid: 'not-me',
        text: 'nolink.not_me',
        on: {
          click: () => {
            session.disown();
            this.update();
          },
        },
      }),
    );
    const go = (/** @type {Event} */ event) => {
      event.preventDefault();
      const entered = session.enter(this.#input.value);
      show(this.#wrong, !entered);
      setAttribute(this.#input, 'aria-invalid', entered ? null : 'true');
      if (!entered) this.#input.focus();
    };
    show(this.#wrong, false);
    this.element = el(
      'div',
      { class: 'page single', testid: 'nolink' },
      el('div', { class: 'badge-icon' }, icon('link')),
      el('h1', { text: 'nolink.title' }),
      el('p', { class: 'lead', text: 'nolink.body' }),
      this.#return,
      el(
        'form',
        { class: 'card paste', on: { submit: go } },
        el('label', { for: 'paste', text: 'nolink.paste' }),
        this.#input,
        this.#wrong,
        el('button', { class: 'button secondary', type: 'submit', text: 'nolink.go' }),
      ),
    );
    this.update();
  }

  update() {
    const last = this.#session.lastHere();
    show(this.#return, last !== null);
    if (last !== null) setText(this.#resume, t('nolink.is_it_you', { name: last.name }));
  }
}

/** Shown until the server has let us in. @implements {View} */
export class ConnectingView {
  #slow = el('p', { class: 'lead', text: 'connecting.slow' });

  constructor() {
    this.element = el(
      'div',
      { class: 'page single', testid: 'connecting', role: 'status' },
      el('div', { class: 'spinner', 'aria-hidden': 'true' }),
      el('h1', { text: 'connecting.title' }),
      this.#slow,
    );
    show(this.#slow, false);
    this.timer = setTimeout(() => show(this.#slow, true), 4000);
  }

  update() {}

  close() {
    clearTimeout(this.timer);
  }
}

/** Why one cannot enter, and what to do now. @implements {View} */
export class FailureView {
  #title = el('h1', {});
  #text = el('p', { class: 'lead' });
  #retry;
  #other;
  #session;

  /** @param {Context} context */
  constructor({ session }) {
    this.#session = session;
    this.#retry = el('button', {
      class: 'button primary big',
      type: 'button',
      testid: 'retry',
      text: 'failure.retry',
      on: { click: () => session.again() },
    });
    this.#other = el('button', {
      type: 'button',
      testid: 'other-link',
      text: 'failure.other_link',
      on: { click: () => session.forget() },
    });
    this.element = el(
      'div',
      { class: 'page single', testid: 'error', role: 'alert' },
      el('div', { class: 'badge-icon warn' }, icon('alert')),
      this.#title,
      this.#text,
      el('div', { class: 'stack' }, this.#retry, this.#other),
    );
  }

  /** @param {App} app */
  update({ failure }) {
    setAttribute(this.element, 'data-code', failure?.code ?? null);
    if (failure === null) return;
    const canRetry = mayPass(failure.code) && this.#session.canReturn();
    say(this.#title, failure.code === 'consultation_ended' ? 'ended.ended' : 'failure.title');
    setText(this.#text, pick(failure.text));
    show(this.#retry, canRetry);
    setAttribute(this.#other, 'class', canRetry ? 'button secondary' : 'button primary big');
  }
}

/** @param {string} code why one may not enter */
function mayPass(code) {
  return passes(code) || code === 'invitation_in_use' || code === 'room_full';
}

/** @typedef {'ended' | 'removed' | 'left' | 'replaced' | 'expired'} Reason */

/** After the session: kind words, and what next. @implements {View} */
export class EndedView {
  #title = el('h1', {});
  #text = el('p', { class: 'lead' });
  #duration = el('p', { class: 'muted' });
  #next;
  #follow = el('li', { text: 'ended.next_follow' });
  #contact = el('li', {});
  #again;
  #session;

  /** @param {Context} context */
  constructor({ session }) {
    this.#session = session;
    this.#again = el('button', {
      class: 'button primary big',
      type: 'button',
      testid: 'again',
      on: { click: () => session.again() },
    });
    this.#next = el(
      'section',
      { class: 'card next', 'aria-labelledby': 'next-title' },
      el('h2', { class: 'card-title', id: 'next-title', text: 'ended.next' }),
      el('ul', {}, this.#follow, this.#contact, el('li', { text: 'ended.next_close' })),
    );
    this.element = el(
      'div',
      { class: 'page single', testid: 'ended' },
      el('div', { class: 'badge-icon' }, icon('heart')),
      this.#title,
      this.#text,
      this.#duration,
      this.#again,
      this.#next,
    );
  }

  /** @param {App} app */
  update({ room, met }) {
    const reason = /** @type {Reason} */ (room.ended?.reason ?? 'left');
    const role = self(room)?.role ?? room.me?.role;
    const staff = role !== undefined && isClinician(role);
    const cared = role === 'patient' || role === 'guardian';
    const over = reason === 'ended' || reason === 'expired';
    const facility = room.consultation?.facility.name ?? '';
    const unseen = cared && over && !met;
    setAttribute(this.element, 'data-reason', reason);
    say(this.#title, `ended.${reason}`);
    setText(this.#text, unseen ? t('ended.unseen', { facility }) : wordsFor(reason, staff, cared, room.ended));
    const { started_at = null, ended_at = null } = room.consultation ?? {};
    const minutes = started_at === null ? 0 : ((ended_at ?? started_at) - started_at) / 60;
    setText(this.#duration, t('ended.duration', { minutes: Math.max(1, Math.round(minutes)) }));
    show(this.#duration, reason === 'ended' && minutes > 0 && !unseen);
    const canReturn = (reason === 'left' || reason === 'replaced') && this.#session.canReturn();
    show(this.#again, canReturn);
    say(this.#again, reason === 'replaced' ? 'ended.use_here' : 'ended.rejoin');
    setText(this.#contact, t('ended.next_contact', { facility }));
    show(this.#contact, facility !== '');
    show(this.#follow, cared && met);
    show(this.#next, reason !== 'replaced' && !unseen);
  }
}

/**
 * @param {Reason} reason
 * @param {boolean} staff
 * @param {boolean} cared whether it is a person who was cared for, or their family
 * @param {import('../protocol.js').Ended | null} ended
 */
function wordsFor(reason, staff, cared, ended) {
  if (reason === 'ended') {
    return t(staff ? 'ended.ended_staff_body' : cared ? 'ended.ended_body' : 'ended.ended_others_body');
  }
  if (reason === 'left') return t('ended.left_body');
  if (reason === 'replaced') return t('ended.replaced_body');
  return ended === null ? '' : pick(ended.text);
}
