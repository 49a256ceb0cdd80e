import assert from 'node:assert/strict';
import { test } from 'node:test';

import { score, settle } from '../src/media/quality.js';
import { sample, seat } from './samples.js';

const before = sample({ received: 0, seats: [seat(0, 0)] });

for (const [what, more, quality] of [
  ['a quiet network', {}, 'good'],
  ['no connection', { connected: false }, 'none'],
  ['3 % lost on the way to us', { lost: 31 }, 'fair'],
  ['10 % lost on the way to us', { lost: 112 }, 'bad'],
  ['10 % lost on the way from us', { sent: 100, sentLost: 10 }, 'bad'],
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
  for (let second = 0; second < 4; second += 1) steady = settle(steady, 'good');
  assert.equal(steady.shown, 'bad');
  assert.equal(settle(steady, 'bad').better, 0);
  assert.equal(settle(steady, 'good').shown, 'good');
});

test('a connection that comes back is shown at once', () => {
  assert.equal(settle({ shown: 'none', better: 0 }, 'fair').shown, 'fair');
});
