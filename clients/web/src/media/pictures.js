/**
 * Which pictures are said to be stopped, and why. Pure. The server's word changes as the network
 * breathes; what a person reads shall not flicker.
 */

/** @typedef {import('../protocol.js').PictureState} PictureState */
/** @typedef {'network' | 'busy'} Pause */
/**
 * What is said in the place of one picture; `until` is when to stop saying it (null: not yet known).
 *
 * @typedef {{pause: Pause, until: number | null}} Said
 */

/** The picture itself needs a moment to come back too. */
export const HOLD_MS = 1000;

/**
 * @param {readonly (Said | null)[]} said by seat
 * @param {readonly PictureState[]} pictures by seat, the server's word
 * @param {number} now_ms
 * @returns {(Said | null)[]} by seat
 */
export function follow(said, pictures, now_ms) {
  return pictures.map((state, seat) => {
    if (state === 'network' || state === 'busy') return { pause: state, until: null };
    const last = said[seat] ?? null;
    // Nobody waits for a picture that its own source does not send.
    if (last === null || state !== 'shown') return null;
    const until = last.until ?? now_ms + HOLD_MS;
    return now_ms < until ? { ...last, until } : null;
  });
}

/**
 * @param {readonly PictureState[]} pictures
 * @returns {boolean} whether the network carries some picture that somebody sends and we draw, no more
 */
export function starved(pictures) {
  return pictures.includes('network');
}

/**
 * @param {readonly PictureState[]} pictures
 * @returns {Pause | null} why there is no picture at all, when that is why
 */
export function allPaused(pictures) {
  const due = pictures.filter((state) => state !== 'off' && state !== 'hidden');
  if (due.length === 0 || due.includes('shown')) return null;
  return due.includes('network') ? 'network' : 'busy';
}
