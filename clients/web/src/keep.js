/**
 * What this browser remembers between visits: the sessions of running consultations, and the
 * person's choices of language and devices. Everything works without it (private windows).
 */

import { placeOf } from './link.js';

const SESSIONS = 'vtelehealth.session';
const CHOICES = 'vtelehealth.choices';
/** A session of an earlier day is of no use: consultations are over by then. */
const SESSION_LIFE_MS = 24 * 3600 * 1000;

/** @typedef {{session: string, at: number}} Kept */
/**
 * @typedef {object} Choices
 * @property {import('./protocol.js').Language} [language]
 * @property {string} [microphone]
 * @property {string} [camera]
 * @property {string} [speaker]
 * @property {boolean} [microphone_on]
 * @property {boolean} [camera_on]
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
 */
function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still holds the call; only a refresh will ask again.
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
 */
export function keepSession(session) {
  const kept = Object.fromEntries(sessions());
  write(SESSIONS, { ...kept, [placeOf(session)]: { session, at: Date.now() } });
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

/** @returns {string | null} the session last used, whoever's it was */
export function lastSession() {
  return sessions()[0]?.[1].session ?? null;
}

/** @returns {Choices} */
export function choices() {
  return /** @type {Choices} */ (read(CHOICES));
}

/** @param {Choices} changed */
export function keepChoices(changed) {
  write(CHOICES, { ...choices(), ...changed });
}
