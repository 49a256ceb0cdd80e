/**
 * How good the connection is, in one word, and what is wrong with sound or picture. Pure: samples
 * in, words out. `sample.js` takes the samples from the browser.
 */

/**
 * Counters of one seat since the call began.
 *
 * @typedef {object} SeatCounters
 * @property {number} audioPackets
 * @property {number} framesDecoded
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
 * @property {number} sentLoss fraction of what we send that the server lost, 0…1
 * @property {number} jitter_ms
 * @property {number | null} microphoneLevel 0…1, null when nothing is sent
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
    loss: Math.max(received + lost > 0 ? lost / (received + lost) : 0, now.sentLoss),
    rtt_ms: now.rtt_ms,
    jitter_ms: now.jitter_ms,
    freeze: Math.max(0, ...now.seats.map((seat, index) => frozen(before.seats[index], seat, elapsed_ms))),
  };
  if (reaches(measured, BAD)) return 'bad';
  return reaches(measured, FAIR) ? 'fair' : 'good';
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
const HOLD_SAMPLES = 3;

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

/**
 * What should be coming on a seat, and what has come.
 *
 * @typedef {object} Expected
 * @property {number} seat
 * @property {string} source
 * @property {boolean} audio whether sound should be arriving
 * @property {boolean} video whether a picture should be arriving and is being drawn
 */

/**
 * @typedef {object} Watch
 * @property {Readonly<Record<string, number>>} still by fault, for how long it has lasted in ms
 * @property {Sample | null} last
 */

/** @type {Watch} */
export const WATCHING = Object.freeze({ still: {}, last: null });

/** A fault is told after this long; shorter ones are the network breathing. */
const FAULT_AFTER_MS = 4500;
/** Below this a microphone that is on hears nothing at all: a real room is never this quiet. */
const SILENCE = 0.0003;

/**
 * Look for silence and frozen pictures.
 *
 * @param {Watch} watch
 * @param {Sample} now
 * @param {readonly Expected[]} expected
 * @param {number} elapsed_ms since the last look
 * @returns {{watch: Watch, faults: string[]}} faults are `microphone`, `audio:<source>`,
 *   `video:<source>`
 */
export function look(watch, now, expected, elapsed_ms) {
  const last = watch.last;
  /** @type {Record<string, number>} */
  const still = {};
  /** @param {string} fault */
  const lasts = (fault) => {
    still[fault] = (watch.still[fault] ?? 0) + elapsed_ms;
  };
  if (now.connected && now.microphoneLevel !== null && now.microphoneLevel < SILENCE) {
    lasts('microphone');
  }
  if (last !== null && now.connected) {
    for (const { seat, source, audio, video } of expected) {
      const counters = now.seats[seat];
      const before = last.seats[seat];
      if (counters === undefined || before === undefined) continue;
      if (audio && counters.audioPackets === before.audioPackets) lasts(`audio:${source}`);
      if (video && counters.framesDecoded === before.framesDecoded) lasts(`video:${source}`);
    }
  }
  const faults = Object.keys(still).filter((fault) => (still[fault] ?? 0) >= FAULT_AFTER_MS);
  return { watch: { still, last: now }, faults };
}
