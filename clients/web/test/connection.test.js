import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';

import { Connection } from '../src/connection.js';
import { joined } from './messages.js';
import { listen } from './websocket_server.js';

const closers = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Until something holds that no callback tells of. */
async function eventually(holds) {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** A server with this script, and a connection to it that tells what happens. */
async function connect(script, { ping_interval_s = 15 } = {}) {
  const received = [];
  const server = await listen((message, peer, index) => {
    received.push({ ...message, index });
    if (message.type === 'join' || message.type === 'resume') {
      if (!script.hello?.(message, peer, index)) peer.send(joined('me', { ping_interval_s }));
    } else script.message?.(message, peer, index);
  });
  const seen = { nets: [], messages: [], refused: [], received };
  const waiters = [];
  const tell = (list, value) => {
    list.push(value);
    for (const check of [...waiters]) check();
  };
  const connection = new Connection({
    url: server.url,
    hello: () => ({ type: seen.messages.length === 0 ? 'join' : 'resume', token: 't', session: 's' }),
    onMessage: (message) => tell(seen.messages, message),
    onNet: (net) => tell(seen.nets, net),
    onRefused: (error) => tell(seen.refused, error.code),
  });
  closers.push(() => connection.close(), server.close);
  const until = (done) =>
    new Promise((resolve) => {
      const check = () => done() && resolve();
      waiters.push(check);
      check();
    });
  return { connection, seen, until };
}

test('says hello with the subprotocol, is let in, and matches answers to requests', async () => {
  const { connection, seen, until } = await connect({
    message: (message, peer) => peer.send({ type: 'done', ref: message.ref }),
  });
  connection.open();
  const [first, second] = await Promise.all([
    connection.request({ type: 'ready' }),
    connection.request({ type: 'unmute' }),
  ]);
  assert.notEqual(first.ref, second.ref);
  await until(() => seen.nets.includes('open'));
  assert.deepEqual(seen.nets, ['connecting', 'open']);
  assert.deepEqual(
    seen.received.map(({ type }) => type),
    ['join', 'ready', 'unmute'],
  );
});

test('an error of the server rejects only its own request, with its words', async () => {
  const text = { vi: 'Không được', en: 'No' };
  const { connection } = await connect({
    message: ({ type, ref }, peer) =>
      peer.send(type === 'end' ? { type: 'error', ref, code: 'not_allowed', text } : { type: 'done', ref }),
  });
  connection.open();
  const [end, ready] = await Promise.allSettled([
    connection.request({ type: 'end' }),
    connection.request({ type: 'ready' }),
  ]);
  assert.equal(ready.status, 'fulfilled');
  assert.equal(end.reason.code, 'not_allowed');
  assert.deepEqual(end.reason.text, text);
});

test('a lost connection comes back; what may be repeated is asked again, the rest is told', async () => {
  const { connection, seen } = await connect({
    message: ({ ref, type }, peer, index) => {
      if (index > 0) peer.send({ type: 'done', ref });
      else if (type === 'chat') peer.cut();
    },
  });
  connection.open();
  const [ready, chat] = await Promise.allSettled([
    connection.request({ type: 'ready' }),
    connection.request({ type: 'chat', id: '1', text: 'a' }, { repeat: true }),
  ]);
  assert.equal(ready.reason.code, 'connection_lost');
  assert.equal(chat.status, 'fulfilled');
  assert.deepEqual(
    seen.received.map(({ type, index }) => [type, index]),
    [['join', 0], ['ready', 0], ['chat', 0], ['resume', 1], ['chat', 1]],
  );
  assert.deepEqual(seen.nets.filter((net) => net !== 'lost'), ['connecting', 'open', 'open']);
});

test('a hello refused for good is told once and not tried again', async () => {
  const { connection, seen, until } = await connect({
    hello: ({ ref }, peer) => {
      peer.send({ type: 'error', ref, code: 'token_expired', text: { vi: '', en: '' } });
      peer.close(4401);
      return true;
    },
  });
  connection.open();
  await until(() => seen.refused.length > 0);
  assert.deepEqual(seen.refused, ['token_expired']);
  await assert.rejects(connection.request({ type: 'ready' }), { code: 'connection_lost' });
  assert.equal(seen.received.length, 1);
});

test('a hello refused for a passing reason is tried again', async () => {
  const { connection, seen, until } = await connect({
    hello: ({ ref }, peer, index) => {
      if (index > 0) return false;
      peer.send({ type: 'error', ref, code: 'store_unavailable', text: { vi: '', en: '' } });
      peer.close(4401);
      return true;
    },
  });
  connection.open();
  await until(() => seen.nets.includes('open'));
  assert.deepEqual(seen.refused, []);
});

test('a server that falls silent is left, and another try is made', async () => {
  const { connection, seen, until } = await connect({}, { ping_interval_s: 0.04 });
  connection.open();
  await until(() => seen.received.filter(({ type }) => type === 'resume').length > 0);
  assert.ok(seen.received.some(({ type }) => type === 'ping'));
});

test('what is only told has no answer, and is not kept for later', async () => {
  const { connection, seen, until } = await connect({ message: () => undefined });
  connection.tell({ type: 'stats' });
  connection.open();
  await until(() => seen.nets.includes('open'));
  connection.tell({ type: 'stats', n: 2 });
  await eventually(() => seen.received.some(({ type }) => type === 'stats'));
  assert.deepEqual(seen.received.map(({ type, ref, n }) => [type, ref, n]), [['join', 'hello', undefined], ['stats', '', 2]]);
});

test('a connection that answers nothing after a nudge is left for another', async (t) => {
  const { connection, seen, until } = await connect({ message: () => undefined });
  connection.open();
  await until(() => seen.nets.includes('open'));
  await eventually(() => seen.messages.length > 0);
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  connection.nudge();
  await eventually(() => seen.received.some(({ type }) => type === 'ping'));
  mock.timers.tick(3000);
  assert.equal(seen.nets.at(-1), 'lost');
});

test('a hello that hangs on a network that is gone is said anew on the next', async (t) => {
  const { connection, seen, until } = await connect({ hello: (_, __, index) => index === 0 });
  connection.open();
  await eventually(() => seen.received.length > 0);
  const begun = performance.now();
  connection.nudge();
  t.mock.method(performance, 'now', () => begun + 4000);
  connection.nudge();
  await until(() => seen.nets.includes('open'));
  assert.deepEqual(seen.received.map(({ type, index }) => [type, index]), [['join', 0], ['join', 1]]);
});

test('a connection that answers a nudge stays', async (t) => {
  const { connection, seen, until } = await connect({
    message: (message, peer) => message.type === 'ping' && peer.send({ type: 'pong', ref: '', at: 1 }),
  });
  connection.open();
  await until(() => seen.nets.includes('open'));
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  connection.nudge();
  await eventually(() => seen.messages.some(({ type }) => type === 'pong'));
  mock.timers.tick(3000);
  assert.equal(seen.nets.at(-1), 'open');
});

test('after the end nothing is tried again and nothing is left hanging over', async () => {
  const { connection, seen, until } = await connect({
    hello: (_, peer) => {
      peer.send({ type: 'ended', reason: 'ended', text: { vi: '', en: '' } });
      return true;
    },
  });
  connection.open();
  await until(() => seen.messages.length > 0);
  connection.finish();
  await assert.rejects(connection.request({ type: 'ready' }), { code: 'connection_lost' });
  assert.equal(seen.received.length, 1);
});

test('what was asked in one consultation never goes to another', async () => {
  const { connection, seen, until } = await connect({ message: () => undefined });
  connection.open();
  await until(() => seen.nets.includes('open'));
  const sent = connection.request({ type: 'chat', id: '1', text: 'of A' }, { repeat: true });
  const offer = connection.request({ type: 'offer', sdp: 'x', fresh: true });
  await eventually(() => seen.received.some(({ type }) => type === 'offer'));
  connection.open();
  const queued = connection.request({ type: 'consent', decision: 'given' }, { repeat: true });
  connection.open();
  for (const asked of [sent, offer, queued]) await assert.rejects(asked, { code: 'abandoned' });
  void connection.request({ type: 'ready' }).catch(() => undefined);
  await eventually(() => seen.received.some(({ type }) => type === 'ready'));
  const first = seen.received.find(({ type }) => type === 'ready').index;
  assert.deepEqual(
    seen.received.filter(({ index }) => index === first).map(({ type }) => type === 'resume' ? 'join' : type),
    ['join', 'ready'],
  );
});
