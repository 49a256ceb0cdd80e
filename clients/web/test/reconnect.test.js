import assert from 'node:assert/strict';
import { test } from 'node:test';

import { afterClose, mediaDelay_ms, passes } from '../src/reconnect.js';

for (const [code, why] of [
  [4401, 'refused'],
  [4409, 'replaced'],
  [4410, 'ended'],
]) {
  test(`after ${code} it stays closed: ${why}`, () => {
    assert.deepEqual(afterClose(code, 0, 0.5), { retry: false, why });
  });
}

test('the first try comes at once, later ones slower, and never later than six seconds', () => {
  const delays = Array.from({ length: 40 }, (_, attempt) => {
    const next = afterClose(1006, attempt, 0.5);
    assert.ok(next.retry);
    return next.delay_ms;
  });
  assert.ok(delays[0] <= 250);
  assert.deepEqual(delays, delays.toSorted((a, b) => a - b));
  assert.ok(Math.max(...delays) <= 6000);
});

test('a crowd is spread', () => {
  const early = afterClose(1001, 3, 0);
  const late = afterClose(1001, 3, 0.999);
  assert.ok(early.retry && late.retry && late.delay_ms > early.delay_ms * 1.4);
});

test('too many messages cost a longer pause', () => {
  const next = afterClose(4429, 0, 0.5);
  assert.ok(next.retry && next.delay_ms >= 8000);
});

test('media is tried again soon, then more slowly, then at a steady pace', () => {
  assert.equal(mediaDelay_ms(0, 0.5), 250);
  assert.ok(mediaDelay_ms(3, 0.5) > mediaDelay_ms(2, 0.5));
  assert.equal(mediaDelay_ms(30, 0.5), 5000);
});

test('a crowd whose media server died is spread', () => {
  assert.ok(mediaDelay_ms(4, 0.999) > mediaDelay_ms(4, 0) * 1.4);
});

test('only what passes by itself is tried again', () => {
  assert.ok(passes('store_unavailable'));
  assert.ok(!passes('token_expired'));
});
