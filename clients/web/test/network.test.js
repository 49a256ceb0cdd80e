import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { watchNetwork } from '../src/network.js';

let connection;
let now_ms;
let told;
let window;

beforeEach(() => {
  window = new EventTarget();
  connection = Object.assign(new EventTarget(), { type: 'wifi' });
  globalThis.addEventListener = window.addEventListener.bind(window);
  Object.defineProperty(globalThis, 'navigator', { value: { connection }, configurable: true });
  now_ms = 50_000;
  mock.method(performance, 'now', () => now_ms);
  told = 0;
  watchNetwork(() => (told += 1));
});
afterEach(() => {
  delete globalThis.addEventListener;
  mock.restoreAll();
});

function change(type) {
  now_ms += 5000;
  connection.type = type;
  connection.dispatchEvent(new Event('change'));
}

test('from Wi-Fi to mobile data is one change', () => {
  change('cellular');
  window.dispatchEvent(new Event('online'));
  assert.equal(told, 1);
});

test('another guess of the speed is none', () => {
  change('wifi');
  assert.equal(told, 0);
});

test('without any network there is nothing to try, and with the next there is', () => {
  change('none');
  assert.equal(told, 0);
  change('cellular');
  assert.equal(told, 1);
});
