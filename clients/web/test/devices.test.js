import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Devices } from '../src/media/devices.js';
import { INITIAL, Store } from '../src/store.js';

/** What the browser is asked for, and the tracks that it gave. */
let asked;
let tracks;
let store;
let devices;
let refusal;

function track(kind) {
  const made = { kind, enabled: true, stopped: false, getSettings: () => ({ deviceId: `${kind}-1` }), stop: () => (made.stopped = true) };
  tracks.push(made);
  return made;
}

beforeEach(() => {
  asked = [];
  tracks = [];
  refusal = null;
  globalThis.localStorage = { getItem: () => null, setItem: () => undefined };
  globalThis.isSecureContext = true;
  const mediaDevices = {
    addEventListener: () => undefined,
    enumerateDevices: async () => [],
    getUserMedia: async ({ audio, video }) => {
      asked.push({ audio, video });
      if (refusal !== null) throw new DOMException('', refusal);
      return { getTracks: () => [audio && track('audio'), video && track('video')].filter(Boolean) };
    },
  };
  Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices }, configurable: true });
  store = new Store(INITIAL);
  devices = new Devices(store);
});

/** The device is pulled out. */
async function unplug(lost) {
  lost.onended();
  await devices.rest([]);
}

test('a microphone that is unplugged is replaced by the system\u2019s own, once', async () => {
  await devices.open();
  await unplug(devices.microphone);
  assert.deepEqual([store.get().devices.audio.status, tracks.length], ['open', 3]);
  assert.equal(asked.at(-1).audio.deviceId, undefined);
  await unplug(devices.microphone);
  assert.deepEqual([store.get().devices.audio.status, tracks.length], ['none', 3]);
  await devices.open();
  assert.equal(store.get().devices.audio.status, 'open');
});

test('a microphone taken away in the settings tells why', async () => {
  await devices.open();
  refusal = 'NotAllowedError';
  await unplug(devices.microphone);
  assert.equal(store.get().devices.audio.status, 'denied');
  assert.equal(store.get().devices.video.status, 'open');
});

test('at rest nothing is open, and one tap brings one device back', async () => {
  await devices.open();
  await devices.rest();
  assert.deepEqual([devices.microphone, devices.camera], [null, null]);
  assert.ok(tracks.every(({ stopped }) => stopped));
  await devices.turn('audio', true);
  assert.notEqual(devices.microphone, null);
  assert.equal(devices.camera, null);
});

for (const [secure, status] of [[true, 'unsupported'], [false, 'insecure']]) {
  test(`a browser without devices, secure ${secure}: ${status}`, async () => {
    globalThis.isSecureContext = secure;
    navigator.mediaDevices.getUserMedia = undefined;
    await devices.open();
    assert.equal(store.get().devices.audio.status, status);
  });
}
