/**
 * The question whether one may be recorded. Two equal answers, none chosen beforehand; no answer is
 * no consent; one can always change one's mind (law 91/2025/QH15).
 */

import { el, say, setAttribute, setText, show } from '../dom.js';
import { pick } from '../i18n/index.js';
import { icon } from '../icons.js';
import { self } from '../state.js';

/** @typedef {import('./context.js').Context} Context */

/** The question, or the answer given with a way to change it. */
export class ConsentQuestion {
  #text = el('p', { class: 'consent-text', id: 'consent-text' });
  #answer = el('p', { class: 'consent-answer', role: 'status' });
  #buttons;
  #change;
  #asking;
  #more;
  #open = false;

  /** @param {Context} context */
  constructor({ session, ask }) {
    const decide = (/** @type {'given' | 'refused'} */ decision) => {
      this.#open = false;
      ask(session.consent(decision));
    };
    this.#buttons = el(
      'div',
      { class: 'consent-buttons' },
      answerButton('consent-accept', 'consent.accept', () => decide('given')),
      answerButton('consent-refuse', 'consent.refuse', () => decide('refused')),
    );
    this.#more = el('button', {
      class: 'button quiet more-text',
      type: 'button',
      'aria-controls': 'consent-text',
      text: 'consent.more',
      on: { click: () => this.#shorten(this.#text.dataset.short === undefined) },
    });
    this.#shorten(true);
    this.#asking = el(
      'div',
      {},
      el('h2', { class: 'card-title', id: 'consent-title', text: 'consent.question' }),
      this.#text,
      this.#more,
      this.#buttons,
    );
    this.#change = el('button', {
      class: 'button quiet',
      type: 'button',
      testid: 'consent-change',
      text: 'consent.change',
      on: {
        click: () => {
          this.#open = true;
          this.#draw(this.#decision);
        },
      },
    });
    this.element = el(
      'section',
      { class: 'card consent', 'aria-labelledby': 'consent-title', testid: 'consent' },
      this.#asking,
      el('div', { class: 'consent-done' }, icon('shield'), this.#answer, this.#change),
    );
  }

  /** @type {import('../protocol.js').Decision | null} */
  #decision = null;

  /** @param {import('../store.js').App} app */
  update({ room }) {
    show(this.element, (room.recording?.policy ?? 'none') !== 'none');
    const asked = room.me?.consent_texts.find(({ purpose }) => purpose === 'recording');
    setText(this.#text, asked === undefined ? '' : pick(asked.text));
    this.#draw(self(room)?.consent ?? null);
  }

  /** @param {boolean} short whether only the beginning is shown */
  #shorten(short) {
    setAttribute(this.#text, 'data-short', short);
    setAttribute(this.#more, 'aria-expanded', String(!short));
    say(this.#more, short ? 'consent.more' : 'consent.less');
  }

  /** @param {import('../protocol.js').Decision | null} decision */
  #draw(decision) {
    this.#decision = decision;
    const asking = decision === null || this.#open;
    show(this.#asking, asking);
    show(/** @type {HTMLElement} */ (this.#change.parentElement), !asking);
    if (decision !== null) say(this.#answer, `consent.${decision}`);
  }
}

/**
 * @param {string} testid
 * @param {import('../dom.js').Key} text
 * @param {() => void} click
 */
function answerButton(testid, text, click) {
  return el('button', {
    class: 'button answer',
    type: 'button',
    testid,
    text,
    'aria-describedby': 'consent-text',
    on: { click },
  });
}
