import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Hearing } from '../src/media/hearing.js';

let hearing;
let now_ms;
let packets;

/** @returns {number[]} when, in milliseconds from the beginning of it, it was said to be silent */
function listen(for_ms, packetsAtATime) {
  const said = [];
  for (let passed = 0; passed < for_ms; passed += 500) {
    now_ms += 500;
    packets += packetsAtATime;
    if (hearing.note(packets, now_ms)) said.push(passed + 500);
  }
  return said;
}

beforeEach(() => {
  hearing = new Hearing();
  now_ms = 50_000;
  packets = 0;
});

test('a call that falls silent is noticed once, and soon', () => {
  assert.deepEqual(listen(5000, 40), []);
  assert.deepEqual(listen(5000, 0), [1000]);
  assert.equal(hearing.silent, true);
});

test('a silence that lasts is left to the browser, and noticed no second time', () => {
  listen(5000, 40);
  assert.deepEqual(listen(60_000, 0), [1000]);
  assert.equal(hearing.silent, false);
});

test('when all stop sending, the reports that still come are no silence again and again', () => {
  listen(5000, 40);
  const said = [];
  for (let second = 0; second < 60; second += 1) said.push(...listen(1000, 0), ...listen(500, 1));
  assert.equal(said.length, 1);
});

test('what comes again is heard at once, and may fall silent again', () => {
  listen(5000, 40);
  listen(3000, 0);
  listen(500, 40);
  assert.equal(hearing.silent, false);
  listen(2000, 40);
  assert.deepEqual(listen(3000, 0), [1000]);
});

test('a call in which little is sent is not judged by its pauses', () => {
  listen(5000, 1);
  assert.deepEqual(listen(20_000, 0), []);
});

test('before anything was heard nothing is missed', () => {
  assert.deepEqual(listen(10_000, 0), []);
});
