import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { Call } from '../src/call.js';
import { EMPTY, reduce } from '../src/state.js';
import { INITIAL, Store } from '../src/store.js';
import { joined, participant, room } from './messages.js';

/** What a browser's RTCPeerConnection tells, as far as the call looks at it. */
class PeerConnection {
  connectionState = 'connected';
  signalingState = 'stable';
  localDescription = { sdp: '' };
  transceivers = [];
  offers = [];

  addTransceiver(trackOrKind, { direction }) {
    const sender = {
      track: typeof trackOrKind === 'string' ? null : trackOrKind,
      replaceTrack: async (track) => (sender.track = track),
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

  get sent() {
    return this.transceivers.filter(({ direction }) => direction !== 'recvonly').map(({ sender }) => sender.track?.kind ?? null);
  }
}

const capabilities = { getCapabilities: () => ({ codecs: [] }) };
const settled = () => new Promise((resolve) => setImmediate(resolve));
let call;
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
  const devices = { microphone: { kind: 'audio' }, camera: { kind: 'video' }, screen: { kind: 'screen' } };
  const session = { offer: async () => ({ sdp: '' }), mediaState: async () => undefined };
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

test('another consultation begins with a connection of its own', () => {
  const { pc } = call;
  store.set({ room: EMPTY });
  call.sync();
  assert.equal(pc.signalingState, 'closed');
  assert.equal(call.pc, null);
});
