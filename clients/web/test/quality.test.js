import assert from 'node:assert/strict';
import { test } from 'node:test';

import { look, score, settle, WATCHING } from '../src/media/quality.js';

const seat = (audioPackets, framesDecoded, freeze_ms = 0) => ({ audioPackets, framesDecoded, freeze_ms });
const sample = (more = {}) => ({
  connected: true,
  rtt_ms: 40,
  received: 1000,
  lost: 0,
  sentLoss: 0,
  jitter_ms: 5,
  microphoneLevel: 0.1,
  seats: [seat(500, 300)],
  ...more,
});
const before = sample({ received: 0, seats: [seat(0, 0)] });

for (const [what, more, quality] of [
  ['a quiet network', {}, 'good'],
  ['no connection', { connected: false }, 'none'],
  ['3 % lost on the way to us', { lost: 31 }, 'fair'],
  ['10 % lost on the way to us', { lost: 112 }, 'bad'],
  ['10 % lost on the way from us', { sentLoss: 0.1 }, 'bad'],
  ['a satellite', { rtt_ms: 500 }, 'fair'],
  ['a very long way', { rtt_ms: 900 }, 'bad'],
  ['packets that come in clumps', { jitter_ms: 80 }, 'fair'],
  ['a picture frozen half of the time', { seats: [seat(500, 300, 1000)] }, 'bad'],
  ['a camera that was off for a minute', { seats: [seat(500, 300, 60_000)] }, 'good'],
]) {
  test(`${what} is ${quality}`, () => assert.equal(score(before, sample(more), 2000), quality));
}

test('what was lost before we looked does not count', () => {
  const bad = sample({ lost: 500 });
  assert.equal(score(bad, sample({ lost: 500, received: 2000 }), 2000), 'good');
});

test('worse is shown at once, better only when it holds', () => {
  let steady = settle({ shown: 'good', better: 0 }, 'bad');
  assert.equal(steady.shown, 'bad');
  steady = settle(settle(steady, 'good'), 'good');
  assert.equal(steady.shown, 'bad');
  assert.equal(settle(steady, 'bad').better, 0);
  assert.equal(settle(steady, 'good').shown, 'good');
});

test('a connection that comes back is shown at once', () => {
  assert.equal(settle({ shown: 'none', better: 0 }, 'fair').shown, 'fair');
});

const expected = [{ seat: 0, source: 'a/camera', audio: true, video: true }];
const watch = (samples, what = expected) =>
  samples.reduce(
    ({ watch: state }, now) => look(state, now, what, 2000),
    { watch: WATCHING, faults: [] },
  );

test('silence and a frozen picture are told within five seconds, and not before four', () => {
  const still = sample();
  assert.deepEqual(watch([still, still, still]).faults, []);
  assert.deepEqual(watch([still, still, still, still]).faults, ['audio:a/camera', 'video:a/camera']);
});

test('a fault is gone as soon as something arrives', () => {
  const still = sample();
  assert.deepEqual(watch([still, still, still, still, sample({ seats: [seat(501, 301)] })]).faults, []);
});

test('nothing is missed of who should send nothing', () => {
  const still = sample();
  const quiet = [{ seat: 0, source: 'a/camera', audio: false, video: false }];
  assert.deepEqual(watch([still, still, still, still, still], quiet).faults, []);
});

test('a microphone that is on and hears nothing is told; one that is off is not', () => {
  const deaf = sample({ microphoneLevel: 0 });
  assert.deepEqual(watch([deaf, deaf, deaf], []).faults, ['microphone']);
  const off = sample({ microphoneLevel: null });
  assert.deepEqual(watch([off, off, off, off], []).faults, []);
});
