/**
 * The call: stage, controls, and a panel for people or chat.
 */

import { el, say, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { consentAsked, may, queue, self } from '../state.js';
import { ChatPanel } from './chat.js';
import { ConsentQuestion } from './consent.js';
import { Controls } from './controls.js';
import { admitButton, PeoplePanel, waitedWords } from './people.js';
import { fullName } from './people_words.js';
import { StageView } from './stage.js';
import { Troubles } from './troubles.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */

/** Who stands at the door while the list of people is closed. @implements {View} */
class Door {
  #context;
  #name = el('strong', {});
  #note = el('span', { class: 'muted' });
  #place = el('span', {});
  #who = '';

  /**
   * @param {Context} context
   * @param {() => void} onPeople
   */
  constructor(context, onPeople) {
    this.#context = context;
    this.element = el(
      'div',
      { class: 'door', testid: 'door' },
      icon('door'),
      el('div', { class: 'door-words' }, this.#name, this.#note),
      this.#place,
      el('button', {
        class: 'button quiet',
        type: 'button',
        text: 'people.see_all',
        on: { click: onPeople },
      }),
    );
  }

  /** @param {App} app */
  update({ room, panel }) {
    const waiting = queue(room);
    const first = waiting[0];
    const shown = first !== undefined && panel !== 'people' && may(room, 'admit');
    show(this.element, shown);
    // The list has its own button for the same person: there is only ever one.
    if (!shown) {
      this.#place.replaceChildren();
      this.#who = '';
      return;
    }
    const more = waiting.length > 1 ? ` ${t('and_more', { n: waiting.length - 1 })}` : '';
    setText(this.#name, t('people.is_waiting', { name: fullName(first) }));
    setText(this.#note, `${waitedWords(first)}${more}`);
    if (this.#who === first.id) return;
    this.#who = first.id;
    this.#place.replaceChildren(admitButton(first, this.#context));
  }
}

/** @implements {View} */
export class CallView {
  #stage;
  #panel;
  #heading = el('h1', { class: 'visually-hidden' });
  #panelTitle = el('h2', { tabindex: -1 });
  #people;
  #chat;
  #consent;
  #later = false;
  #parts;

  #context;
  #controls;

  /** @param {Context} context */
  constructor(context) {
    this.#context = context;
    this.#stage = new StageView(context);
    const controls = new Controls(context, (panel) => this.#open(panel));
    this.#controls = controls;
    this.#people = new PeoplePanel(context);
    this.#chat = new ChatPanel(context);
    this.#consent = new ConsentQuestion(context, { short: true });
    this.#consent.element.append(
      el(
        'button',
        {
          class: 'icon-button consent-later',
          type: 'button',
          label: 'consent.later',
          on: {
            click: () => {
              this.#later = true;
              show(this.#consent.element, false);
            },
          },
        },
        icon('cross'),
      ),
    );
    const door = new Door(context, () => this.#open('people'));
    const troubles = new Troubles(context);
    this.#parts = [controls, this.#people, this.#chat, this.#consent, door, troubles, this.#stage];
    this.#panel = el(
      'aside',
      {
        class: 'panel',
        on: {
          keydown: (/** @type {KeyboardEvent} */ event) => {
            if (event.key === 'Escape') this.#close();
          },
        },
      },
      el(
        'header',
        { class: 'panel-head' },
        this.#panelTitle,
        el(
          'button',
          {
            class: 'icon-button',
            type: 'button',
            label: 'close',
            testid: 'panel-close',
            on: { click: () => this.#close() },
          },
          icon('cross'),
        ),
      ),
      this.#chat.element,
    );
    /** Cards and notices over the stage. */
    this.cards = el('div', { class: 'call-cards' }, this.#consent.element, door.element, troubles.element);
    this.element = el(
      'div',
      { class: 'call', testid: 'call' },
      el(
        'div',
        { class: 'call-main' },
        this.#heading,
        this.#stage.element,
        this.cards,
        controls.element,
      ),
      this.#panel,
    );
  }

  /**
   * The keyboard goes along: into what was opened.
   *
   * @param {'people' | 'chat'} panel
   */
  #open(panel) {
    const { store } = this.#context;
    store.set(panel === 'chat' ? { panel, unread: 0 } : { panel });
    this.update(store.get());
    if (panel === 'people' || !this.#chat.focus()) this.#panelTitle.focus();
  }

  /** The keyboard goes back to the button that opens it. */
  #close() {
    const { store } = this.#context;
    const { panel } = store.get();
    if (panel === null) return;
    store.set({ panel: null });
    this.#controls.focus(panel);
  }

  /** @param {App} app */
  update(app) {
    setText(this.#heading, app.room.consultation?.title ?? '');
    show(this.#panel, app.panel !== null);
    // Out of the document when closed: its buttons stand at the door then.
    if (app.panel !== 'people') this.#people.element.remove();
    else if (!this.#people.element.isConnected) this.#chat.element.before(this.#people.element);
    show(this.#chat.element, app.panel === 'chat');
    if (app.panel !== null) say(this.#panelTitle, app.panel === 'chat' ? 'chat.title' : 'people.title');
    for (const part of this.#parts) part.update(app);
    const unanswered = self(app.room)?.consent === null && consentAsked(app.room);
    if (!unanswered || this.#later) show(this.#consent.element, false);
  }

  enableSound() {
    this.#stage.enableSound();
  }

  close() {
    this.#stage.close();
    this.#controls.close();
  }
}
