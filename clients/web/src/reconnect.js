/**
 * When to try the WebSocket and the media path again: pure policy, no timers.
 */

/** Close codes of the server (PROTOCOL.md) after which coming back by oneself is wrong. */
const FINAL_CODES = new Map([
  [4401, 'refused'],
  [4409, 'replaced'],
  [4410, 'ended'],
]);

const DELAYS_MS = [200, 500, 1000, 2000, 4000];
/** A person in a call waits no longer than this for the next try. */
const LONGEST_DELAY_MS = 5000;
/** After 4429 the server's bucket needs time to fill; after 4400 something of ours is broken. */
const PENALTY_MS = 10_000;

/**
 * What to do after the WebSocket closed.
 *
 * @param {number} code close code; 1006 when there was none
 * @param {number} attempt how many tries failed since the last good connection, from 0
 * @param {number} random in [0, 1): spreads a crowd that lost the same server
 * @returns {{retry: true, delay_ms: number} | {retry: false, why: string}}
 */
export function afterClose(code, attempt, random) {
  const why = FINAL_CODES.get(code);
  if (why !== undefined) return { retry: false, why };
  const base =
    code === 4400 || code === 4429 ? PENALTY_MS : (DELAYS_MS[attempt] ?? LONGEST_DELAY_MS);
  return { retry: true, delay_ms: spread_ms(base, random) };
}

/**
 * How long to wait before building the media connection again.
 *
 * @param {number} attempt how many failed in a row, from 0
 * @param {number} random in [0, 1): spreads a crowd that lost the same server
 * @returns {number} milliseconds
 */
export function mediaDelay_ms(attempt, random) {
  return spread_ms(Math.min(250 * 2 ** attempt, LONGEST_DELAY_MS), random);
}

/**
 * @param {number} base_ms
 * @param {number} random in [0, 1)
 */
function spread_ms(base_ms, random) {
  return Math.round(base_ms * (0.8 + 0.4 * random));
}

/** The checks of a restart need a moment on a slow network before another could help. */
const RESTARTS_MS = [0, 2000, 4000, 8000];

/**
 * How long after the last ICE restart to try another.
 *
 * @param {number} attempt how many were made since the path last stood, from 0
 * @returns {number} milliseconds
 */
export function restartDelay_ms(attempt) {
  return RESTARTS_MS[attempt] ?? 8000;
}

/** Errors that pass by themselves: try again instead of giving up. */
const PASSING = new Set(['store_unavailable', 'media_unavailable', 'media_busy', 'internal', 'too_many']);

/**
 * @param {string} code error code of the server
 * @returns {boolean} whether a later try may succeed with nobody doing anything
 */
export function passes(code) {
  return PASSING.has(code);
}
