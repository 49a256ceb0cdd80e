import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { forgetSession, keepSession, lastSession, sessionFor } from '../src/keep.js';

const HOUR_MS = 3600 * 1000;

/** What a browser's localStorage does. */
function storage({ full = false } = {}) {
  const values = new Map();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => {
      if (full) throw new Error('QuotaExceededError');
      values.set(key, value);
    },
  };
}

beforeEach(() => {
  globalThis.localStorage = storage();
});

test('a session is found by its place, and the last person by name', () => {
  assert.equal(keepSession('c1.p1.secret', 'Ước'), true);
  assert.equal(sessionFor('c1', 'p1'), 'c1.p1.secret');
  assert.equal(sessionFor('c1', 'p2'), null);
  assert.equal(lastSession()?.name, 'Ước');
});

test('a session whose person is not known by name is offered to nobody', () => {
  keepSession('c1.p1.secret', '');
  assert.equal(lastSession(), null);
  assert.equal(sessionFor('c1', 'p1'), 'c1.p1.secret');
});

test('a forgotten session is gone, others stay', () => {
  keepSession('c1.p1.secret', 'Ước');
  keepSession('c1.p2.secret', 'Mai');
  forgetSession('c1.p2.secret');
  assert.equal(lastSession()?.name, 'Ước');
  assert.equal(sessionFor('c1', 'p2'), null);
});

test('after twelve hours nothing is known of anybody', (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: 1_000 * HOUR_MS });
  keepSession('c1.p1.secret', 'Ước');
  context.mock.timers.setTime(1_012 * HOUR_MS - 1);
  assert.equal(lastSession()?.name, 'Ước');
  context.mock.timers.setTime(1_012 * HOUR_MS);
  assert.equal(lastSession(), null);
});

test('a browser that keeps nothing says so', () => {
  globalThis.localStorage = storage({ full: true });
  assert.equal(keepSession('c1.p1.secret', 'Ước'), false);
});
