import assert from 'node:assert/strict';
import { test } from 'node:test';

import { deviceState, statsOf } from '../src/media/stats.js';
import { sample, seat } from './samples.js';

const ON = { microphone: 'on', camera: 'on' };

test('a device is off, on, or silenced by the system', () => {
  assert.equal(deviceState(null), 'off');
  assert.equal(deviceState({ enabled: false, muted: true }), 'off');
  assert.equal(deviceState({ enabled: true, muted: true }), 'muted');
  assert.equal(deviceState({ enabled: true, muted: false }), 'on');
});

test('loss is that of the last second, not of the whole call', () => {
  const before = sample({ received: 900, lost: 500 });
  assert.equal(statsOf(before, sample({ received: 1000, lost: 500 }), ON).down_loss, 0);
  assert.equal(statsOf(before, sample({ received: 990, lost: 510 }), ON).down_loss, 0.1);
  assert.equal(statsOf(null, sample({ received: 0, lost: 0 }), ON).down_loss, 0);
});

test('counters that begin anew are no loss', () => {
  const { down_loss } = statsOf(sample({ received: 900, lost: 50 }), sample({ received: 10, lost: 0 }), ON);
  assert.equal(down_loss, 0);
});

test('the loudest of the second is told, though this moment is a pause', () => {
  const before = sample({ microphoneEnergy: 1, microphone_s: 10 });
  const pause = sample({ microphoneLevel: 0.001, microphoneEnergy: 1.04, microphone_s: 11 });
  assert.ok(Math.abs(statsOf(before, pause, ON).microphone_level - 0.2) < 1e-9);
  const dead = sample({ microphoneLevel: 0, microphoneEnergy: 1, microphone_s: 11 });
  assert.equal(statsOf(before, dead, ON).microphone_level, 0);
});

test('a microphone that gives nothing is silent, whatever level stands there', () => {
  const before = sample({ microphoneLevel: 0.2 });
  assert.equal(statsOf(before, sample({ microphoneLevel: 0.2 }), ON).microphone_level, 0);
  const unmeasured = { microphoneEnergy: 0, microphone_s: 0 };
  assert.equal(statsOf(sample(unmeasured), sample(unmeasured), ON).microphone_level, 0.1);
});

test('of what is off, or not measured, nothing is said', () => {
  const off = statsOf(null, sample(), { microphone: 'off', camera: 'off' });
  assert.deepEqual([off.microphone_level, off.camera_frames], [null, null]);
  const unknown = statsOf(null, sample({ microphoneLevel: null, cameraFrames: null, rtt_ms: 0 }), ON);
  assert.deepEqual([unknown.microphone_level, unknown.camera_frames, unknown.round_trip_ms], [null, null, null]);
});

test('each seat is told by its number', () => {
  const { seats } = statsOf(null, sample({ seats: [seat(1, 2), seat(3, 4)] }), ON);
  assert.deepEqual(
    seats.map(({ seat: number, audio_samples, frames_decoded }) => [number, audio_samples, frames_decoded]),
    [[0, 960, 2], [1, 2880, 4]],
  );
});
