/**
 * The panel of people: who waits on top, who is in the call, and what one may do with them.
 */

import { el, name as nameIt, Rows, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { PROMOTIONS } from '../roles.js';
import { inState, may, others, queue, self } from '../state.js';
import { confirmFirst, openDialog } from './dialog.js';
import { Avatar, description, fullName, roleName } from './people_words.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../protocol.js').Participant} Participant */
/** @typedef {import('../dom.js').Row<Participant>} PersonRow */

/**
 * @param {Participant} person who waits
 * @param {Context} context
 * @returns {HTMLButtonElement} lets them in
 */
export function admitButton(person, { session, ask }) {
  const button = el('button', {
    class: 'button primary admit',
    type: 'button',
    testid: `admit-${person.id}`,
    text: 'people.admit',
    on: { click: () => ask(session.admit(person.id)) },
  });
  nameIt(button, 'people.admit_name', { name: fullName(person) });
  return button;
}

/**
 * @param {Participant} person
 * @returns {string} how long they have waited
 */
export function waitedWords(person) {
  if (person.waiting_since === null) return '';
  const minutes = Math.floor((Date.now() / 1000 - person.waiting_since) / 60);
  return minutes < 1 ? t('people.just_came') : t('people.waited', { minutes });
}

/** @implements {View} */
export class PeoplePanel {
  #sections;

  /** @param {Context} context */
  constructor(context) {
    this.#sections = [
      section('people.waiting', queue, (person) => waitingRow(person, context)),
      section('people.in_call', (room) => [...me(room), ...inState(room, 'admitted')], (person) =>
        callRow(person, context),
      ),
      section('people.held', (room) => inState(room, 'held'), (person) => heldRow(person, context)),
      section('people.invited', notYet, () => personRow([])),
    ];
    this.element = el('div', { class: 'people' }, ...this.#sections.map(({ element }) => element));
  }

