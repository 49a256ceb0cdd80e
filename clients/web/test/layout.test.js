import assert from 'node:assert/strict';
import { test } from 'node:test';

import { arrange, columnsFor, drawnHeight, fit, largeTile } from '../src/layout.js';

const STAGES = [
  [1240, 640],
  [374, 650],
  [860, 640],
  [320, 320],
];

function overlap(a, b) {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

for (const [width, height] of STAGES) {
  test(`on ${width} × ${height} tiles stay inside, have a size and never overlap`, () => {
    for (let count = 1; count <= 16; count += 1) {
      for (const large of count > 1 ? [-1, 0, count - 1] : [-1]) {
        const rects = arrange(count, large, width, height);
        assert.equal(rects.length, count);
        for (const rect of rects) {
          assert.ok(rect.width > 10 && rect.height > 10, `${count} tiles, ${large} large`);
          assert.ok(rect.left >= -0.01 && rect.left + rect.width <= width + 0.01);
          assert.ok(rect.top >= -0.01 && rect.top + rect.height <= height + 0.01);
        }
        rects.forEach((rect, index) => {
          assert.ok(!rects.slice(index + 1).some((other) => overlap(rect, other)));
        });
      }
    }
  });
}

test('the large tile is the largest', () => {
  const rects = arrange(5, 2, 1240, 640);
  const areas = rects.map(({ width, height }) => width * height);
  assert.equal(areas.indexOf(Math.max(...areas)), 2);
});

test('nobody takes no place', () => assert.deepEqual(arrange(0, -1, 800, 600), []));

test('two stand beside each other on a wide stage, above each other on a phone', () => {
  assert.equal(columnsFor(2, 1600, 500), 2);
  assert.equal(columnsFor(2, 374, 650), 1);
});

const tile = (source, screen = false) => ({ seat: 0, source, screen });

test('a pin wins over a screen, a screen over cameras, and one alone needs neither', () => {
  const tiles = [tile('a'), tile('b/screen', true), tile('c')];
  assert.equal(largeTile(tiles, 'c'), 2);
  assert.equal(largeTile(tiles, null), 1);
  assert.equal(largeTile(tiles, 'gone'), 1);
  assert.equal(largeTile([tile('a'), tile('c')], null), -1);
  assert.equal(largeTile([tile('a')], 'a'), -1);
});

test('a picture is cropped to a tile of like shape, and shown whole in a very different one', () => {
  assert.equal(fit(16 / 9, 4 / 3), 'cover');
  assert.equal(fit(0.4, 16 / 9), 'contain');
  assert.equal(fit(1, Number.NaN), 'cover');
});

test('a picture is as tall as it is drawn, with what is cropped of it', () => {
  const upright = { width: 360, height: 640 };
  assert.equal(drawnHeight(upright, 16 / 9, 'cover'), 640);
  assert.equal(drawnHeight(upright, 16 / 9, 'contain'), 202.5);
  const flat = { width: 640, height: 180 };
  assert.equal(drawnHeight(flat, 16 / 9, 'cover'), 360);
  assert.equal(drawnHeight(flat, 16 / 9, 'contain'), 180);
  assert.equal(drawnHeight(flat, Number.NaN, 'cover'), 180);
});
