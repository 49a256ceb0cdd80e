/**
 * The bar below the stage. What is needed seldom folds away behind "more"; on a phone, half of it.
 */

import { el, say, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { may, queue, self } from '../state.js';
import { DeviceChoices, DeviceProblems, MicrophoneBar, Switch } from './devices.js';
import { confirmFirst, leaveWithCare, openDialog } from './dialog.js';
import { openConsent, RecordButton } from './recording.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {import('../dom.js').Key} Key */

/** As wide as this there is room for all of the bar (the style sheet says the same). */
const ROOMY = '(min-width: 900px)';

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
function waysOut(context) {
  const { session, ask } = context;
  const leave = control({
    testid: 'leave',
    words: 'call.leave',
    picture: 'leave',
    style: 'leave',
    click: () => leaveWithCare(context, 'leave.call_title'),
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
  #saver;
  #out;
  #more;
  #fold;
  #roomy = matchMedia(ROOMY);
  #leaveFolds;

  /**
   * @param {Context} context
   * @param {(panel: 'people' | 'chat') => void} onOpen asks for a panel
   */
  constructor(context, onOpen) {
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
    this.#chat = this.#panelControl(context, 'chat', 'call.chat', onOpen);
    this.#people = this.#panelControl(context, 'people', 'call.people', onOpen);
    this.#settings = control({
      testid: 'settings-open',
      words: 'device.settings',
      picture: 'settings',
      click: () => openSettings(context),
    });
    this.#saver = control({
      testid: 'saver',
      words: 'saver.turn_on',
      picture: 'speaker',
      click: () => context.saver.turn(!store.get().saver),
    });
    this.#consent = control({
      testid: 'consent-open',
      words: 'call.recording_consent',
      picture: 'shield',
      click: () => openConsent(context),
    });
    this.#more = control({ testid: 'more', words: 'call.more', picture: 'more', click: () => this.#turn() });
    this.#more.element.setAttribute('aria-controls', 'fold');
    // On a phone there is room for one way out in the bar: whoever may end finds "leave" in the fold.
    this.#leaveFolds = may(store.get().room, 'end');
    this.#fold = this.#makeFold();
    this.element = this.#makeBar();
    this.#place();
    this.#turn(true);
    this.#roomy.addEventListener('change', this.#place);
    document.addEventListener('pointerdown', this.#outside);
  }

  /**
   * @param {Context} context
   * @param {'people' | 'chat'} panel
   * @param {Key} words
   * @param {(panel: 'people' | 'chat') => void} onOpen
   */
  #panelControl({ store }, panel, words, onOpen) {
    const click = () => {
      this.#turn(true);
      if (store.get().panel === panel) store.set({ panel: null });
      else onOpen(panel);
    };
    return control({ testid: panel, words, picture: panel, click });
  }

  #makeFold() {
    // Closed before the control acts: a dialog then gives the focus back to "more".
    const chosen = (/** @type {Event} */ event) => {
      if (event.target !== this.#fold) this.#turn(true);
    };
    const fold = el('div', { class: 'fold', id: 'fold', role: 'group', label: 'call.more' }, this.#saver.element, this.#settings.element, this.#consent.element);
    fold.addEventListener('click', chosen, true);
    fold.addEventListener('focusout', ({ relatedTarget }) => {
      const stays = relatedTarget instanceof Node && (fold.contains(relatedTarget) || relatedTarget === this.#more.element);
      if (relatedTarget !== null && !stays) this.#turn(true);
    });
    return fold;
  }

  #makeBar() {
    const escape = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'Escape') this.#turn(true);
    };
    return el(
      'nav',
      { class: 'controls', label: 'call.controls', on: { keydown: escape } },
      ...this.#switches.map(({ element }) => element),
      this.#chat.element,
      this.#people.element,
      this.#more.element,
      this.#fold,
      el('span', { class: 'controls-gap' }),
      this.#out.leave.element,
      this.#out.end.element,
    );
  }

  /** Controls stand in the document where they are seen, so that the keyboard meets them in order. */
  #place = () => {
    const seldom = [this.#share.element, this.#hand.element, this.#record.element];
    if (this.#roomy.matches) this.#chat.element.before(...seldom);
    else this.#fold.prepend(...seldom);
    if (this.#roomy.matches || !this.#leaveFolds) this.#out.end.element.before(this.#out.leave.element);
    else this.#fold.append(this.#out.leave.element);
  };

  /** @param {'people' | 'chat'} panel whose button shall have the keyboard */
  focus(panel) {
    (panel === 'chat' ? this.#chat : this.#people).element.focus();
  }

  #outside = (/** @type {PointerEvent} */ event) => {
    const inside = event.target instanceof Node && this.element.contains(event.target);
    if (!inside) this.#turn(true);
  };

  close() {
    document.removeEventListener('pointerdown', this.#outside);
    this.#roomy.removeEventListener('change', this.#place);
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
    say(this.#saver.label, app.saver ? 'saver.off' : 'saver.turn_on');
    setAttribute(this.#saver.element, 'data-on', app.saver);
    setAttribute(this.#share.element, 'aria-pressed', String(app.devices.screen));
    show(this.#share.element, may(room, 'share_screen') && canShare());
    const raised = self(room)?.hand_raised ?? false;
    say(this.#hand.label, raised ? 'call.hand_down' : 'call.hand');
    setAttribute(this.#hand.element, 'data-on', raised);
    setAttribute(this.#chat.element, 'aria-expanded', String(panel === 'chat'));
    setAttribute(this.#people.element, 'aria-expanded', String(panel === 'people'));
    setCount(this.#chat.count, unread);
    setCount(this.#people.count, may(room, 'admit') ? queue(room).length : 0);
    show(this.#chat.element, may(room, 'chat') || room.chat.length > 0);
    show(this.#consent.element, (room.recording?.policy ?? 'none') !== 'none');
    show(this.#out.end.element, may(room, 'end'));
  }

  /** @param {boolean} [closed] turned over when left out */
  #turn(closed = !this.#fold.hidden) {
    const hadFocus = this.#fold.contains(document.activeElement);
    show(this.#fold, !closed);
    setAttribute(this.#more.element, 'aria-expanded', String(!closed));
    if (closed && hadFocus) this.#more.element.focus();
    if (!closed) [...this.#fold.querySelectorAll('button')].find(({ hidden }) => !hidden)?.focus();
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
