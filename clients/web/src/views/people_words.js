/**
 * How people are named and drawn where there is no picture of them.
 */

import { el, setText } from '../dom.js';
import { t } from '../i18n/index.js';

/** @typedef {import('../protocol.js').Participant} Participant */

/**
 * @param {Participant} person
 * @returns {string} title and name as one says them: "BS. Trần Minh"
 */
export function fullName(person) {
  return person.title === '' ? person.name : `${person.title} ${person.name}`;
}

/**
 * @param {import('../protocol.js').Role} role
 * @returns {string}
 */
export function roleName(role) {
  return t(`role.${role}`);
}

/**
 * @param {Participant} person
 * @returns {string} role and facility
 */
export function description(person) {
  const facility = person.facility?.name ?? '';
  return facility === '' ? roleName(person.role) : `${roleName(person.role)} · ${facility}`;
}

/**
 * First letters of the family name and the given name, which stands last in Vietnamese.
 *
 * @param {string} name
 * @returns {string}
 */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const ends = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return ends.map((word) => [...(word ?? '')][0] ?? '').join('').toLocaleUpperCase('vi');
}

/** A round sign with initials; its colour stays with the person. */
export class Avatar {
  constructor() {
    this.element = el('span', { class: 'avatar', 'aria-hidden': 'true' });
  }

  /** @param {Participant} person */
  update(person) {
    setText(this.element, initials(person.name));
    let sum = 0;
    for (const letter of person.id) sum += letter.charCodeAt(0);
    this.element.dataset.tint = String(sum % 6);
  }
}
