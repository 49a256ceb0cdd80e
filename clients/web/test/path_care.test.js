import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { PathCare } from '../src/path_care.js';

let stands;
let heard;
let restarts;
let care;
let now_ms;

/** Time goes on. */
function pass(for_ms) {
  for (let passed = 0; passed < for_ms; passed += 100) {
    now_ms += 100;
    mock.timers.tick(100);
  }
}

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  now_ms = 50_000;
  mock.method(performance, 'now', () => now_ms);
  stands = false;
  heard = true;
  restarts = 0;
  care = new PathCare({
    stands: () => stands,
    restart: () => {
      if (heard) restarts += 1;
      return heard;
    },
  });
});
afterEach(() => {
  care.rest();
  mock.timers.reset();
  mock.restoreAll();
});

test('a path that comes back by itself is left alone', () => {
  care.doubt();
  stands = true;
  pass(60_000);
  assert.equal(restarts, 0);
});

test('a path that stays away is looked for anew within two seconds', () => {
  care.doubt();
  pass(900);
  assert.equal(restarts, 0);
  pass(1100);
  assert.equal(restarts, 1);
});

test('many doubts of one moment are one restart', () => {
  for (let count = 0; count < 5; count += 1) care.doubt();
  pass(2000);
  assert.equal(restarts, 1);
});

test('pauses grow while it helps nothing, and it never gives up', () => {
  care.doubt();
  const counts = [];
  for (let second = 0; second < 60; second += 1) {
    pass(1000);
    counts.push(restarts);
  }
  assert.ok(counts[9] <= 4, `${counts[9]} restarts in ten seconds`);
  assert.ok(counts[59] > counts[39] && counts[59] <= 10, `${counts[59]} restarts in a minute`);
});

test('a change of the device\u2019s own network waits for nothing', () => {
  care.move();
  care.move();
  assert.equal(restarts, 2);
  stands = true;
  pass(60_000);
  assert.equal(restarts, 2);
});

test('a silence waits for nothing the first time, and after ten good seconds it is the first again', () => {
  care.silence();
  assert.equal(restarts, 1);
  pass(20_000);
  stands = true;
  pass(11_000);
  restarts = 0;
  care.silence();
  pass(3000);
  care.silence();
  assert.equal(restarts, 2);
});

test('silences one after the other are no more restarts than a path that is gone', () => {
  for (let turn = 0; turn < 20; turn += 1) {
    stands = true;
    pass(2000);
    stands = false;
    care.silence();
    pass(1000);
  }
  assert.ok(restarts >= 3 && restarts <= 9, `${restarts} restarts in a minute`);
});

test('while nobody can be asked nothing is counted, and then it is asked at once', () => {
  heard = false;
  care.doubt();
  pass(10_000);
  heard = true;
  care.resume();
  assert.equal(restarts, 1);
});

test('a change of network that nobody could be told of is made up for, once', () => {
  stands = true;
  heard = false;
  care.move();
  heard = true;
  assert.deepEqual([care.resume(), care.resume(), restarts], [true, false, 1]);
});

test('a path that came back by itself meanwhile is left alone', () => {
  heard = false;
  care.doubt();
  pass(10_000);
  [heard, stands] = [true, true];
  assert.deepEqual([care.resume(), restarts], [false, 0]);
});

test('at rest nothing happens', () => {
  care.doubt();
  care.rest();
  pass(60_000);
  assert.equal(restarts, 0);
});
