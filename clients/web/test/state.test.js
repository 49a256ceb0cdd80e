import assert from 'node:assert/strict';
import { test } from 'node:test';

import { notices } from '../src/notices.js';
import { consentAsked, EMPTY, hosts, inState, may, queue, reduce, screenOf, self } from '../src/state.js';
import { joined, participant, recording, room } from './messages.js';

const run = (...messages) => messages.reduce(reduce, EMPTY);
const as = (state, more) => run(joined('me'), room([participant('me', state, more)]));

for (const [state, screen] of Object.entries({
  invited: 'lobby',
  knocking: 'lobby',
  waiting: 'waiting',
  held: 'waiting',
  admitted: 'call',
  left: 'ended',
  removed: 'ended',
})) {
  test(`${state} looks at the ${screen}`, () => assert.equal(screenOf(as(state)), screen));
}

test('before the room is told, one is connecting', () => {
  assert.equal(screenOf(EMPTY), 'connecting');
  assert.equal(screenOf(run(joined('me'))), 'connecting');
});

test('ended shows the end, whatever one was; joining again forgets it', () => {
  const over = reduce(as('admitted'), { type: 'ended', reason: 'left', text: { vi: '', en: '' } });
  assert.equal(screenOf(over), 'ended');
  assert.equal(screenOf(reduce(over, joined('me'))), 'call');
});

test('admitted, held, returned: seats and speakers exist only in the call', () => {
  const seated = { source: 'a/camera', participant: 'a', screen: false };
  const inCall = [{ type: 'seating', seats: [seated], wanted: 1 }, { type: 'speakers', participants: ['a'] }].reduce(
    reduce,
    as('admitted'),
  );
  assert.deepEqual(inCall.seats, [seated]);
  const held = reduce(inCall, room([participant('me', 'held')]));
  assert.deepEqual([held.seats, held.speakers, held.wanted], [[], [], 0]);
  const heldByRow = reduce(inCall, participant('me', 'held'));
  assert.deepEqual(heldByRow.seats, []);
});

test('layers, pictures and faults are the last word of the server, and only of the call', () => {
  const off = [{ rid: 'q', active: false }];
  const fault = { participant: 'a', code: 'camera_frozen', since: 1, text: { vi: '', en: '' } };
  const inCall = [
    { type: 'layers', kind: 'screen', layers: off },
    { type: 'pictures', seats: ['network'] },
    { type: 'faults', faults: [fault] },
    { type: 'faults', faults: [] },
    { type: 'faults', faults: [fault] },
    { type: 'offer_wanted', reason: 'codec' },
  ].reduce(reduce, as('admitted'));
  assert.deepEqual(inCall.layers, { camera: null, screen: off });
  assert.deepEqual([inCall.pictures, inCall.faults, inCall.offer_wanted?.reason], [['network'], [fault], 'codec']);
  const resumed = reduce(inCall, joined('me'));
  assert.deepEqual([resumed.pictures, resumed.faults], [['network'], []]);
  const held = reduce(inCall, participant('me', 'held'));
  assert.deepEqual([held.pictures, held.faults], [[], []]);
  assert.equal(held.layers, inCall.layers, 'the connection is kept, and what was asked of it');
  const left = reduce(inCall, participant('me', 'left'));
  assert.deepEqual(left.layers, { camera: null, screen: null });
});

test('that the network carries no pictures is read out once', () => {
  const before = reduce(as('admitted'), { type: 'pictures', seats: ['shown', 'shown'] });
  const after = reduce(before, { type: 'pictures', seats: ['network', 'shown'] });
  assert.deepEqual(
    notices(before, after).map(({ text, loud }) => [text, loud]),
    [['pictures.network', false]],
  );
  assert.deepEqual(notices(after, reduce(after, { type: 'pictures', seats: ['network', 'network'] })), []);
});

test('a new room replaces all that was known', () => {
  const before = run(joined('me'), room([participant('me'), participant('old')]));
  const after = reduce(before, room([participant('me'), participant('new')]));
  assert.deepEqual(Object.keys(after.people), ['me', 'new']);
});

