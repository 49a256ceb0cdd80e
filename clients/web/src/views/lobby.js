/**
 * Before the waiting room: who one will meet, the consent question, and a try of the devices.
 */

import { el, say, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { isClinician, may, self } from '../state.js';
import { ConsentQuestion } from './consent.js';
import { DeviceChoices, DeviceProblems, MicrophoneBar, SelfPicture, Switch } from './devices.js';
import { Hosts } from './hosts.js';
import { roleName } from './people_words.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */

/** @implements {View} */
export class LobbyView {
  #hello = el('h1', {});
  #title = el('p', { class: 'lead' });
  #role = el('p', { class: 'muted' });
  #meet = el('h2', { class: 'card-title' });
  #enter;
  #check;
  #listen = el('p', { class: 'card listen' }, icon('speaker'), el('span', { text: 'lobby.enter_listen' }));
  #parts;
  #bar;

  /** @param {Context} context */
  constructor(context) {
    const { session, ask } = context;
    const hosts = new Hosts();
    const consent = new ConsentQuestion(context);
    const picture = new SelfPicture(context, 'camera-preview');
    const problems = new DeviceProblems(context);
    const choices = new DeviceChoices(context);
    const switches = /** @type {const} */ (['audio', 'video']).map(
      (kind) =>
        new Switch(context, kind, {
          testid: kind === 'audio' ? 'mic' : 'camera',
          class: 'round-switch',
        }),
    );
    this.#bar = new MicrophoneBar(context);
    this.#parts = [hosts, consent, picture, problems, choices, this.#bar, ...switches];
    this.#enter = el('button', {
      class: 'button primary big',
      type: 'button',
      testid: 'enter',
      on: {
        click: () => {
          this.#enter.disabled = true;
          const asked = session.ready();
          ask(asked);
          asked.catch(() => undefined).finally(() => (this.#enter.disabled = false));
        },
      },
    });
    this.#check = el(
      'section',
      { class: 'card check', 'aria-labelledby': 'check-title' },
      el('h2', { class: 'card-title', id: 'check-title', text: 'lobby.check' }),
      el(
        'div',
        { class: 'preview-frame' },
        picture.element,
        el('div', { class: 'preview-switches' }, ...switches.map(({ element }) => element)),
      ),
      this.#bar.element,
      problems.element,
      el(
        'details',
        { class: 'more-choices' },
        el('summary', { text: 'device.settings' }),
        choices.element,
      ),
      el('p', { class: 'hint', text: 'device.no_camera_fine' }),
    );
    this.element = el(
      'div',
      { class: 'page lobby', testid: 'lobby' },
      el('div', { class: 'page-head' }, this.#hello, this.#title, this.#role),
      this.#check,
      this.#listen,
      consent.element,
      el(
        'section',
        { class: 'card meet', 'aria-labelledby': 'meet-title' },
        this.#meet,
        hosts.element,
      ),
      el('div', { class: 'enter-bar' }, this.#enter),
    );
    this.#meet.id = 'meet-title';
  }

  /** @param {import('../store.js').App} app */
  update(app) {
    const { room } = app;
    const me = self(room);
    if (me === null) return;
    const staff = isClinician(me.role) || may(room, 'enter');
    const speaks = may(room, 'speak');
    setText(this.#hello, t('lobby.hello', { name: me.name }));
    setText(this.#title, room.consultation?.title ?? '');
    setText(this.#role, t('lobby.as_role', { role: roleName(me.role) }));
    say(this.#meet, staff ? 'lobby.meet_staff' : 'lobby.meet');
    say(this.#enter, may(room, 'enter') ? 'lobby.enter_staff' : 'lobby.enter');
    show(this.#check, speaks);
    show(this.#listen, !speaks);
    for (const part of this.#parts) part.update(app);
  }

  close() {
    this.#bar.close();
  }
}
