import assert from 'node:assert/strict';
import { test } from 'node:test';

import { adjust, waysToSend } from '../src/media/encodings.js';

const layers = (active) => Object.entries(active).map(([rid, on]) => ({ rid, active: on }));
const three = () => structuredClone(waysToSend('video', true)[0]).map((one) => ({ ...one, active: true }));
const sent = (encodings) => encodings.filter(({ active }) => active).map(({ rid }) => rid).join('');
const sizes = (encodings) => encodings.filter(({ active }) => active).map((one) => one.scaleResolutionDownBy);

test('a camera goes out in three sizes, lowest first, each larger and dearer than the last', () => {
  const [best] = waysToSend('video', true);
  assert.deepEqual(best.map(({ rid }) => rid), ['q', 'h', 'f']);
  assert.deepEqual(best.map(({ scaleResolutionDownBy }) => scaleResolutionDownBy), [4, 2, 1]);
  assert.ok(best.every(({ maxBitrate }, at) => at === 0 || maxBitrate > best[at - 1].maxBitrate));
});

test('every way to send a camera ends with one whole picture', () => {
  for (const simulcast of [true, false]) {
    const last = waysToSend('video', simulcast).at(-1);
    assert.equal(last.length, 1);
    assert.equal(last[0].scaleResolutionDownBy, undefined);
  }
  assert.equal(waysToSend('video', false).length, 1);
});

test('screen and voice are sent once', () => {
  for (const kind of ['screen', 'audio']) assert.deepEqual(waysToSend(kind, true).map((way) => way.length), [1]);
});

test('layers are switched by their names; those unnamed stay on', () => {
  const encodings = three();
  assert.equal(adjust(encodings, layers({ q: true, f: false }), Infinity), true);
  assert.equal(sent(encodings), 'qh');
  assert.equal(adjust(encodings, layers({ q: true, f: false }), Infinity), false);
});

test('without a word of the server all are sent', () => {
  const encodings = three();
  assert.equal(adjust(encodings, null, Infinity), false);
  adjust(encodings, layers({ q: false, h: false, f: false }), Infinity);
  assert.equal(sent(encodings), '');
  assert.equal(adjust(encodings, null, Infinity), true);
  assert.equal(sent(encodings), 'qhf');
});

for (const [what, captured_px, rids, scales] of [
  ['a good camera', 1280 * 720, 'qhf', [4, 2, 1]],
  ['the smallest of the good', 960 * 540, 'qhf', [4, 2, 1]],
  ['an old webcam', 640 * 480, 'qh', [2, 1]],
  ['a tiny one', 320 * 240, 'q', [1]],
]) {
  test(`${what} always sends its whole picture: ${rids}`, () => {
    const encodings = three();
    adjust(encodings, null, captured_px);
    assert.equal(sent(encodings), rids);
    assert.deepEqual(sizes(encodings), scales);
    adjust(encodings, null, Infinity);
    assert.deepEqual(sizes(encodings), [4, 2, 1]);
  });
}

test('a small camera asked for a layer that it has not sends the best it has', () => {
  const encodings = three();
  adjust(encodings, layers({ q: false, h: false, f: true }), 640 * 480);
  assert.equal(sent(encodings), 'h');
  adjust(encodings, layers({ q: true, h: false, f: true }), 640 * 480);
  assert.equal(sent(encodings), 'q');
  adjust(encodings, layers({ q: false, h: false, f: false }), 640 * 480);
  assert.equal(sent(encodings), '');
});

test('the only encoding carries whatever anybody takes', () => {
  const only = [{ active: true }];
  adjust(only, layers({ '': false }), 320 * 240);
  assert.equal(only[0].active, false);
  adjust(only, layers({ q: false, h: true }), 320 * 240);
  assert.equal(only[0].active, true);
});

test('the lowest of three that is left alone is made whole, once', () => {
  const left = [{ rid: 'q', active: true, scaleResolutionDownBy: 4, maxBitrate: 120_000 }];
  assert.equal(adjust(left, null, Infinity), true);
  assert.equal(left[0].scaleResolutionDownBy, 1);
  assert.ok(left[0].maxBitrate > 1_000_000);
  assert.equal(adjust(left, null, Infinity), false);
  assert.equal(adjust([], null, Infinity), false);
});