  /** @param {import('../store.js').App} app */
  update(app) {
    for (const part of this.#sections) part.update(app);
  }
}

/** @param {import('../state.js').RoomState} room */
function me(room) {
  const mine = self(room);
  return mine === null ? [] : [mine];
}

/** @param {import('../state.js').RoomState} room */
function notYet(room) {
  return others(room).filter(({ state }) => state === 'invited' || state === 'knocking');
}

/**
 * @param {'people.waiting' | 'people.in_call' | 'people.held' | 'people.invited'} title
 * @param {(room: import('../state.js').RoomState) => Participant[]} choose
 * @param {(person: Participant) => PersonRow} make
 */
function section(title, choose, make) {
  const head = el('h3', {});
  const list = el('ul', { class: 'people-list' });
  const rows = new Rows(list, (/** @type {Participant} */ { id }) => id, make);
  const element = el('section', { class: 'people-section', 'data-kind': title.split('.')[1] }, head, list);
  return {
    element,
    /** @param {import('../store.js').App} app */
    update({ room }) {
      const people = choose(room);
      setText(head, t(title, { n: people.length }));
      rows.update(people);
      show(element, people.length > 0);
    },
  };
}

/**
 * @param {(HTMLElement | null)[]} actions
 * @param {(person: Participant) => string} [note]
 * @returns {PersonRow}
 */
function personRow(actions, note = stateWords) {
  const avatar = new Avatar();
  const name = el('strong', { class: 'person-name' });
  const line = el('span', { class: 'person-line' });
  const extra = el('span', { class: 'person-note' });
  const silent = el('span', { class: 'person-sign', role: 'img', label: 'call.muted' }, icon('mic_off'));
  const hand = el('span', { class: 'person-sign hand', role: 'img', label: 'people.hand' }, icon('hand'));
  const bar = el('div', { class: 'person-actions', role: 'group' }, ...actions.filter((button) => button !== null));
  const element = el(
    'li',
    { class: 'person' },
    avatar.element,
    el('div', { class: 'person-words' }, name, line, extra),
    el('div', { class: 'person-signs' }, hand, silent),
    bar,
  );
  return {
    element,
    update(person) {
      avatar.update(person);
      setText(name, fullName(person));
      setText(line, description(person));
      setText(extra, note(person));
      show(extra, extra.textContent !== '');
      show(silent, person.state === 'admitted' && isSilent(person));
      show(hand, person.hand_raised);
      show(bar, bar.childElementCount > 0);
      setAttribute(bar, 'aria-label', t('people.actions', { name: person.name }));
      setAttribute(element, 'data-connection', person.connection);
      setAttribute(element, 'data-participant', person.id);
    },
  };
}

/** @param {Participant} person */
function isSilent(person) {
  return !person.media.audio || person.muted.includes('audio');
}

/** @param {Participant} person */
function stateWords(person) {
  if (person.state === 'knocking') return t('people.preparing');
  if (person.state === 'invited') return '';
  if (person.connection === 'lost') return t('people.lost');
  return person.connection === 'away' ? t('people.away') : '';
}

/**
 * @param {Participant} person
 * @param {Context} context
 */
function waitingRow(person, context) {
  const allowed = may(context.store.get().room, 'admit');
  return personRow([allowed ? admitButton(person, context) : null, removeButton(person, context)], (now) =>
    now.connection === 'connected' ? waitedWords(now) : stateWords(now),
  );
}

/**
 * @param {Participant} person
 * @param {Context} context
 */
function heldRow(person, context) {
  const { session, ask, store } = context;
  const back = el('button', {
    class: 'button primary return',
    type: 'button',
    testid: `return-${person.id}`,
    text: 'people.return',
    on: { click: () => ask(session.bringBack(person.id)) },
  });
  return personRow([may(store.get().room, 'hold') ? back : null, removeButton(person, context)]);
}

/**
 * @param {Participant} person
 * @param {Context} context
 */
function callRow(person, context) {
  const { room } = context.store.get();
  if (person.id === room.me?.participant) {
    const row = personRow([]);
    row.element.querySelector('.person-signs')?.append(el('span', { class: 'you', text: 'you' }));
    return row;
  }
  const { session, ask } = context;
  const mute = may(room, 'mute')
    ? action('mute', 'people.mute', 'mic_off', person, () => ask(session.mute(person.id, ['audio'])))
    : null;
  const hold = may(room, 'hold')
    ? action('hold', 'people.hold', 'pause', person, () => ask(session.hold(person.id)))
    : null;
  const role = may(room, 'promote')
    ? action('role', 'people.role', 'badge', person, () => chooseRole(person, context))
    : null;
  const row = personRow([mute, hold, role, removeButton(person, context)]);
  return {
    element: row.element,
    update(/** @type {Participant} */ now) {
      row.update(now);
      if (mute !== null) show(mute, !isSilent(now));
      if (role !== null) show(role, (PROMOTIONS[now.role] ?? []).length > 0);
    },
  };
}

/**
 * @param {Participant} person
 * @param {Context} context
 */
function removeButton(person, context) {
  if (!may(context.store.get().room, 'remove')) return null;
  return action('remove', 'people.remove', 'leave', person, () =>
    confirmFirst({
      title: t('people.remove_title', { name: fullName(person) }),
      body: t('people.remove_body'),
      confirm: 'people.remove',
      testid: 'remove-confirm',
      onConfirm: () => context.ask(context.session.remove(person.id)),
    }),
  );
}

/**
 * @param {string} what
 * @param {import('../dom.js').Key} words
 * @param {import('../icons.js').IconName} picture
 * @param {Participant} person
 * @param {() => void} click
 */
function action(what, words, picture, person, click) {
  return el(
    'button',
    { class: `action ${what}`, type: 'button', testid: `${what}-${person.id}`, on: { click } },
    icon(picture),
    el('span', { text: words }),
  );
}

/**
 * @param {Participant} person
 * @param {Context} context
 */
function chooseRole(person, { store, session, ask }) {
  const role = store.get().room.people[person.id]?.role ?? person.role;
  const dialog = openDialog(
    t('people.role_title', { name: fullName(person) }),
    'role-dialog',
    el(
      'div',
      { class: 'stack' },
      ...(PROMOTIONS[role] ?? []).map((choice) =>
        el(
          'button',
          {
            class: 'button choice-button',
            type: 'button',
            testid: `role-${choice}`,
            on: {
              click: () => {
                dialog.close();
                ask(session.promote(person.id, choice));
              },
            },
          },
          roleName(choice),
        ),
      ),
    ),
  );
}
