/**
 * Who one will meet: name, title, licence and facility of the clinicians, before anyone speaks.
 */

import { el, Rows, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { hosts } from '../state.js';
import { Avatar, description, fullName } from './people_words.js';

/** @typedef {import('../protocol.js').Participant} Participant */

/** A list of the consultation's clinicians. */
export class Hosts {
  #nobody = el('p', { class: 'muted', text: 'lobby.meet_nobody' });
  #rows;

  constructor() {
    const list = el('ul', { class: 'hosts' });
    this.#rows = new Rows(list, (/** @type {Participant} */ person) => person.id, hostRow);
    this.element = el('div', { testid: 'hosts' }, this.#nobody, list);
  }

  /** @param {import('../store.js').App} app */
  update({ room }) {
    const people = hosts(room);
    show(this.#nobody, people.length === 0);
    this.#rows.update(people);
  }
}

/** @returns {import('../dom.js').Row<Participant>} */
function hostRow() {
  const avatar = new Avatar();
  const name = el('strong', { class: 'host-name' });
  const role = el('span', { class: 'host-line' });
  const licence = el('span', { class: 'host-line' });
  const element = el(
    'li',
    { class: 'host' },
    avatar.element,
    el('span', { class: 'host-words' }, name, role, licence),
  );
  return {
    element,
    update(person) {
      avatar.update(person);
      setText(name, fullName(person));
      setText(role, description(person));
      setText(licence, `${t('lobby.licence')}: ${person.licence}`);
      show(licence, person.licence !== '');
    },
  };
}
