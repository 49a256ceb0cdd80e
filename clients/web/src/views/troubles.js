/**
 * What keeps people from seeing or hearing each other, and what to do about it: one card for each
 * fault, gone when it is mended, or when the person has read it.
 */

import { el, Rows, setText, show } from '../dom.js';
import { pick } from '../i18n/index.js';
import { icon } from '../icons.js';
import { may } from '../state.js';
import { openSettings } from './controls.js';
import { fullName } from './people_words.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {import('../protocol.js').Fault} Fault */

/** More would hide the people one talks with. */
const AT_ONCE = 2;

/** @implements {View} */
export class Troubles {
  #context;
  /** @type {Set<string>} never forgotten: after each reconnection the server tells all of them again */
  #read = new Set();
  #rows;

  /** @param {Context} context */
  constructor(context) {
    this.#context = context;
    this.element = el('div', { class: 'troubles', testid: 'troubles', role: 'log', label: 'trouble.list' });
    /** @type {Rows<Fault>} */
    this.#rows = new Rows(this.element, keyOf, (fault) => this.#card(fault));
  }

  /** @param {App} app */
  update({ room }) {
    const mine = room.me?.participant;
    const unread = room.faults.filter((fault) => !this.#read.has(keyOf(fault)));
    // What one can mend oneself comes first.
    const ordered = [
      ...unread.filter(({ participant }) => participant === mine),
      ...unread.filter(({ participant }) => participant !== mine),
    ];
    this.#rows.update(ordered.slice(0, AT_ONCE));
  }

  /** @param {Fault} fault */
  #card(fault) {
    const who = el('strong', { class: 'trouble-who' });
    const words = el('span', {});
    const { store } = this.#context;
    const device = /^(microphone|camera)_/.test(fault.code);
    const settings = el('button', {
      class: 'button light',
      type: 'button',
      text: 'trouble.settings',
      testid: 'trouble-settings',
      on: { click: () => openSettings(this.#context) },
    });
    const close = () => {
      this.#read.add(keyOf(fault));
      this.update(store.get());
    };
    const { room } = store.get();
    show(settings, device && fault.participant === room.me?.participant && may(room, 'speak'));
    const element = el(
      'div',
      { class: 'trouble', testid: `trouble-${fault.code}` },
      icon('alert'),
      el('div', {}, who, words),
      el('button', { class: 'icon-button', type: 'button', label: 'close', on: { click: close } }, icon('cross')),
      settings,
    );
    return {
      element,
      update: (/** @type {Fault} */ { participant, text }) => {
        const { people, me } = store.get().room;
        const person = participant === me?.participant ? undefined : people[participant];
        setText(who, person === undefined ? '' : fullName(person));
        setText(words, pick(text));
      },
    };
  }
}

/**
 * The same fault that comes again is told again.
 *
 * @param {Fault} fault
 */
function keyOf({ participant, code, since }) {
  return `${participant} ${code} ${since}`;
}
