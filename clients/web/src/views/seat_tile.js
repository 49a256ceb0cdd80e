/**
 * The tile of one seat: picture, sound, name and what is to be said of them. Made once for the seat,
 * and only moved by style: a video that changes its place in the document stops.
 */

import { el, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { drawnHeight, fit } from '../layout.js';
import { Avatar, fullName, roleName } from './people_words.js';

/** @typedef {import('../store.js').App} App */
/** @typedef {import('../protocol.js').Participant} Participant */
/** @typedef {import('../protocol.js').Seated} Seated */
/** @typedef {import('../layout.js').Rect} Rect */
/** @typedef {import('../media/pictures.js').Pause} Pause */

/** One seat's tile. */
export class SeatTile {
  #avatar = new Avatar();
  #name = el('span', { class: 'tile-name' });
  #role = el('span', { class: 'tile-role' });
  #muted = el('span', { class: 'tile-sign', role: 'img', label: 'call.muted' }, icon('mic_off'));
  #hand = el('span', { class: 'tile-sign hand', role: 'img', label: 'people.hand' }, icon('hand'));
  #note = el('span', { class: 'tile-note' });
  #pause = el('span', { class: 'tile-pause', testid: 'picture-paused' });
  #onBlocked;
  #sink = '';
  /** @type {Rect | null} */
  rect = null;
  /** Whether any of it is within the window. */
  onScreen = true;
  source = '';

  /**
   * @param {number} index
   * @param {MediaStream} stream
   * @param {{onPin: (source: string) => void, onBlocked: () => void}} told
   */
  constructor(index, stream, { onPin, onBlocked }) {
    this.#onBlocked = onBlocked;
    this.stream = stream;
    // Sound has an element of its own: a video element stays silent until its first picture, and
    // some people have no camera. Browsers keep the two together by the answer's msid.
    this.audio = el('audio', { autoplay: true });
    this.audio.srcObject = new MediaStream(stream.getAudioTracks());
    this.video = el('video', { testid: 'seat-video', playsinline: true, autoplay: true, muted: true });
    this.video.muted = true;
    this.video.srcObject = new MediaStream(stream.getVideoTracks());
    this.video.addEventListener('resize', () => this.#crop());
    this.element = el(
      'div',
      {
        class: 'tile',
        testid: `seat-${index}`,
        role: 'button',
        tabindex: 0,
        hidden: true,
        on: {
          click: () => onPin(this.source),
          keydown: (/** @type {KeyboardEvent} */ event) => {
            if (event.key !== 'Enter' && event.key !== ' ') return;
            event.preventDefault();
            onPin(this.source);
          },
        },
      },
      this.video,
      this.audio,
      this.#avatar.element,
      this.#pause,
      this.#note,
      el('span', { class: 'tile-label' }, this.#muted, this.#hand, this.#name, this.#role),
    );
    void this.play();
  }

  async play() {
    void this.video.play().catch(() => undefined);
    try {
      await this.audio.play();
    } catch (error) {
      // Sound needs a touch of the page first; the picture runs without.
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.#onBlocked();
    }
  }

  /** Let go of the stream. */
  close() {
    this.video.srcObject = null;
    this.audio.srcObject = null;
    this.element.remove();
  }

  /** @param {string} speaker '' for the system's own choice */
  setSpeaker(speaker) {
    if (speaker === this.#sink || !('setSinkId' in this.audio)) return;
    this.#sink = speaker;
    void this.audio.setSinkId(speaker).catch(() => undefined);
  }

  /**
   * @param {Seated} seated
   * @param {Participant} person
   * @param {App} app
   * @param {Pause | null} pause why its picture is stopped
   */
  update(seated, person, app, pause) {
    this.source = seated.source;
    const stopped = person.muted.includes(seated.screen ? 'screen' : 'video');
    const sent = seated.screen || (person.media.video && !stopped);
    const picture = sent && pause === null && !app.saver;
    const silent = !person.media.audio || person.muted.includes('audio');
    const pinned = app.pinned === seated.source;
    const speaking = !seated.screen && app.room.speakers[0] === person.id && !silent;
    this.#avatar.update(person);
    setText(this.#name, seated.screen ? t('call.screen_of', { name: fullName(person) }) : fullName(person));
    setText(this.#role, seated.screen ? '' : roleName(person.role));
    show(this.#muted, silent && !seated.screen);
    show(this.#hand, person.hand_raised && !seated.screen);
    const note = noteFor(seated, person, app);
    setText(this.#note, note);
    show(this.#note, note !== '');
    const paused = sent && pause !== null && !app.saver;
    show(this.#pause, paused);
    if (paused) setText(this.#pause, t(`pictures.${pause}`));
    setAttribute(this.element, 'data-picture', picture);
    setAttribute(this.element, 'data-speaking', speaking);
    setAttribute(this.element, 'data-screen', seated.screen);
    setAttribute(this.element, 'data-source', seated.source);
    setAttribute(this.element, 'data-pinned', pinned);
    setAttribute(this.element, 'data-paused', paused);
    const words = [tileLabel(person, pinned, speaking, silent), note, paused ? t(`pictures.${pause}`) : ''];
    setAttribute(this.element, 'aria-label', words.filter((part) => part !== '').join(', '));
    this.#crop();
  }

  /** @param {Rect} rect */
  place(rect) {
    this.rect = rect;
    put(this.element, rect);
    setAttribute(this.element, 'data-small', rect.width < 260);
    this.#crop();
  }

  /** @returns {number} how tall the picture is drawn, in CSS pixels; 0 when it is not */
  get drawn_px() {
    if (this.rect === null || !this.onScreen) return 0;
    return drawnHeight(this.rect, this.#aspect, this.#fit(this.rect));
  }

  get #aspect() {
    return this.video.videoWidth / this.video.videoHeight;
  }

  /** @param {Rect} rect */
  #fit({ width, height }) {
    const whole = this.element.hasAttribute('data-screen') || this.element.hasAttribute('data-pinned');
    return whole ? 'contain' : fit(width / height, this.#aspect);
  }

  #crop() {
    if (this.rect !== null) this.video.style.objectFit = this.#fit(this.rect);
  }
}

/** Faults by what others notice of them. */
const SILENT = new Set(['microphone_muted', 'microphone_silent', 'uplink_blocked']);
const FROZEN = new Set(['camera_muted', 'camera_frozen']);

/**
 * @param {Seated} seated
 * @param {Participant} person
 * @param {App} app
 */
function noteFor(seated, person, app) {
  if (person.connection === 'lost') return t('people.lost');
  if (person.connection === 'away') return t('people.away');
  const codes = app.room.faults.filter(({ participant }) => participant === person.id).map(({ code }) => code);
  if (!seated.screen && codes.some((code) => SILENT.has(code))) return t('call.no_sound');
  return !seated.screen && codes.some((code) => FROZEN.has(code)) ? t('call.frozen') : '';
}

/**
 * @param {Participant} person
 * @param {boolean} pinned
 * @param {boolean} speaking
 * @param {boolean} silent
 */
function tileLabel(person, pinned, speaking, silent) {
  const words = [t(pinned ? 'call.unpin' : 'call.pin', { name: fullName(person) }), roleName(person.role)];
  if (speaking) words.push(t('call.speaking'));
  if (silent) words.push(t('call.muted'));
  return words.join(', ');
}

/**
 * @param {HTMLElement} element
 * @param {Rect | null} rect null leaves the place to the style sheet
 */
export function put({ style }, rect) {
  for (const side of /** @type {const} */ (['left', 'top', 'width', 'height'])) {
    style[side] = rect === null ? '' : `${rect[side]}px`;
  }
}
