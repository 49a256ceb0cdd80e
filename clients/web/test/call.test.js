import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Call } from '../src/call.js';
import { EMPTY, reduce } from '../src/state.js';
import { INITIAL, Store } from '../src/store.js';
import { joined, participant, room } from './messages.js';

/** What a browser's RTCPeerConnection tells, as far as the call looks at it. */
class PeerConnection {
  connectionState = 'connected';
  iceConnectionState = 'connected';
  signalingState = 'stable';
  localDescription = { sdp: '' };
  currentRemoteDescription = null;
  transceivers = [];
  offers = [];

  addTransceiver(trackOrKind, { direction, sendEncodings }) {
    if ((sendEncodings?.length ?? 0) > PeerConnection.mostEncodings) throw new TypeError('rid');
    const sender = {
      track: typeof trackOrKind === 'string' ? null : trackOrKind,
      replaceTrack: async (track) => (sender.track = track),
      encodings: structuredClone(sendEncodings ?? []),
      getParameters: () => ({ encodings: structuredClone(sender.encodings) }),
      setParameters: async ({ encodings }) => (sender.encodings = encodings),
    };
    const transceiver = { sender, receiver: { track: {} }, direction, mid: null };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  async createOffer(how) {
    this.offers.push(how);
    return {};
  }

  async setLocalDescription() {
    this.signalingState = 'have-local-offer';
  }

  async setRemoteDescription() {
    if (PeerConnection.refusal !== null) throw PeerConnection.refusal;
    this.signalingState = 'stable';
    this.currentRemoteDescription = {};
  }

  async getStats() {
    return new Map([['T', { type: 'transport', packetsReceived: PeerConnection.received }]]);
  }

  close() {
    this.signalingState = 'closed';
  }

  /** Thrown at answers. */
  static refusal = null;
  static mostEncodings = 3;
  static received = 0;

  get sent() {
    return this.transceivers.filter(({ direction }) => direction !== 'recvonly').map(({ sender }) => sender.track?.kind ?? null);
  }
}

const capabilities = { getCapabilities: () => ({ codecs: [] }) };
const track = (kind) => ({ kind, getSettings: () => ({}) });
const settled = () => new Promise((resolve) => setImmediate(resolve));
let answer;
let call;
let complain;
let devices;
let nudges;
let savers;
let store;

beforeEach(async () => {
  Object.assign(globalThis, {
    RTCPeerConnection: PeerConnection,
    RTCRtpSender: capabilities,
    RTCRtpReceiver: capabilities,
    MediaStream: class {},
    document: { visibilityState: 'visible' },
  });
  store = new Store({ ...INITIAL, net: 'open' });
  devices = { microphone: track('audio'), camera: track('video'), screen: track('screen') };
  savers = [];
  nudges = 0;
  answer = async () => ({ sdp: '' });
  complain = assert.fail;
  const session = {
    offer: async (_, __, saver) => {
      savers.push(saver);
      return answer();
    },
    mediaState: async () => undefined,
    nudge: () => (nudges += 1),
    stats: () => undefined,
  };
  call = new Call({ store, session, devices, onSeats: () => undefined, onError: (error) => complain(error) });
  be(['speak', 'share_screen']);
  await settled();
});
afterEach(() => {
  store.set({ room: EMPTY });
  call.sync();
});

/** In the call or held, with these permissions. */
function be(permissions, state = 'admitted') {
  const messages = [joined('me', { permissions }), room([participant('me', state, { permissions })])];
  store.set({ room: messages.reduce(reduce, EMPTY) });
  call.sync();
}

/** The server's word on our media, as the store has it. */
function say(state) {
  store.set({ room: reduce(store.get().room, { type: 'media_connection', state }) });
  return store.get().room.media;
}

const refusal = (code) => Object.assign(new Error(), { code });

/**
 * Not in the call, and time stands still.
 *
 * @returns {(for_ms: number, packetsAtATime: number) => Promise<number>} offers made in that time
 */
function clock(t) {
  store.set({ room: EMPTY });
  call.sync();
  let now_ms = performance.now();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { mock: shown } = mock.method(performance, 'now', () => now_ms);
  t.after(() => {
    mock.timers.reset();
    shown.restore();
  });
  return async (for_ms, packetsAtATime) => {
    const before = savers.length;
    for (let passed = 0; passed < for_ms; passed += 250) {
      PeerConnection.received += packetsAtATime;
      now_ms += 250;
      mock.timers.tick(250);
      await settled();
    }
    return savers.length - before;
  };
}

test('microphone, camera and screen are sent by whoever may', () => {
  assert.deepEqual(call.pc.sent, ['audio', 'video', 'screen']);
});

test('who may no longer speak or share sends nothing, and speaks again when they may', async () => {
  be([]);
  await settled();
  assert.deepEqual(call.pc.sent, [null, null, null]);
  be(['speak']);
  await settled();
  assert.deepEqual(call.pc.sent, ['audio', 'video', null]);
});

test('a media path that broke while the WebSocket was gone is looked for when it is back', async () => {
  store.set({ net: 'lost' });
  call.sync();
  call.pc.connectionState = 'disconnected';
  store.set({ net: 'open' });
  call.sync();
  await settled();
  assert.deepEqual(call.pc.offers.at(-1), { iceRestart: true });
});

test('a media path that stands is left alone when the WebSocket is back', async () => {
  const offers = call.pc.offers.length;
  for (const net of ['lost', 'open']) {
    store.set({ net });
    call.sync();
  }
  await settled();
  assert.equal(call.pc.offers.length, offers);
});

test('the camera is sent in three sizes, and once where the browser cannot', async (t) => {
  const camera = () => call.pc.transceivers[1].sender.encodings;
  assert.deepEqual(camera().map(({ rid }) => rid), ['q', 'h', 'f']);
  PeerConnection.mostEncodings = 1;
  t.after(() => (PeerConnection.mostEncodings = 3));
  store.set({ room: EMPTY });
  call.sync();
  be(['speak']);
  await settled();
  assert.equal(camera().length, 1);
});

test('layers that nobody takes are stopped, and all are sent on the next connection', async (t) => {
  const actives = () => call.pc.transceivers[1].sender.encodings.map(({ active }) => active ?? true);
  const layers = ['q', 'h', 'f'].map((rid) => ({ rid, active: rid === 'q' }));
  store.set({ room: reduce(store.get().room, { type: 'layers', kind: 'camera', layers }) });
  call.sync();
  await settled();
  assert.deepEqual(actives(), [true, false, false]);
  const old = call.pc;
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  old.connectionState = 'failed';
  old.onconnectionstatechange();
  mock.timers.tick(10_000);
  await settled();
  assert.notEqual(call.pc, old);
  assert.deepEqual(actives(), [true, true, true]);
});

test('sound only is asked for on the same connection, once', async () => {
  const { pc } = call;
  store.set({ saver: true });
  call.sync();
  call.sync();
  await settled();
  call.sync();
  await settled();
  assert.deepEqual(savers, [false, true]);
  assert.equal(call.pc, pc);
});

test('a wanted offer is made on the same connection', async () => {
  const { pc } = call;
  const offers = pc.offers.length;
  call.offerAgain();
  await settled();
  assert.deepEqual([call.pc, pc.offers.length], [pc, offers + 1]);
});

test('a change of network offers an ICE restart on the same connection', async () => {
  const { pc } = call;
  call.networkChanged();
  await settled();
  assert.equal(call.pc, pc);
  assert.deepEqual(pc.offers.at(-1), { iceRestart: true });
});

test('on hold nothing is offered and the connection is kept, which goes on after it', async (t) => {
  const pass = clock(t);
  be(['speak']);
  await settled();
  const { pc } = call;
  assert.equal(await pass(5000, 10), 0);
  be([], 'held');
  assert.equal(await pass(10_000, 0), 0);
  call.networkChanged();
  call.offerAgain();
  await settled();
  assert.equal(await pass(10_000, 0), 0);
  const offers = pc.offers.length;
  be(['speak']);
  await settled();
  assert.equal(await pass(5000, 10), 0);
  assert.equal(call.pc, pc);
  assert.deepEqual(pc.offers.slice(offers), [{ iceRestart: true }], 'what was wanted on hold');
  assert.ok(await pass(2000, 0) >= 1, 'a silence after it is noticed again');
});

test('the silence of a hold is none after it', async (t) => {
  const pass = clock(t);
  be(['speak']);
  await settled();
  await pass(5000, 10);
  be([], 'held');
  await pass(20_000, 0);
  be([]);
  assert.equal(await pass(500, 0), 0);
});

test('whoever is on hold listens to nothing', async (t) => {
  const pass = clock(t);
  be([]);
  await settled();
  be([], 'held');
  await pass(5000, 10);
  await pass(5000, 0);
  assert.equal(nudges, 0);
});

test('a network that changed while the WebSocket was gone is told of when it is back', async () => {
  const { pc } = call;
  store.set({ net: 'lost' });
  call.sync();
  call.networkChanged();
  await settled();
  const offers = pc.offers.length;
  store.set({ net: 'open' });
  call.sync();
  call.sync();
  await settled();
  assert.deepEqual(pc.offers.slice(offers), [{ iceRestart: true }]);
});

test('a path that broke on hold is looked for on return', async () => {
  const { pc } = call;
  be([], 'held');
  await settled();
  pc.connectionState = 'disconnected';
  be([]);
  await settled();
  assert.equal(call.pc, pc);
  assert.deepEqual(pc.offers.at(-1), { iceRestart: true });
});

test('an offer that came too late before hold costs no connection', async () => {
  const { pc } = call;
  answer = async () => Promise.reject(refusal('not_admitted'));
  call.offerAgain();
  await settled();
  answer = async () => ({ sdp: '' });
  be([], 'held');
  await settled();
  const offers = pc.offers.length;
  be(['speak']);
  await settled();
  assert.equal(call.pc, pc);
  assert.equal(pc.offers.length, offers + 1);
});

test('one who was admitted just when they offered offers again by themselves', async (t) => {
  const pass = clock(t);
  answer = async () => Promise.reject(refusal('not_admitted'));
  be(['speak']);
  await settled();
  const { pc } = call;
  answer = async () => ({ sdp: '' });
  assert.equal(await pass(1000, 0), 1);
  assert.equal(call.pc, pc);
});

for (const code of ['media_busy', 'media_unavailable', 'store_unavailable', 'internal', 'too_many']) {
  test(`an offer refused by ${code} costs no connection that stands, and is made again`, async (t) => {
    const pass = clock(t);
    be(['speak']);
    await settled();
    const { pc } = call;
    complain = () => undefined;
    answer = async () => Promise.reject(refusal(code));
    call.networkChanged();
    await settled();
    const refused = pc.offers.length;
    for (let change = 0; change < 50; change += 1) {
      call.sync();
      await settled();
    }
    assert.equal(pc.offers.length, refused);
    const offers = await pass(10_000, 10);
    assert.ok(offers >= 2 && offers <= 7, `${offers} offers in ten seconds`);
    answer = async () => ({ sdp: '' });
    assert.equal(await pass(10_000, 10), 1);
    assert.deepEqual([call.pc, pc.signalingState], [pc, 'stable']);
    assert.deepEqual(pc.offers.at(-1), { iceRestart: true });
    answer = async () => Promise.reject(refusal(code));
    call.offerAgain();
    await settled();
    assert.ok(await pass(750, 10) >= 1, 'the pauses are short again');
  });
}

test('a refused offer of a connection that does not stand begins with another', async (t) => {
  const pass = clock(t);
  be(['speak']);
  await settled();
  const { pc } = call;
  pc.connectionState = 'disconnected';
  answer = async () => Promise.reject(refusal('media_unavailable'));
  call.offerAgain();
  await settled();
  answer = async () => ({ sdp: '' });
  await pass(1000, 0);
  assert.notEqual(call.pc, pc);
});

test('when nobody sends any more, a new path is looked for a few times and not for ever', async (t) => {
  const pass = clock(t);
  be(['speak']);
  await settled();
  await pass(5000, 10);
  const soon = await pass(20_000, 0);
  assert.ok(soon >= 1 && soon <= 3, `${soon} restarts`);
  assert.equal(await pass(120_000, 0), 0);
});

test('a word that the media are gone is believed if it is still the last one', async (t) => {
  const pass = clock(t);
  be(['speak']);
  await settled();
  const { pc } = call;
  call.heard(say('closed'));
  say('connected');
  await pass(5000, 0);
  assert.equal(call.pc, pc);
  call.heard(say('closed'));
  await pass(5000, 0);
  assert.notEqual(call.pc, pc);
});

test('a new media server gets a new connection, although it took an offer for the old one', async (t) => {
  const pass = clock(t);
  be(['speak']);
  await settled();
  const { pc } = call;
  call.heard(say('renegotiate'));
  say('connecting');
  await pass(5000, 0);
  assert.notEqual(call.pc, pc);
});

test('a word about the connection before does not end one that waits for its answer', async (t) => {
  const pass = clock(t);
  answer = () => new Promise(() => {});
  be(['speak']);
  await settled();
  const { pc } = call;
  call.heard(say('renegotiate'));
  await pass(5000, 0);
  assert.equal(call.pc, pc);
});

test('after an answer that the browser trips over, the camera is sent in one size', async (t) => {
  const pass = clock(t);
  t.after(() => (PeerConnection.refusal = null));
  PeerConnection.refusal = new DOMException('', 'OperationError');
  be(['speak']);
  await settled();
  PeerConnection.refusal = null;
  await pass(1000, 0);
  assert.equal(call.pc.transceivers[1].sender.encodings.length, 1);
});

test('what was asked of one shared screen is not asked of the next', async () => {
  const actives = () => call.pc.transceivers[2].sender.encodings.map(({ active }) => active ?? true);
  const layers = [{ rid: '', active: false }];
  store.set({ room: reduce(store.get().room, { type: 'layers', kind: 'screen', layers }) });
  call.sync();
  await settled();
  assert.deepEqual(actives(), [false]);
  devices.screen = null;
  call.sync();
  await settled();
  assert.deepEqual(actives(), [true]);
});

test('one who leaves while the connection is rebuilt reads of no broken one', async () => {
  const { pc } = call;
  pc.onconnectionstatechange();
  pc.connectionState = 'failed';
  pc.onconnectionstatechange();
  assert.deepEqual([call.pc, store.get().flow], [null, 'broken']);
  store.set({ room: EMPTY });
  call.sync();
  assert.equal(store.get().flow, 'none');
});

test('a busy server is told of once, until the connection stands', async (t) => {
  const pass = clock(t);
  const told = [];
  complain = ({ code }) => told.push(code);
  answer = async () => Promise.reject(refusal('media_busy'));
  be(['speak']);
  await settled();
  assert.ok(await pass(30_000, 0) >= 3, 'it goes on trying');
  assert.deepEqual(told, ['media_busy']);
  answer = async () => ({ sdp: '' });
  await pass(10_000, 0);
  call.pc.onconnectionstatechange();
  answer = async () => Promise.reject(refusal('media_busy'));
  call.offerAgain();
  await settled();
  assert.deepEqual(told, ['media_busy', 'media_busy']);
});

test('a network that changes again while a restart is answered is looked for again', async () => {
  const { pc } = call;
  let reply;
  answer = () => new Promise((resolve) => (reply = resolve));
  call.networkChanged();
  await settled();
  call.networkChanged();
  answer = async () => ({ sdp: '' });
  reply({ sdp: '' });
  await settled();
  assert.deepEqual(pc.offers.slice(-2), [{ iceRestart: true }, { iceRestart: true }]);
  call.offerAgain();
  await settled();
  assert.deepEqual(pc.offers.at(-1), { iceRestart: false });
});

test('an ICE restart whose offer was lost is offered again', async () => {
  const { pc } = call;
  const { localDescription } = pc;
  Object.defineProperty(pc, 'localDescription', {
    configurable: true,
    get: () => {
      Object.defineProperty(pc, 'localDescription', { value: localDescription });
      throw Object.assign(new Error(), { code: 'connection_lost' });
    },
  });
  call.networkChanged();
  await settled();
  call.sync();
  await settled();
  assert.deepEqual(pc.offers.slice(-2), [{ iceRestart: true }, { iceRestart: true }]);
});

test('another consultation begins with a connection of its own', () => {
  const { pc } = call;
  store.set({ room: EMPTY });
  call.sync();
  assert.equal(pc.signalingState, 'closed');
  assert.equal(call.pc, null);
});
