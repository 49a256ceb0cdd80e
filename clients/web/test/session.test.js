import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { lastSession, sessionFor } from '../src/keep.js';
import { Session } from '../src/session.js';
import { INITIAL, Store } from '../src/store.js';
import { joined, participant, room } from './messages.js';
import { listen } from './websocket_server.js';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const LINK = `#t=${part({})}.${part({ con: 'c1', sub: 'me' })}.c2ln`;

let server;
let store;
let session;
let opened;
let received;
let peers;
let kept;

beforeEach(async () => {
  const values = new Map();
  globalThis.localStorage = { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value) };
  opened = [];
  received = [];
  peers = [];
  kept = [];
  server = await listen((message, peer) => {
    received.push(message);
    if (message.type !== 'join' && message.type !== 'resume') return;
    peers.push(peer);
    peer.send(joined('me'));
    peer.send(room([participant('me', 'admitted')]));
  });
  start();
});
afterEach(() => {
  for (const each of opened) each.forget();
  server.close();
});

/** A page of this browser is opened. */
function start() {
  store = new Store(INITIAL);
  session = new Session(store, server.url, ({ participant: who }) => kept.push(who));
  opened.push(session);
}

async function eventually(holds) {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

const inRoom = () => store.get().room.people.me !== undefined;

test('who was let in by a link is kept by name, and the link is needed no more', async () => {
  assert.equal(session.enter(LINK), true);
  await eventually(inRoom);
  assert.deepEqual(kept, ['me']);
  assert.equal(lastSession()?.name, 'Người me');
  assert.equal(received[0].type, 'join');
});

test('a refreshed page resumes without the link; the address alone does not', async () => {
  session.enter(LINK);
  await eventually(inRoom);
  start();
  assert.equal(session.enter('#c=c1', null), false);
  assert.equal(session.enter('#c=c1', { participant: 'me' }), true);
  await eventually(inRoom);
  assert.deepEqual(received.map(({ type }) => type), ['join', 'resume']);
});

for (const reason of ['ended', 'left', 'removed', 'expired']) {
  test(`${reason}: the browser forgets who was here`, async () => {
    session.enter(LINK);
    await eventually(inRoom);
    peers[0].send({ type: 'ended', reason, text: { vi: '', en: '' } });
    await eventually(() => store.get().room.ended !== null);
    assert.equal(sessionFor('c1', 'me'), null);
  });
}

test('whoever says it is not them is offered the place no more', async () => {
  session.enter(LINK);
  await eventually(inRoom);
  start();
  session.disown();
  assert.equal(session.lastHere(), null);
});