test('a participant replaces the row of the same id; a hidden one is forgotten', () => {
  const known = run(joined('me'), room([participant('me'), participant('a', 'waiting')]));
  const changed = reduce(known, participant('a', 'admitted'));
  assert.equal(changed.people.a.state, 'admitted');
  assert.equal(reduce(changed, { type: 'participant_hidden', id: 'a' }).people.a, undefined);
});

test('a chat line told twice stands once, and lines stand in order of time', () => {
  const line = (id, at, text = id) => ({ type: 'chat_line', id, participant: 'a', name: 'A', at, text });
  const state = [line('2', 20), line('1', 10), line('2', 20, 'again')].reduce(reduce, as('admitted'));
  assert.deepEqual(
    state.chat.map(({ text }) => text),
    ['1', 'again'],
  );
});

test('messages that answer requests change nothing', () => {
  const state = as('admitted');
  for (const message of [
    { type: 'done', ref: 'c1' },
    { type: 'pong', ref: '', at: 1 },
    { type: 'error', ref: 'c1', code: 'internal', text: { vi: '', en: '' } },
  ]) {
    assert.equal(reduce(state, message), state);
  }
});

test('the queue is in order of place and leaves oneself out', () => {
  const state = run(
    joined('me'),
    room([
      participant('me', 'waiting', { place: 1 }),
      participant('c', 'waiting', { place: 3 }),
      participant('b', 'waiting', { place: 2 }),
      participant('d', 'admitted'),
    ]),
  );
  assert.deepEqual(
    queue(state).map(({ id }) => id),
    ['b', 'c'],
  );
  assert.deepEqual(
    inState(state, 'admitted').map(({ id }) => id),
    ['d'],
  );
  assert.equal(self(state)?.place, 1);
});

test('hosts are the clinicians, the treating one first, never the removed', () => {
  const state = run(
    joined('me'),
    room([
      participant('n', 'invited', { role: 'nurse' }),
      participant('t', 'invited', { role: 'treating_clinician' }),
      participant('x', 'removed', { role: 'treating_clinician' }),
      participant('p', 'admitted'),
    ]),
  );
  assert.deepEqual(
    hosts(state).map(({ id }) => id),
    ['t', 'n'],
  );
});

test('permissions are those of one\'s own row, and follow a change of role', () => {
  const observer = as('admitted', { role: 'observer' });
  assert.ok(!may(observer, 'speak'));
  const more = { role: 'interpreter', permissions: ['speak', 'chat'] };
  const promoted = reduce(observer, participant('me', 'admitted', more));
  assert.ok(may(promoted, 'speak'));
  assert.ok(!may(promoted, 'end'));
  assert.ok(!may(reduce(observer, participant('another', 'admitted', more)), 'speak'));
  assert.ok(!may(EMPTY, 'speak'));
});

for (const [policy, role, asked] of [
  ['none', 'patient', false],
  ['patient', 'patient', true],
  ['patient', 'guardian', true],
  ['patient', 'treating_clinician', false],
  ['everyone', 'treating_clinician', true],
]) {
  test(`policy ${policy} asks a ${role}: ${asked}`, () => {
    const state = run(joined('me'), room([participant('me', 'admitted', { role })], { recording: recording({ policy }) }));
    assert.equal(consentAsked(state), asked);
  });
}

test('admission and hold ring; a recording that stops says why', () => {
  assert.equal(notices(as('waiting'), as('admitted'))[0].ring, true);
  assert.equal(notices(as('admitted'), as('held'))[0].text, 'waiting.held');
  const on = reduce(as('admitted'), recording({ state: 'on' }));
  const off = reduce(on, recording({ stop_reason: 'consent_withdrawn' }));
  assert.deepEqual(
    notices(on, off).map(({ text }) => text),
    ['recording.stopped_consent'],
  );
});

test('somebody new in the queue rings once, and not while one is in the lobby oneself', () => {
  const before = run(joined('me'), room([participant('me')]));
  const after = reduce(before, participant('a', 'waiting', { place: 1 }));
  assert.deepEqual(
    notices(before, after).map(({ text, ring }) => [text, ring]),
    [['people.is_waiting', true]],
  );
  assert.deepEqual(notices(after, reduce(after, participant('a', 'waiting', { place: 1 }))), []);
  assert.deepEqual(notices(as('knocking'), reduce(as('knocking'), participant('a', 'waiting'))), []);
});
