/**
 * The bar below the stage. On a phone the second half of it folds away behind "more".
 */

import { el, say, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { may, queue, self } from '../state.js';
import { DeviceChoices, DeviceProblems, MicrophoneBar, Switch } from './devices.js';
import { confirmFirst, openDialog } from './dialog.js';
import { openConsent, RecordButton } from './recording.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {import('../dom.js').Key} Key */

/**
 * Choose devices in a dialog.
 *
 * @param {Context} context
 */
export function openSettings(context) {
  const { store } = context;
  const bar = new MicrophoneBar(context);
  const parts = [bar, new DeviceProblems(context), new DeviceChoices(context)];
  const dialog = openDialog(t('device.settings'), 'settings', ...parts.map(({ element }) => element));
  const draw = () => parts.forEach((part) => part.update(store.get()));
  draw();
  const timer = setInterval(draw, 300);
  dialog.addEventListener('close', () => {
    clearInterval(timer);
    bar.close();
  });
}

/**
 * @param {object} look
 * @param {string} look.testid
 * @param {Key} look.words
 * @param {import('../icons.js').IconName} look.picture
 * @param {string} [look.style]
 * @param {() => void} look.click
 */
function control({ testid, words, picture, style = '', click }) {
  const label = el('span', { class: 'control-words', text: words });
  const count = el('span', { class: 'count', hidden: true });
  const element = el(
    'button',
    { class: `control ${style}`, type: 'button', testid, on: { click } },
    icon(picture),
    label,
    count,
  );
  return { element, label, count };
}

/**
 * The ways out: "leave" for oneself, "end" for everyone.
 *
 * @param {Context} context
 */
function waysOut({ session, ask }) {
  const leave = control({
    testid: 'leave',
    words: 'call.leave',
    picture: 'leave',
    style: 'leave',
    click: () => ask(session.leave()),
  });
  const askToEnd = () =>
    confirmFirst({
      title: t('call.end_title'),
      body: t('call.end_body'),
      confirm: 'call.end_confirm',
      testid: 'end-confirm',
      onConfirm: () => ask(session.end()),
    });
  const end = control({ testid: 'end', words: 'call.end', picture: 'end', style: 'end', click: askToEnd });
  return { leave, end };
}

/**
 * @param {Context} context
 */
async function toggleShare({ store, devices, tell }) {
  if (store.get().devices.screen) {
    devices.unshare();
    return;
  }
  if ((await devices.share()) === 'failed') tell(t('device_error.screen.failed'));
}

/** @implements {View} */
export class Controls {
  #switches;
  #record;
  #share;
  #hand;
  #chat;
  #people;
  #consent;
  #settings;
  #out;
  #more;
  #fold;

  /** @param {Context} context */
  constructor(context) {
    const { store, session, ask } = context;
    this.#switches = /** @type {const} */ (['audio', 'video']).map(
      (kind) => new Switch(context, kind, { testid: kind === 'audio' ? 'mic' : 'camera', class: 'control' }),
    );
    this.#record = new RecordButton(context);
    this.#out = waysOut(context);
    this.#share = control({
      testid: 'share',
      words: 'call.share',
      picture: 'share',
      click: () => void toggleShare(context),
    });
    const raise = () => ask(session.raiseHand(!(self(store.get().room)?.hand_raised ?? false)));
    this.#hand = control({ testid: 'hand', words: 'call.hand', picture: 'hand', click: raise });
    this.#chat = this.#panelControl(context, 'chat', 'call.chat');
    this.#people = this.#panelControl(context, 'people', 'call.people');
    this.#settings = control({
      testid: 'settings-open',
      words: 'device.settings',
      picture: 'settings',
      click: () => openSettings(context),
    });
    this.#consent = control({
      testid: 'consent-open',
      words: 'call.recording_consent',
      picture: 'shield',
      click: () => openConsent(context),
    });
    this.#more = control({ testid: 'more', words: 'call.more', picture: 'more', click: () => this.#turn() });
    // On a phone there is room for one way out in the bar: whoever may end finds "leave" in the fold.
    const leaveFolds = may(store.get().room, 'end');
    this.#fold = this.#makeFold(leaveFolds);
    this.element = this.#makeBar(leaveFolds);
    this.#turn(true);
    document.addEventListener('pointerdown', this.#outside);
  }

  /**
   * @param {Context} context
   * @param {'people' | 'chat'} panel
   * @param {Key} words
   */
  #panelControl({ store }, panel, words) {
    const click = () => {
      const open = store.get().panel === panel ? null : panel;
      store.set(open === 'chat' ? { panel: open, unread: 0 } : { panel: open });
      this.#turn(true);
    };
    return control({ testid: panel, words, picture: panel, click });
  }

  /** @param {boolean} leaveFolds */
  #makeFold(leaveFolds) {
    const fold = el(
      'div',
      { class: 'fold', id: 'fold', on: { click: () => this.#turn(true) } },
      this.#share.element,
      this.#hand.element,
      this.#record.element,
      el('div', { class: 'fold-sheet' }, this.#settings.element, this.#consent.element),
      leaveFolds ? this.#out.leave.element : null,
    );
    this.#more.element.setAttribute('aria-controls', 'fold');
    return fold;
  }

  /** @param {boolean} leaveFolds */
  #makeBar(leaveFolds) {
    const escape = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'Escape') this.#turn(true);
    };
    return el(
      'nav',
      { class: 'controls', label: 'call.controls', on: { keydown: escape } },
      ...this.#switches.map(({ element }) => element),
      this.#fold,
      this.#chat.element,
      this.#people.element,
      this.#more.element,
      el('span', { class: 'controls-gap' }),
      leaveFolds ? null : this.#out.leave.element,
      this.#out.end.element,
    );
  }

  #outside = (/** @type {PointerEvent} */ event) => {
    const inside = event.target instanceof Node && this.element.contains(event.target);
    if (!inside) this.#turn(true);
  };

  close() {
    document.removeEventListener('pointerdown', this.#outside);
  }

  /** @param {App} app */
  update(app) {
    const { room, panel, unread } = app;
    const speaks = may(room, 'speak');
    for (const part of this.#switches) {
      part.update(app);
      show(part.element, speaks);
    }
    this.#record.update(app);
    setAttribute(this.#share.element, 'aria-pressed', String(app.devices.screen));
    show(this.#share.element, may(room, 'share_screen') && canShare());
    const raised = self(room)?.hand_raised ?? false;
    say(this.#hand.label, raised ? 'call.hand_down' : 'call.hand');
    setAttribute(this.#hand.element, 'aria-pressed', String(raised));
    setAttribute(this.#chat.element, 'aria-expanded', String(panel === 'chat'));
    setAttribute(this.#people.element, 'aria-expanded', String(panel === 'people'));
    setCount(this.#chat.count, unread);
    setCount(this.#people.count, may(room, 'admit') ? queue(room).length : 0);
    show(this.#chat.element, may(room, 'chat') || room.chat.length > 0);
    show(this.#consent.element, (room.recording?.policy ?? 'none') !== 'none');
    show(this.#out.end.element, may(room, 'end'));
  }

  /** @param {boolean} [closed] turned over when left out */
  #turn(closed = !this.#fold.hasAttribute('data-closed')) {
    setAttribute(this.#fold, 'data-closed', closed);
    setAttribute(this.#more.element, 'aria-expanded', String(!closed));
  }
}

function canShare() {
  return navigator.mediaDevices?.getDisplayMedia !== undefined;
}

/**
 * @param {HTMLElement} count
 * @param {number} number
 */
function setCount(count, number) {
  setText(count, String(number));
  show(count, number > 0);
}
