/**
 * The question whether one may be recorded. Two equal answers, none chosen beforehand; no answer is
 * no consent; one can always change one's mind (law 91/2025/QH15).
 */

import { el, say, setAttribute, setText, show } from '../dom.js';
import { pick } from '../i18n/index.js';
import { icon } from '../icons.js';
import { self } from '../state.js';

/** @typedef {import('./context.js').Context} Context */

/** Lines of the text that a card over the call shows at first: what is asked, and what for. */
const SHORT_LINES = 2;
let made = 0;

/**
 * The question, or the answer given with a way to change it.
 *
 * @typedef {object} Look
 * @property {boolean} [short] begins with the first lines only, so as not to cover the call
 * @property {boolean} [open] asks even who has answered
 */
export class ConsentQuestion {
  #id = (made += 1);
  #text = el('p', { class: 'consent-text', id: `consent-text-${this.#id}` });
  #short;
  #words = '';
  #answer = el('p', { class: 'consent-answer', role: 'status' });
  #buttons;
  #change;
  #asking;
  #more;
  #open;

  /**
   * @param {Context} context
   * @param {Look} [look]
   */
  constructor({ session, ask }, { short = false, open = false } = {}) {
    this.#short = short;
    this.#open = open;
    const titleId = `consent-title-${this.#id}`;
    const textId = this.#text.id;
    const decide = (/** @type {'given' | 'refused'} */ decision) => {
      this.#open = false;
      ask(session.consent(decision));
    };
    this.#buttons = el(
      'div',
      { class: 'consent-buttons' },
      answerButton('consent-accept', 'consent.accept', textId, () => decide('given')),
      answerButton('consent-refuse', 'consent.refuse', textId, () => decide('refused')),
    );
    this.#more = el('button', {
      class: 'button quiet more-text',
      type: 'button',
      'aria-controls': textId,
      on: {
        click: () => {
          this.#short = !this.#short;
          this.#write();
        },
      },
    });
    show(this.#more, short);
    this.#asking = el(
      'div',
      {},
      el('h2', { class: 'card-title', id: titleId, text: 'consent.question' }),
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
      { class: 'card consent', 'aria-labelledby': titleId, testid: 'consent' },
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
    this.#words = asked === undefined ? '' : pick(asked.text);
    this.#write();
    this.#draw(self(room)?.consent ?? null);
  }

  #write() {
    const lines = this.#words.split('\n');
    setText(this.#text, this.#short ? lines.slice(0, SHORT_LINES).join('\n') : this.#words);
    setAttribute(this.#more, 'aria-expanded', String(!this.#short));
    say(this.#more, this.#short ? 'consent.more' : 'consent.less');
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
 * @param {string} about id of what is answered
 * @param {() => void} click
 */
function answerButton(testid, text, about, click) {
  return el('button', {
    class: 'button answer',
    type: 'button',
    testid,
    text,
    'aria-describedby': about,
    on: { click },
  });
}
