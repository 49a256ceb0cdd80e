import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Saver } from '../src/saver.js';
import { EMPTY, reduce } from '../src/state.js';
import { INITIAL, Store } from '../src/store.js';
import { joined, participant, room } from './messages.js';

const SPEAKER = { permissions: ['speak'] };
let kept;
let store;
let saver;
let cameras;
let devices;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  kept = new Map();
  globalThis.localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  open();
  be(SPEAKER);
});
afterEach(() => {
  pictures('shown');
  mock.timers.reset();
});

/** The page is opened. */
function open() {
  store = new Store(INITIAL);
  cameras = [];
  const wanted = (on) => {
    const { devices } = store.get();
    cameras.push(on);
    store.set({ devices: { ...devices, video: { ...devices.video, wanted: on } } });
  };
  devices = {
    screen: null,
    rest: async () => wanted(false),
    turn: async (_, on) => wanted(on),
    unshare: () => share(null),
  };
  saver = new Saver(store, devices);
  store.listen((app, before) => saver.follow(app, before));
}

/** The screen is shared, or no more. */
function share(screen) {
  devices.screen = screen;
  store.set({ devices: { ...store.get().devices, screen: screen !== null } });
}

function be(more) {
  const messages = [joined('me', more), room([participant('me', 'admitted', more)])];
  store.set({ room: messages.reduce(reduce, EMPTY) });
}

function pictures(...seats) {
  store.set({ room: reduce(store.get().room, { type: 'pictures', seats }) });
}

test('sound only lets the camera go, and brings it back', () => {
  saver.turn(true);
  assert.deepEqual([store.get().saver, cameras], [true, [false]]);
  saver.turn(false);
  assert.deepEqual([store.get().saver, cameras], [false, [false, true]]);
});

test('it is remembered', () => {
  saver.turn(true);
  open();
  assert.equal(store.get().saver, true);
  saver.turn(false);
  open();
  assert.equal(store.get().saver, false);
});

test('who only listens has no camera to come back', () => {
  be({ permissions: [] });
  saver.turn(true);
  saver.turn(false);
  assert.deepEqual(cameras, [false]);
});

test('whoever switches the camera on wants pictures', () => {
  saver.turn(true);
  const { devices } = store.get();
  store.set({ devices: { ...devices, video: { ...devices.video, wanted: true } } });
  assert.equal(store.get().saver, false);
});

test('sound only ends what one shares of the screen', () => {
  share({});
  saver.turn(true);
  assert.deepEqual([store.get().saver, devices.screen], [true, null]);
});

test('whoever shares a screen wants pictures', () => {
  saver.turn(true);
  share({});
  assert.equal(store.get().saver, false);
});

test('it is advised after ten seconds of a network without pictures, and not before', () => {
  pictures('network');
  mock.timers.tick(9000);
  assert.equal(store.get().saver_advised, false);
  pictures('network', 'off');
  mock.timers.tick(1000);
  assert.equal(store.get().saver_advised, true);
  pictures('shown');
  assert.equal(store.get().saver_advised, false);
});

test('a network that recovers in between starts the count anew', () => {
  pictures('network');
  mock.timers.tick(9000);
  pictures('shown');
  pictures('network');
  mock.timers.tick(9000);
  assert.equal(store.get().saver_advised, false);
});

test('who declined is not asked again', () => {
  pictures('network');
  mock.timers.tick(10_000);
  saver.decline();
  pictures('shown');
  pictures('network');
  mock.timers.tick(60_000);
  assert.equal(store.get().saver_advised, false);
});

test('who took the advice is advised no more', () => {
  pictures('network');
  mock.timers.tick(10_000);
  saver.turn(true);
  assert.equal(store.get().saver_advised, false);
});
