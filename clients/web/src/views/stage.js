/**
 * The stage: a tile for each occupied seat, and one's own picture in the corner. Tiles are made once
 * for each seat and only moved by style: a video that changes its place in the document stops.
 */

import { el, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { arrange, fit, largeTile } from '../layout.js';
import { inState, others, queue, may } from '../state.js';
import { SelfPicture } from './devices.js';
import { Avatar, fullName, roleName } from './people_words.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {import('../protocol.js').Participant} Participant */
/** @typedef {import('../protocol.js').Seated} Seated */
/** @typedef {import('../layout.js').Rect} Rect */

const REPORT_AFTER_MS = 200;
/** Told of a seat that nobody sits on yet, so that whoever comes is seen at once. */
const EMPTY_SEAT_PX = 180;

/** One seat's tile. */
class SeatTile {
  #avatar = new Avatar();
  #name = el('span', { class: 'tile-name' });
  #role = el('span', { class: 'tile-role' });
  #muted = el('span', { class: 'tile-sign', role: 'img', label: 'call.muted' }, icon('mic_off'));
  #hand = el('span', { class: 'tile-sign hand', role: 'img', label: 'people.hand' }, icon('hand'));
  #note = el('span', { class: 'tile-note' });
  #onBlocked;
  #sink = '';
  /** @type {Rect | null} */
  rect = null;
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
   */
  update(seated, person, app) {
    this.source = seated.source;
    const stopped = person.muted.includes(seated.screen ? 'screen' : 'video');
    const picture = seated.screen || (person.media.video && !stopped);
    const silent = !person.media.audio || person.muted.includes('audio');
    const pinned = app.pinned === seated.source;
    const speaking = !seated.screen && app.room.speakers[0] === person.id && !silent;
    this.#avatar.update(person);
    setText(this.#name, seated.screen ? t('call.screen_of', { name: fullName(person) }) : fullName(person));
    setText(this.#role, seated.screen ? '' : roleName(person.role));
    show(this.#muted, silent && !seated.screen);
    show(this.#hand, person.hand_raised && !seated.screen);
    setText(this.#note, noteFor(seated, person, app));
    show(this.#note, this.#note.textContent !== '');
    setAttribute(this.element, 'data-picture', picture);
    setAttribute(this.element, 'data-speaking', speaking);
    setAttribute(this.element, 'data-screen', seated.screen);
    setAttribute(this.element, 'data-source', seated.source);
    setAttribute(this.element, 'data-pinned', pinned);
    setAttribute(this.element, 'aria-label', tileLabel(person, pinned, speaking, silent));
    this.#crop();
  }

  /** @param {Rect} rect */
  place(rect) {
    this.rect = rect;
    put(this.element, rect);
    setAttribute(this.element, 'data-small', rect.width < 260);
    this.#crop();
  }

  #crop() {
    if (this.rect === null) return;
    const whole = this.element.hasAttribute('data-screen') || this.element.hasAttribute('data-pinned');
    const shape = fit(this.rect.width / this.rect.height, this.video.videoWidth / this.video.videoHeight);
    this.video.style.objectFit = whole ? 'contain' : shape;
  }
}

/**
 * @param {HTMLElement} element
 * @param {Rect | null} rect null leaves the place to the style sheet
 */
function put({ style }, rect) {
  for (const side of /** @type {const} */ (['left', 'top', 'width', 'height'])) {
    style[side] = rect === null ? '' : `${rect[side]}px`;
  }
}

/**
 * @param {Seated} seated
 * @param {Participant} person
 * @param {App} app
 */
function noteFor(seated, person, app) {
  if (person.connection === 'lost') return t('people.lost');
  if (person.connection === 'away') return t('people.away');
  if (app.faults.includes(`audio:${seated.source}`)) return t('call.no_sound');
  return app.faults.includes(`video:${seated.source}`) ? t('call.frozen') : '';
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

/** @implements {View} */
export class StageView {
  #context;
  /** @type {SeatTile[]} */
  #tiles = [];
  #self;
  #ownScreen;
  #empty;
  #emptyTitle = el('p', { class: 'stage-empty-title' });
  #emptyHint = el('p', { class: 'muted' });
  #area = el('div', { class: 'stage-area' });
  #observer;
  #arranged = '';
  #reported = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #report;

  /** @param {Context} context */
  constructor(context) {
    this.#context = context;
    this.#self = new SelfPicture(context, 'self-video');
    this.#self.element.classList.add('self');
    this.#empty = el(
      'div',
      { class: 'stage-empty', role: 'status' },
      el('div', { class: 'badge-icon' }, icon('people')),
      this.#emptyTitle,
      this.#emptyHint,
    );
    this.#ownScreen = el(
      'div',
      { class: 'own-screen' },
      icon('share'),
      el('span', { text: 'call.your_screen' }),
      el('button', {
        class: 'button light',
        type: 'button',
        text: 'call.stop_screen',
        on: { click: () => context.devices.unshare() },
      }),
    );
    this.element = el(
      'section',
      { class: 'stage', label: 'call.stage' },
      this.#area,
      this.#empty,
      this.#self.element,
      this.#ownScreen,
    );
    this.#observer = new ResizeObserver(() => this.update(context.store.get()));
    this.#observer.observe(this.#area);
    document.addEventListener('visibilitychange', this.#visible);
  }

  /** @param {App} app */
  update(app) {
    this.#take();
    const shown = this.#shown(app);
    const occupied = new Set(shown.map(({ seat }) => seat));
    this.#tiles.forEach((tile, index) => {
      show(tile.element, occupied.has(index));
      tile.setSpeaker(app.devices.speaker);
    });
    for (const { seat, seated, person } of shown) this.#tiles[seat]?.update(seated, person, app);
    this.#arrange(shown, app);
    this.#self.update(app);
    show(this.#self.element, may(app.room, 'speak'));
    show(this.#ownScreen, app.devices.screen);
    show(this.#empty, shown.length === 0);
    if (shown.length === 0) this.#explain(app);
    this.#schedule(app);
  }

  /** The person touched the page: sound may run. */
  enableSound() {
    for (const tile of this.#tiles) void tile.play();
  }

  close() {
    this.#observer.disconnect();
    document.removeEventListener('visibilitychange', this.#visible);
    clearTimeout(this.#report);
    for (const tile of this.#tiles) tile.close();
  }

  #visible = () => this.#schedule(this.#context.store.get());

  /** Follow the seats of the media connection; a new connection brings new ones. */
  #take() {
    const seats = this.#context.seats();
    const same = this.#tiles.every((tile, index) => tile.stream === seats[index]?.stream);
    if (!same) {
      for (const tile of this.#tiles) tile.close();
      this.#tiles = [];
      this.#arranged = '';
    }
    for (let index = this.#tiles.length; index < seats.length; index += 1) {
      const seat = seats[index];
      if (seat === undefined) continue;
      const tile = new SeatTile(index, seat.stream, {
        onPin: (source) => this.#pin(source),
        onBlocked: () => this.#context.store.set({ sound_blocked: true }),
      });
      this.#tiles.push(tile);
      this.#area.append(tile.element);
    }
  }

  /** @param {App} app */
  #shown({ room }) {
    return room.seats.flatMap((seated, seat) => {
      const person = seated === null ? undefined : room.people[seated.participant];
      if (seated === null || person === undefined || seat >= this.#tiles.length) return [];
      if (seated.screen && !person.media.screen) return [];
      return [{ seat, seated, person }];
    });
  }

  /**
   * @param {{seat: number, seated: Seated}[]} shown
   * @param {App} app
   */
  #arrange(shown, app) {
    const { clientWidth: width, clientHeight: height } = this.#area;
    const tiles = shown.map(({ seat, seated }) => ({ seat, source: seated.source, screen: seated.screen }));
    const large = largeTile(tiles, app.pinned);
    // Beside a large picture one's own stands in the strip; else it floats in the corner.
    const ownInStrip = large >= 0 && may(app.room, 'speak');
    const arranged = JSON.stringify([tiles, large, width, height, ownInStrip]);
    if (arranged === this.#arranged) return;
    this.#arranged = arranged;
    setAttribute(this.#area, 'data-count', tiles.length);
    const rects = arrange(tiles.length + (ownInStrip ? 1 : 0), large, width, height);
    tiles.forEach(({ seat }, index) => {
      const rect = rects[index];
      if (rect !== undefined) this.#tiles[seat]?.place(rect);
    });
    setAttribute(this.#self.element, 'data-placed', ownInStrip);
    put(this.#self.element, ownInStrip ? (rects[tiles.length] ?? null) : null);
  }

  /** @param {App} app */
  #explain({ room }) {
    const senders = inState(room, 'admitted').filter(({ role }) => role !== 'observer');
    const lost = others(room).find(
      ({ state, connection }) => state === 'admitted' && connection === 'lost',
    );
    const waiting = may(room, 'admit') && queue(room).length > 0;
    const words =
      lost !== undefined
        ? t('call.lost', { name: fullName(lost) })
        : senders.length > 0
          ? t('call.coming')
          : t('call.alone');
    setText(this.#emptyTitle, words);
    setText(this.#emptyHint, t(waiting ? 'call.alone_waiting' : 'call.alone_hint'));
  }

  /** @param {string} source */
  #pin(source) {
    const { store } = this.#context;
    store.set({ pinned: store.get().pinned === source ? null : source });
  }

  /** @param {App} app */
  #schedule({ net }) {
    clearTimeout(this.#report);
    if (net !== 'open') {
      this.#reported = '';
      return;
    }
    this.#report = setTimeout(() => this.#tell(), REPORT_AFTER_MS);
  }

  #tell() {
    const { store, session } = this.#context;
    const { pinned, room } = store.get();
    if (room.seats.length === 0) return;
    const visible = document.visibilityState === 'visible';
    const seats = this.#tiles.map((tile, seat) => {
      const drawn = tile.element.hidden ? EMPTY_SEAT_PX : (tile.rect?.height ?? 0);
      const height = visible ? drawn : 0;
      return { seat, height_px: Math.min(8192, Math.round(height * devicePixelRatio)) };
    });
    const pins = pinned === null ? [] : [pinned];
    const view = JSON.stringify([seats, pins]);
    if (view === this.#reported) return;
    this.#reported = view;
    session.view(seats, pins).catch(() => {
      this.#reported = '';
    });
  }
}
