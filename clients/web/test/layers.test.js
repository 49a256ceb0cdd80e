import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { waysToSend } from '../src/media/encodings.js';
import { Layers } from '../src/media/layers.js';

/** @returns what a browser gives back of what a camera was added with */
const sizes = () => waysToSend('video', true)[0].map((encoding) => ({ ...encoding, active: true }));

/** A sender as the standard has it: parameters are copies, and busy ones refuse. */
class Sender {
  track = null;
  encodings = sizes();
  refusals = 0;
  asked = 0;

  getParameters() {
    return { encodings: structuredClone(this.encodings) };
  }

  async setParameters({ encodings }) {
    this.asked += 1;
    await Promise.resolve();
    if (this.refusals > 0) {
      this.refusals -= 1;
      throw new DOMException('', 'InvalidStateError');
    }
    this.encodings = encodings;
  }

  get sent() {
    return this.encodings.filter(({ active }) => active).map(({ rid }) => rid).join('');
  }
}

const only = (...rids) => ['q', 'h', 'f'].map((rid) => ({ rid, active: rids.includes(rid) }));
const settled = () => new Promise((resolve) => setImmediate(resolve));
let sender;
let layers;

beforeEach(() => {
  sender = new Sender();
  layers = new Layers(sender);
});

test('what nobody takes is stopped, and starts again', async () => {
  layers.want(only('q'));
  await settled();
  assert.equal(sender.sent, 'q');
  layers.want(only('q', 'h', 'f'));
  await settled();
  assert.equal(sender.sent, 'qhf');
});

test('of many words of one moment the newest counts', async () => {
  for (const rids of [[], ['q'], ['h'], ['f'], ['q', 'f']]) layers.want(only(...rids));
  await settled();
  assert.equal(sender.sent, 'qf');
  assert.equal(sender.asked, 2);
});

test('the same word twice asks the browser once', async () => {
  const word = only('q');
  layers.want(word);
  layers.want(word);
  await settled();
  layers.check();
  await settled();
  assert.equal(sender.asked, 1);
});

test('a sender that is just being negotiated is asked again until it does', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  sender.refusals = 4;
  layers.want(only('h'));
  for (let round = 0; round < 5; round += 1) {
    await settled();
    mock.timers.tick(3000);
  }
  await settled();
  assert.equal(sender.sent, 'h');
});

test('a sender that refuses for long is asked again after the next negotiation', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  sender.refusals = 8;
  layers.want(only('h'));
  for (let round = 0; round < 20; round += 1) {
    await settled();
    mock.timers.tick(3000);
  }
  assert.deepEqual([sender.sent, sender.refusals], ['qhf', 0]);
  layers.check();
  await settled();
  assert.equal(sender.sent, 'h');
});

test('what a renegotiation switched on again is switched off again', async () => {
  layers.want(only('q'));
  await settled();
  sender.encodings = sizes();
  layers.check();
  await settled();
  assert.equal(sender.sent, 'q');
});

test('another camera gets the sizes that fit it', async () => {
  sender.track = { getSettings: () => ({ width: 640, height: 480 }) };
  layers.check();
  await settled();
  assert.equal(sender.sent, 'qh');
  sender.track = { getSettings: () => ({ width: 1280, height: 720 }) };
  layers.check();
  await settled();
  assert.equal(sender.sent, 'qhf');
});

test('after the end nothing is asked', async () => {
  layers.close();
  layers.want(only('q'));
  await settled();
  assert.equal(sender.asked, 0);
});
