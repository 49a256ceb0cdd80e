import assert from 'node:assert/strict';
import { test } from 'node:test';

import { addressOf, placeOf, readInvitation, readPlace } from '../src/link.js';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const TOKEN = `${part({ alg: 'HS256' })}.${part({ con: 'c1', sub: 'p1' })}.c2lnbmF0dXJl`;

for (const text of [`#t=${TOKEN}`, `https://example.vn/#t=${TOKEN}`, `  ${TOKEN}\n`, `https://example.vn/#x=1&t=${TOKEN}`]) {
  test(`an invitation is found in ${text.slice(0, 22).trim()}…`, () => {
    assert.deepEqual(readInvitation(text), { token: TOKEN, consultation: 'c1', participant: 'p1' });
  });
}

for (const text of ['', '#', '#t=', 'https://example.vn/', 'xin chào', `#t=${'a'.repeat(4000)}.b.${'c'.repeat(200)}`]) {
  test(`no invitation is found in "${text.slice(0, 20)}"`, () => assert.equal(readInvitation(text), null));
}

test('a token that cannot be read is still sent to the server, which says what is wrong', () => {
  assert.deepEqual(readInvitation('#t=aaa.%%.c'), null);
  assert.deepEqual(readInvitation('#t=aaa.bbb.ccc'), { token: 'aaa.bbb.ccc', consultation: '', participant: '' });
});

test('a session secret tells its place', () => assert.equal(placeOf('c1.p1.secret'), 'c1.p1'));

test('a refreshed page goes back to the place of the person whose page it was', () => {
  assert.equal(addressOf('c1'), '#c=c1');
  assert.deepEqual(readPlace(addressOf('c 1'), { participant: 'p1' }), { consultation: 'c 1', participant: 'p1' });
});

test('the address alone leads to nobody\u2019s place', () => {
  for (const [fragment, entry] of [['#c=c1', null], ['#c=c1', {}], ['#c=c1', { participant: 1 }], ['', { participant: 'p1' }], ['#c=%', { participant: 'p1' }]]) {
    assert.equal(readPlace(fragment, entry), null);
  }
});
