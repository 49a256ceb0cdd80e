/**
 * How good the connection is, in one word, as this device sees it by itself. Pure: samples in, a
 * word out. `sample.js` takes the samples from the browser.
 */

/**
 * Counters of one seat since the call began.
 *
 * @typedef {object} SeatCounters
 * @property {number} audioSamples
 * @property {number} concealedSamples made up where speech was missing
 * @property {number} framesReceived
 * @property {number} framesDecoded
 * @property {number} freezes
 * @property {number} freeze_ms total time that the picture stood still
 */

/**
 * One look at the connection. Counters only grow.
 *
 * @typedef {object} Sample
 * @property {boolean} connected
 * @property {number} rtt_ms 0 when unknown
 * @property {number} received packets
 * @property {number} lost packets that should have been received
 * @property {number} sent packets of what the server has reported on
 * @property {number} sentLost those of them that the server lost
 * @property {number} jitter_ms
 * @property {number | null} microphoneLevel 0…1 at this moment, null when nothing is sent
 * @property {number} microphoneEnergy sum of level² × seconds
 * @property {number} microphone_s length of that sum
 * @property {number | null} cameraFrames given by the camera; null when there is none
 * @property {readonly SeatCounters[]} seats by seat number
 */

/** @typedef {'good' | 'fair' | 'bad' | 'none'} Quality */

/**
 * What a person hears as bad (ITU-T G.114 for delay; loss that Opus can no longer hide).
 */
const BAD = { loss: 0.08, rtt_ms: 700, jitter_ms: 120, freeze: 0.4 };
const FAIR = { loss: 0.025, rtt_ms: 350, jitter_ms: 50, freeze: 0.1 };

/**
 * @param {Sample | null} before
 * @param {Sample} now
 * @param {number} elapsed_ms between the two
 * @returns {Quality}
 */
export function score(before, now, elapsed_ms) {
  if (!now.connected) return 'none';
  if (before === null || elapsed_ms <= 0) return 'good';
  const received = now.received - before.received;
  const lost = Math.max(0, now.lost - before.lost);
  const measured = {
    loss: Math.max(received + lost > 0 ? lost / (received + lost) : 0, upLoss(before, now)),
    rtt_ms: now.rtt_ms,
    jitter_ms: now.jitter_ms,
    freeze: Math.max(0, ...now.seats.map((seat, index) => frozen(before.seats[index], seat, elapsed_ms))),
  };
  if (reaches(measured, BAD)) return 'bad';
  return reaches(measured, FAIR) ? 'fair' : 'good';
}

/**
 * @param {Sample | null} before
 * @param {Sample} now
 * @returns {number} the share of what we sent in between that the server lost, 0…1
 */
export function upLoss(before, now) {
  const sent = now.sent - (before?.sent ?? 0);
  const lost = now.sentLost - (before?.sentLost ?? 0);
  return sent > 0 ? Math.min(1, Math.max(0, lost / sent)) : 0;
}

/**
 * @param {SeatCounters | undefined} before
 * @param {SeatCounters} now
 * @param {number} elapsed_ms
 * @returns {number} share of the time that one picture stood still
 */
function frozen(before, now, elapsed_ms) {
  const freeze_ms = now.freeze_ms - (before?.freeze_ms ?? now.freeze_ms);
  // Longer than we looked: a camera that was off and came back, not the network.
  return freeze_ms > elapsed_ms ? 0 : freeze_ms / elapsed_ms;
}

/**
 * @param {typeof BAD} measured
 * @param {typeof BAD} limit
 */
function reaches(measured, limit) {
  return (
    measured.loss >= limit.loss ||
    measured.rtt_ms >= limit.rtt_ms ||
    measured.jitter_ms >= limit.jitter_ms ||
    measured.freeze >= limit.freeze
  );
}

/**
 * A sign that flickers says nothing: worse is shown at once, better only when it has held.
 *
 * @typedef {object} Steady
 * @property {Quality} shown
 * @property {number} better how many samples in a row were better than shown
 */

/** @type {Record<Quality, number>} */
const ORDER = { good: 0, fair: 1, bad: 2, none: 3 };
const HOLD_SAMPLES = 5;

/**
 * @param {Steady} steady
 * @param {Quality} quality the newest score
 * @returns {Steady}
 */
export function settle(steady, quality) {
  if (ORDER[quality] >= ORDER[steady.shown]) return { shown: quality, better: 0 };
  // A connection that has just come (back) is shown at once: nobody should read "no connection"
  // while they already talk.
  if (steady.shown === 'none') return { shown: quality, better: 0 };
  const better = steady.better + 1;
  return better >= HOLD_SAMPLES ? { shown: quality, better: 0 } : { ...steady, better };
}
