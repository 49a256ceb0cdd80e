import assert from 'node:assert/strict';
import { test } from 'node:test';

import { takeSample } from '../src/media/sample.js';

/** A connection with one seat whose browser tells these statistics. */
function peerWith(...rows) {
  const report = new Map(rows.map((row) => [row.id, row]));
  const seat = { audio: { mid: '0' }, video: { mid: '1' } };
  return {
    pc: { connectionState: 'connected' },
    seats: [seat],
    tracks: { microphone: null, camera: null },
    stats: async () => report,
  };
}

const pair = (id, rtt_s, more = {}) => ({
  id,
  type: 'candidate-pair',
  nominated: true,
  state: 'succeeded',
  currentRoundTripTime: rtt_s,
  ...more,
});

for (const [browser, rows] of [
  ['Chromium', [pair('left', 1), pair('now', 0.04), { id: 'T', type: 'transport', selectedCandidatePairId: 'now' }]],
  ['Firefox', [pair('left', 1, { selected: false }), pair('now', 0.04, { selected: true }), pair('gone', 2)]],
  ['another', [pair('tried', 1, { nominated: false }), pair('now', 0.04), pair('lost', 1, { state: 'failed' })]],
]) {
  test(`the round trip is that of the pair in use (${browser})`, async () => {
    assert.equal((await takeSample(peerWith(...rows))).rtt_ms, 40);
  });
}

test('without any pair the round trip is unknown', async () => {
  assert.equal((await takeSample(peerWith())).rtt_ms, 0);
  const early = { id: 'T', type: 'transport' };
  assert.equal((await takeSample(peerWith(early))).rtt_ms, 0);
});

test('a pause in talking that is filled is nothing missed', async () => {
  const voice = { id: 'A', type: 'inbound-rtp', kind: 'audio', mid: '0', totalSamplesReceived: 9000 };
  const { seats } = await takeSample(peerWith({ ...voice, concealedSamples: 500, silentConcealedSamples: 480 }));
  assert.deepEqual([seats[0].audioSamples, seats[0].concealedSamples], [9000, 20]);
});
