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
    this.signalingState = 'stable';
  }

  async getStats() {
    return new Map();
  }

  close() {
    this.signalingState = 'closed';
  }

  static mostEncodings = 3;

  get sent() {
    return this.transceivers.filter(({ direction }) => direction !== 'recvonly').map(({ sender }) => sender.track?.kind ?? null);
  }
}

const capabilities = { getCapabilities: () => ({ codecs: [] }) };
const track = (kind) => ({ kind, getSettings: () => ({}) });
const settled = () => new Promise((resolve) => setImmediate(resolve));
let call;
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
  const devices = { microphone: track('audio'), camera: track('video'), screen: track('screen') };
  savers = [];
  const session = {
    offer: async (_, __, saver) => {
      savers.push(saver);
      return { sdp: '' };
    },
    mediaState: async () => undefined,
    nudge: () => undefined,
    stats: () => undefined,
  };
  call = new Call({ store, session, devices, onSeats: () => undefined, onError: assert.fail });
  be(['speak', 'share_screen']);
  await settled();
});
afterEach(() => {
  store.set({ room: EMPTY });
  call.sync();
});

/** In the call, with these permissions. */
function be(permissions) {
  const messages = [joined('me', { permissions }), room([participant('me', 'admitted', { permissions })])];
  store.set({ room: messages.reduce(reduce, EMPTY) });
  call.sync();
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
