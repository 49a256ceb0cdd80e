import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { PathCare } from '../src/path_care.js';

let stands;
let heard;
let restarts;
let care;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
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
});

test('a path that comes back by itself is left alone', () => {
  care.doubt();
  stands = true;
  mock.timers.tick(60_000);
  assert.equal(restarts, 0);
});

test('a path that stays away is looked for anew within two seconds', () => {
  care.doubt();
  mock.timers.tick(900);
  assert.equal(restarts, 0);
  mock.timers.tick(1100);
  assert.equal(restarts, 1);
});

test('many doubts of one moment are one restart', () => {
  for (let count = 0; count < 5; count += 1) care.doubt();
  mock.timers.tick(2000);
  assert.equal(restarts, 1);
});

test('pauses grow while it helps nothing, and it never gives up', () => {
  care.doubt();
  const counts = [];
  for (let second = 0; second < 60; second += 1) {
    mock.timers.tick(1000);
    counts.push(restarts);
  }
  assert.ok(counts[9] <= 4, `${counts[9]} restarts in ten seconds`);
  assert.ok(counts[59] > counts[39] && counts[59] <= 10, `${counts[59]} restarts in a minute`);
});

test('a change of the device\u2019s own network waits for nothing', () => {
  care.mend();
  assert.equal(restarts, 1);
  stands = true;
  mock.timers.tick(60_000);
  assert.equal(restarts, 1);
});

test('while nobody can be asked nothing is counted, and then it is asked at once', () => {
  heard = false;
  care.doubt();
  mock.timers.tick(10_000);
  heard = true;
  care.mend();
  assert.equal(restarts, 1);
});

test('at rest nothing happens', () => {
  care.doubt();
  care.rest();
  mock.timers.tick(60_000);
  assert.equal(restarts, 0);
});
