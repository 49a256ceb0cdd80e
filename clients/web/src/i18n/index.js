/**
 * The words of the page in the chosen language.
 */

import { en } from './en.js';
import { vi } from './vi.js';

/** @typedef {keyof typeof vi} Key */
/** @typedef {import('../protocol.js').Language} Language */

const BOOKS = { vi, en };

/** @type {Language} */
let chosen = 'vi';

/** @returns {Language} */
export function language() {
  return chosen;
}

/** @param {Language} next */
export function chooseLanguage(next) {
  chosen = next;
}

/**
 * @param {Key} key
 * @param {Record<string, string | number>} [values] for the `{names}` in the words
 * @returns {string}
 */
export function t(key, values = {}) {
  return BOOKS[chosen][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/**
 * @param {import('../protocol.js').Text} text of the server, in both languages
 * @returns {string}
 */
export function pick(text) {
  return text[chosen];
}

/**
 * @param {number} at Unix seconds
 * @returns {string} hour and minute
 */
export function clock(at) {
  const locale = chosen === 'vi' ? 'vi-VN' : 'en-GB';
  return new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' }).format(at * 1000);
}
