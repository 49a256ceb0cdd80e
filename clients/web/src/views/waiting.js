/**
 * The waiting room: one's place, who will come, oneself; and the same when held.
 */

import { el, say, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { consentAsked, may, self } from '../state.js';
import { ConsentQuestion } from './consent.js';
import { DeviceProblems, MicrophoneBar, SelfPicture, Switch } from './devices.js';
import { leaveWithCare } from './dialog.js';
import { Hosts } from './hosts.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */

/** @implements {View} */
export class WaitingView {
  #title = el('h1', { testid: 'queue-place' });
  #body = el('p', { class: 'lead' });
  #number = el('span', { class: 'place-number', 'aria-hidden': 'true' });
  #circle;
  #net = el('p', { class: 'net', role: 'status' });
  #self;
  #consent;
  #parts;
  #bar;

  /** @param {Context} context */
  constructor(context) {
    const hosts = new Hosts();
    this.#consent = new ConsentQuestion(context);
    const picture = new SelfPicture(context, 'self-video');
    const problems = new DeviceProblems(context);
    const switches = /** @type {const} */ (['audio', 'video']).map(
      (kind) =>
        new Switch(context, kind, {
          testid: kind === 'audio' ? 'mic' : 'camera',
          class: 'round-switch',
        }),
    );
    this.#bar = new MicrophoneBar(context);
    this.#parts = [hosts, this.#consent, picture, problems, this.#bar, ...switches];
    this.#circle = el('div', { class: 'place' }, this.#number, icon('pause'));
    this.#self = el(
      'section',
      { class: 'card own', label: 'you' },
      el(
        'div',
        { class: 'preview-frame' },
        picture.element,
        el('div', { class: 'preview-switches' }, ...switches.map(({ element }) => element)),
      ),
      this.#bar.element,
      problems.element,
    );
    this.element = el(
      'div',
      { class: 'page waiting', testid: 'waiting' },
      el(
        'section',
        { class: 'card place-card', 'aria-live': 'polite' },
        this.#circle,
        this.#title,
        this.#body,
        this.#net,
      ),
      el(
        'section',
        { class: 'card meet', 'aria-labelledby': 'meet-title' },
        el('h2', { class: 'card-title', id: 'meet-title', text: 'lobby.meet' }),
        hosts.element,
      ),
      this.#self,
      this.#consent.element,
      el(
        'div',
        { class: 'leave-bar' },
        el(
          'button',
          {
            class: 'button secondary',
            type: 'button',
            testid: 'leave',
            on: { click: () => leaveWithCare(context, 'leave.waiting_title') },
          },
          icon('leave'),
          el('span', { text: 'waiting.leave' }),
        ),
      ),
    );
  }

  /** @param {import('../store.js').App} app */
  update(app) {
    const me = self(app.room);
    if (me === null) return;
    const held = me.state === 'held';
    const place = me.place;
    setAttribute(this.element, 'data-held', held);
    setText(this.#title, held ? t('waiting.held') : placeWords(place));
    setText(this.#body, t(held ? 'waiting.held_body' : 'waiting.keep_open'));
    setText(this.#number, held || place === null ? '' : String(place));
    setAttribute(this.#circle, 'data-kind', held ? 'held' : place === null ? 'none' : 'number');
    say(this.#net, app.net === 'open' ? 'net.open' : 'net.lost');
    setAttribute(this.#net, 'data-net', app.net);
    show(this.#self, may(app.room, 'speak'));
    for (const part of this.#parts) part.update(app);
    this.#place(me.consent === null && consentAsked(app.room));
  }

  /** @param {boolean} first whether the question still waits for its answer */
  #place(first) {
    const { element } = this.#consent;
    if (first === (this.element.firstElementChild === element)) return;
    if (first) this.element.prepend(element);
    else this.#self.after(element);
  }

  close() {
    this.#bar.close();
  }
}

/** @param {number | null} place in the queue, from 1 */
function placeWords(place) {
  if (place === null) return t('waiting.soon');
  return place === 1 ? t('waiting.next') : t('waiting.place', { n: place });
}
