import assert from 'node:assert/strict';
import { test } from 'node:test';

import { clean, parse } from '../src/protocol.js';
import { joined, participant, room } from './messages.js';

test('a whole room is read as it was sent', () => {
  const sent = room([participant('a'), participant('b', 'waiting', { place: 1 })]);
  assert.deepEqual(parse(JSON.stringify(sent)), sent);
});

test('unknown fields are let through, so that a newer server can speak with us', () => {
  assert.equal(parse(JSON.stringify({ ...joined('a'), later: 1 }))?.type, 'joined');
});

test('a chat text loses what the server refuses and keeps its lines', () => {
  assert.equal(clean('một\u000b\u0000\r\n\thai'), 'một\n\thai');
});

for (const message of [
  { type: 'layers', kind: 'camera', layers: [{ rid: 'q', active: true }] },
  { type: 'pictures', seats: ['shown', 'hidden', 'off', 'network', 'busy'] },
  { type: 'offer_wanted', reason: 'codec' },
  { type: 'media_connection', state: 'disconnected' },
  { type: 'faults', faults: [{ participant: 'a', code: 'camera_frozen', since: 1.5, text: { vi: 'a', en: 'b' } }] },
]) {
  test(`${message.type} is read as it was sent`, () => assert.deepEqual(parse(JSON.stringify(message)), message));
}

for (const [what, frame] of Object.entries({
  'no text': new ArrayBuffer(3),
  'no JSON': '{"type":',
  'no object': '[1]',
  null: 'null',
  'no type': '{"a":1}',
  'an unknown type': '{"type":"dance"}',
  'a type of every object': '{"type":"toString"}',
  'a missing field': '{"type":"answer","ref":"c1","seats":1}',
  'a field of the wrong kind': '{"type":"participant_hidden","id":7}',
  'a state that is none': JSON.stringify(participant('a', 'asleep')),
  'a layer without a name': '{"type":"layers","kind":"camera","layers":[{"active":true}]}',
  'a picture in no known state': '{"type":"pictures","seats":["torn"]}',
  'a fault without words': '{"type":"faults","faults":[{"participant":"a","code":"x","since":1}]}',
  'a bad item in a list': '{"type":"speakers","participants":["a",null]}',
})) {
  test(`${what} is nothing`, () => assert.equal(parse(frame), null));
}
