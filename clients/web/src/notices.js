/**
 * What deserves a word or a sound when the consultation changes: pure, from two states.
 */

import { starved } from './media/pictures.js';
import { others, queue, screenOf, self } from './state.js';

/** @typedef {import('./state.js').RoomState} RoomState */
/** @typedef {import('./i18n/index.js').Key} Key */

/**
 * `loud` notices are shown, others are only read out; `ring` sounds the chime.
 *
 * @typedef {object} Notice
 * @property {Key} text
 * @property {import('./protocol.js').Participant | null} about
 * @property {boolean} loud
 * @property {boolean} ring
 */

/**
 * @param {RoomState} before
 * @param {RoomState} after
 * @returns {Notice[]}
 */
export function notices(before, after) {
  const was = screenOf(before);
  const is = screenOf(after);
  if (was === 'waiting' && is === 'call') {
    return [{ text: 'waiting.admitted', about: null, loud: false, ring: true }];
  }
  if (was === 'call' && is === 'waiting') {
    return [{ text: 'waiting.held', about: null, loud: false, ring: true }];
  }
  if (was !== 'call' || is !== 'call') return [];
  return [...comings(before, after), ...recording(before, after), ...pictures(before, after)];
}

/**
 * @param {RoomState} before
 * @param {RoomState} after
 * @returns {Notice[]}
 */
function comings(before, after) {
  const waited = new Set(queue(before).map(({ id }) => id));
  const arrived = queue(after)
    .filter(({ id }) => !waited.has(id))
    .map((about) => /** @type {Notice} */ ({ text: 'people.is_waiting', about, loud: false, ring: true }));
  const moved = others(after).flatMap((about) => {
    const old = before.people[about.id];
    const text = movement(old, about);
    return text === null ? [] : [{ text, about, loud: text === 'people.hand_raised', ring: false }];
  });
  return [...arrived, ...moved];
}

/**
 * @param {import('./protocol.js').Participant | undefined} old
 * @param {import('./protocol.js').Participant} now
 * @returns {'people.joined' | 'people.gone' | 'people.hand_raised' | null}
 */
function movement(old, now) {
  if (old === undefined) return null;
  if (old.state !== 'admitted' && now.state === 'admitted') return 'people.joined';
  if (old.state === 'admitted' && now.state === 'left') return 'people.gone';
  return !old.hand_raised && now.hand_raised && now.state === 'admitted' ? 'people.hand_raised' : null;
}

/**
 * The eye sees it in the place of the picture.
 *
 * @param {RoomState} before
 * @param {RoomState} after
 * @returns {Notice[]}
 */
function pictures(before, after) {
  if (starved(before.pictures) || !starved(after.pictures)) return [];
  return [{ text: 'pictures.network', about: null, loud: false, ring: false }];
}

/** @type {Record<string, Key>} */
const STOPPED = {
  consent_withdrawn: 'recording.stopped_consent',
  failed: 'recording.stopped_failed',
};

/**
 * @param {RoomState} before
 * @param {RoomState} after
 * @returns {Notice[]}
 */
function recording(before, after) {
  const was = before.recording?.state ?? 'off';
  const now = after.recording;
  if (now === null || now.state === was || self(after) === null) return [];
  /** @type {Key} */
  const text = now.state === 'on' ? 'recording.started' : (STOPPED[now.stop_reason] ?? 'recording.stopped');
  return [{ text, about: null, loud: true, ring: false }];
}
