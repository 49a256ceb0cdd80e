/**
 * The recording: a sign that everybody sees, its menu with one's own consent, and the chair's switch.
 */

import { el, say, setAttribute, setText, show } from '../dom.js';
import { clock, t } from '../i18n/index.js';
import { draw, icon } from '../icons.js';
import { may, self } from '../state.js';
import { ConsentQuestion } from './consent.js';
import { openDialog } from './dialog.js';
import { fullName } from './people_words.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */

/**
 * @param {Context} context
 * @returns {void}
 */
export function openConsent(context) {
  const { store, session, ask } = context;
  const { room } = store.get();
  const since = room.recording?.since ?? null;
  const decision = self(room)?.consent ?? null;
  const withdraw = el('button', {
    class: 'button danger',
    type: 'button',
    testid: 'withdraw',
    text: 'consent.withdraw',
    on: {
      click: () => {
        dialog.close();
        ask(session.consent('withdrawn'));
      },
    },
  });
  const given = decision === 'given';
  const question = new ConsentQuestion(context, { open: true });
  question.update(store.get());
  const dialog = openDialog(
    t('recording.title'),
    'recording-menu',
    since === null ? null : el('p', { class: 'recording-since' }, t('recording.since', { time: clock(since) })),
    el('p', {}, t(decision === null ? 'consent.unanswered' : `consent.${decision}`)),
    given ? withdraw : question.element,
  );
  for (const button of question.element.querySelectorAll('.answer')) {
    button.addEventListener('click', () => dialog.close());
  }
}

/** "Being recorded", for everyone. @implements {View} */
export class RecordingSign {
  /** @param {Context} context */
  constructor(context) {
    this.element = el(
      'button',
      {
        class: 'recording-sign',
        type: 'button',
        testid: 'recording-sign',
        'aria-haspopup': 'dialog',
        on: { click: () => openConsent(context) },
      },
      el('span', { class: 'recording-dot', 'aria-hidden': 'true' }),
      el('span', { text: 'recording.on' }),
    );
  }

  /** @param {App} app */
  update({ room }) {
    show(this.element, room.recording?.state === 'on');
  }
}

/** Starts and stops; or shows whose consent is missing. @implements {View} */
export class RecordButton {
  #words = el('span', { class: 'control-words' });
  #count = el('span', { class: 'count', 'aria-hidden': 'true' });
  #picture = icon('record');

  /** @param {Context} context */
  constructor(context) {
    const { store, session, ask } = context;
    this.element = el(
      'button',
      {
        class: 'control record',
        type: 'button',
        testid: 'record',
        on: {
          click: () => {
            const { recording } = store.get().room;
            if (recording?.state === 'on') ask(session.record('stop'));
            else if ((recording?.missing_consents.length ?? 0) > 0) showMissing(store.get());
            else ask(session.record('start'));
          },
        },
      },
      this.#picture,
      this.#words,
      this.#count,
    );
  }

  /** @param {App} app */
  update({ room }) {
    const { recording } = room;
    const on = recording?.state === 'on';
    const missing = on ? 0 : (recording?.missing_consents.length ?? 0);
    show(this.element, may(room, 'record') && recording !== null && recording.policy !== 'none');
    draw(this.#picture, 'record');
    say(this.#words, on ? 'call.record_stop' : 'call.record');
    setText(this.#count, missing === 0 ? '' : String(missing));
    show(this.#count, missing > 0);
    setAttribute(this.element, 'data-on', on);
    setAttribute(this.element, 'data-missing', missing > 0);
  }
}

/** @param {App} app */
function showMissing({ room }) {
  const people = (room.recording?.missing_consents ?? []).flatMap((id) => room.people[id] ?? []);
  openDialog(
    t('recording.missing_title'),
    'record-missing',
    el('p', {}, t('recording.missing_body')),
    el(
      'ul',
      { class: 'missing' },
      ...people.map((person) =>
        el(
          'li',
          {},
          el('strong', {}, fullName(person)),
          el('span', {}, person.consent === null ? t('recording.not_answered') : t(`recording.decision.${person.consent}`)),
        ),
      ),
    ),
  );
}
