import assert from 'node:assert/strict';
import { test } from 'node:test';

import { en } from '../src/i18n/en.js';
import { chooseLanguage, pick, t } from '../src/i18n/index.js';
import { vi } from '../src/i18n/vi.js';

test('both languages say the same things', () => {
  assert.deepEqual(Object.keys(en).sort(), Object.keys(vi).sort());
});

test('nothing is left unsaid, and values stand in the same places', () => {
  const values = (words) => [...words.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  for (const key of Object.keys(vi)) {
    assert.ok(vi[key].trim() !== '' && en[key].trim() !== '', key);
    assert.deepEqual(values(en[key]), values(vi[key]), key);
  }
});

test('words are said in the chosen language, with their values', () => {
  chooseLanguage('vi');
  assert.equal(t('waiting.place', { n: 2 }), 'Bạn là người thứ 2');
  chooseLanguage('en');
  assert.equal(t('waiting.place', { n: 2 }), 'You are number 2 in line');
  assert.equal(pick({ vi: 'a', en: 'b' }), 'b');
  chooseLanguage('vi');
});
