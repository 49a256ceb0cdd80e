/**
 * What this browser remembers between visits: the sessions of running consultations, and the
 * person's choices of language and devices. Everything works without it (private windows).
 */

import { placeOf } from './link.js';

const SESSIONS = 'vtelehealth.session';
const CHOICES = 'vtelehealth.choices';
/** Consultations are over by then; a shared browser shall not know yesterday's people. */
const SESSION_LIFE_MS = 12 * 3600 * 1000;

/** @typedef {{session: string, name: string, at: number}} Kept `name` is '' until it is told */
/**
 * @typedef {object} Choices
 * @property {import('./protocol.js').Language} [language]
 * @property {string} [microphone]
 * @property {string} [camera]
 * @property {string} [speaker]
 * @property {boolean} [microphone_on]
 * @property {boolean} [camera_on]
 * @property {boolean} [saver] sound only
 */

/**
 * @param {string} key
 * @returns {Record<string, unknown>}
 */
function read(key) {
  try {
    const value = JSON.parse(localStorage.getItem(key) ?? '{}');
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 * @returns {boolean} whether it is kept
 */
function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    // A browser that keeps nothing still holds the call; only a refresh will ask again.
    return false;
  }
}

/** @returns {[place: string, kept: Kept][]} sessions still of use, newest first */
function sessions() {
  const fresh = Date.now() - SESSION_LIFE_MS;
  return /** @type {[string, Kept][]} */ (Object.entries(read(SESSIONS)))
    .filter(([, kept]) => typeof kept?.session === 'string' && kept.at > fresh)
    .sort(([, a], [, b]) => b.at - a.at);
}

/**
 * Sessions are kept by consultation and participant: two people may open their links in turn in
 * the one browser of a commune station.
 *
 * @param {string} session
 * @param {string} name of the person
 * @returns {boolean} whether this browser keeps it
 */
export function keepSession(session, name) {
  const kept = Object.fromEntries(sessions());
  return write(SESSIONS, { ...kept, [placeOf(session)]: { session, name, at: Date.now() } });
}

/** @param {string} session */
export function forgetSession(session) {
  write(
    SESSIONS,
    Object.fromEntries(sessions().filter(([place]) => place !== placeOf(session))),
  );
}

/**
 * @param {string} consultation
 * @param {string} participant
 * @returns {string | null}
 */
export function sessionFor(consultation, participant) {
  const found = sessions().find(([place]) => place === `${consultation}.${participant}`);
  return found?.[1].session ?? null;
}

/**
 * The session last used. One without a name is left out: nobody could tell whose it is.
 *
 * @returns {Kept | null}
 */
export function lastSession() {
  return sessions().find(([, { name }]) => typeof name === 'string' && name !== '')?.[1] ?? null;
}

/** @returns {Choices} */
export function choices() {
  return /** @type {Choices} */ (read(CHOICES));
}

/** @param {Choices} changed */
export function keepChoices(changed) {
  write(CHOICES, { ...choices(), ...changed });
}
