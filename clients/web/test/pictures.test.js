import assert from 'node:assert/strict';
import { test } from 'node:test';

import { allPaused, follow, HOLD_MS, starved } from '../src/media/pictures.js';

/** What is said after these words of the server, each at its time. */
const said = (...words) =>
  words.reduce((last, [at_ms, pictures]) => follow(last, pictures, at_ms), []).map((one) => one?.pause ?? null);

test('a picture that is stopped is said at once, each seat for itself', () => {
  assert.deepEqual(said([0, ['shown', 'network', 'busy', 'off', 'hidden']]), [null, 'network', 'busy', null, null]);
});

test('it is still said for a moment while the picture comes back', () => {
  const back = [[0, ['network']], [100, ['shown']]];
  assert.deepEqual(said(...back, [100 + HOLD_MS - 1, ['shown']]), ['network']);
  assert.deepEqual(said(...back, [100 + HOLD_MS, ['shown']]), [null]);
});

test('a network that comes and goes flickers nothing', () => {
  const words = [];
  for (let at = 0; at < 5000; at += 400) words.push([at, ['network']], [at + 200, ['shown']]);
  for (let count = 1; count <= words.length; count += 1) assert.deepEqual(said(...words.slice(0, count)), ['network']);
});

test('a camera that was switched off meanwhile is not waited for', () => {
  assert.deepEqual(said([0, ['network']], [10, ['off']]), [null]);
  assert.deepEqual(said([0, ['network']], [10, ['hidden']]), [null]);
});

test('a seat that is gone is forgotten', () => {
  assert.deepEqual(said([0, ['network', 'network']], [10, ['network']]), ['network']);
});

for (const [pictures, all, some] of [
  [[], null, false],
  [['off', 'hidden'], null, false],
  [['network', 'off'], 'network', true],
  [['network', 'shown'], null, true],
  [['busy', 'busy'], 'busy', false],
  [['busy', 'network'], 'network', true],
]) {
  test(`${pictures.join(' ') || 'nobody'}: all paused for ${all}, starved ${some}`, () => {
    assert.equal(allPaused(pictures), all);
    assert.equal(starved(pictures), some);
  });
}
