/**
 * The chat of the call.
 */

import { el, Rows, setText, show } from '../dom.js';
import { clock, t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { CHAT_LIMIT_CHARS, clean } from '../protocol.js';
import { may } from '../state.js';
import { fullName } from './people_words.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../protocol.js').ChatLine} ChatLine */

/** @implements {View} */
export class ChatPanel {
  #input;
  #form;
  #rows;
  #log;
  #empty = el('p', { class: 'muted chat-empty', text: 'chat.empty' });
  #count = 0;

  /** @param {Context} context */
  constructor({ store, session, ask }) {
    this.#log = el('ol', { class: 'chat-log', testid: 'chat-log', role: 'log', label: 'chat.title' });
    this.#rows = new Rows(
      this.#log,
      (/** @type {ChatLine} */ line) => `${line.participant}/${line.id}`,
      (line) => lineRow(line, store),
    );
    this.#input = el('textarea', {
      testid: 'chat-input',
      rows: 1,
      maxlength: CHAT_LIMIT_CHARS,
      label: 'chat.placeholder',
      placeholder: 'chat.placeholder',
      on: {
        keydown: (/** @type {KeyboardEvent} */ event) => {
          // Vietnamese is typed with an input method: its Enter ends a word, not the message.
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          this.#form.requestSubmit();
        },
      },
    });
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      const text = clean(this.#input.value).trim();
      if (text === '') return;
      this.#input.value = '';
      const sent = session.chat(text);
      ask(sent);
      sent.catch(() => {
        if (this.#input.value === '') this.#input.value = text;
      });
    };
    this.#form = el(
      'form',
      { class: 'chat-form', on: { submit } },
      this.#input,
      el(
        'button',
        { class: 'icon-button send', type: 'submit', testid: 'chat-send', label: 'chat.send' },
        icon('send'),
      ),
    );
    const kept = el('p', { class: 'muted chat-kept', testid: 'chat-kept', text: 'chat.kept' });
    this.element = el('div', { class: 'chat' }, this.#empty, this.#log, kept, this.#form);
  }

  /** @returns {boolean} whether one may write, and the keyboard is there now */
  focus() {
    if (this.#form.hidden) return false;
    this.#input.focus();
    return true;
  }

  /** @param {import('../store.js').App} app */
  update({ room }) {
    show(this.#empty, room.chat.length === 0);
    show(this.#form, may(room, 'chat'));
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
    this.#rows.update(room.chat);
    if (room.chat.length !== this.#count && (atEnd || this.#count === 0)) {
      this.#log.scrollTop = this.#log.scrollHeight;
    }
    this.#count = room.chat.length;
  }
}

/**
 * @param {ChatLine} line
 * @param {import('../store.js').Store} store
 * @returns {import('../dom.js').Row<ChatLine>}
 */
function lineRow(line, store) {
  const own = line.participant === store.get().room.me?.participant;
  const who = el('span', { class: 'chat-who' });
  const time = el('time', { class: 'chat-time' });
  const text = el('p', { class: 'chat-text' }, line.text);
  return {
    element: el('li', { class: own ? 'chat-line own' : 'chat-line' }, el('div', { class: 'chat-head' }, who, time), text),
    update(now) {
      const writer = store.get().room.people[now.participant];
      setText(who, own ? t('you') : writer ? fullName(writer) : now.name);
      setText(time, clock(now.at));
    },
  };
}
