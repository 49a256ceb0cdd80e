/**
 * The stage: a tile for each occupied seat, and one's own picture in the corner.
 */

import { el, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { icon } from '../icons.js';
import { arrange, largeTile } from '../layout.js';
import { follow, HOLD_MS } from '../media/pictures.js';
import { inState, others, queue, may } from '../state.js';
import { SelfPicture } from './devices.js';
import { fullName } from './people_words.js';
import { put, SeatTile } from './seat_tile.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./context.js').View} View */
/** @typedef {import('../store.js').App} App */
/** @typedef {import('../protocol.js').Seated} Seated */
/** @typedef {import('../media/pictures.js').Said} Said */

/** Tiles glide to their places: many sizes of one moment are told once. */
const REPORT_AFTER_MS = 150;
/** Told of a seat that nobody sits on yet, so that whoever comes is seen at once. */
const EMPTY_SEAT_PX = 180;

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
  #inWindow;
  /** @type {(Said | null)[]} */
  #said = [];
  #arranged = '';
  #reported = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #report;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #redraw;

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
    this.#inWindow = new IntersectionObserver((entries) => this.#moved(entries));
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
    this.#follow(app);
    for (const { seat, seated, person } of shown) {
      this.#tiles[seat]?.update(seated, person, app, this.#said[seat]?.pause ?? null);
    }
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
    this.#inWindow.disconnect();
    document.removeEventListener('visibilitychange', this.#visible);
    clearTimeout(this.#report);
    clearTimeout(this.#redraw);
    for (const tile of this.#tiles) tile.close();
  }

  /** Told at once: a hidden page's timers are late. */
  #visible = () => {
    if (this.#context.store.get().net === 'open') this.#tell();
  };

  /** @param {IntersectionObserverEntry[]} entries */
  #moved(entries) {
    for (const { target, isIntersecting } of entries) {
      const tile = this.#tiles.find(({ element }) => element === target);
      // One that is not laid out yet is nowhere; where it will be is told when it is.
      if (tile !== undefined) tile.onScreen = isIntersecting || tile.element.hidden;
    }
    this.#schedule(this.#context.store.get());
  }

  /** @param {App} app */
  #follow(app) {
    this.#said = follow(this.#said, app.room.pictures, performance.now());
    if (!this.#said.some((said) => said !== null && said.until !== null)) return;
    clearTimeout(this.#redraw);
    this.#redraw = setTimeout(() => this.update(this.#context.store.get()), HOLD_MS);
  }

  /** Follow the seats of the media connection; a new connection brings new ones. */
  #take() {
    const seats = this.#context.seats();
    const same = this.#tiles.every((tile, index) => tile.stream === seats[index]?.stream);
    if (!same) {
      for (const tile of this.#tiles) tile.close();
      this.#inWindow.disconnect();
      this.#tiles = [];
      this.#arranged = '';
      this.#reported = '';
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
      this.#inWindow.observe(tile.element);
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
    if (net !== 'open') {
      clearTimeout(this.#report);
      this.#report = undefined;
      this.#reported = '';
      return;
    }
    // Not put off by further changes: those come with every word of the server.
    this.#report ??= setTimeout(() => this.#tell(), REPORT_AFTER_MS);
  }

  #tell() {
    clearTimeout(this.#report);
    this.#report = undefined;
    const { store, session } = this.#context;
    const { pinned, room, saver } = store.get();
    if (room.seats.length === 0) return;
    const drawn = document.visibilityState === 'visible' && !saver;
    const seats = this.#tiles.map((tile, seat) => {
      const height = tile.element.hidden ? EMPTY_SEAT_PX : tile.drawn_px;
      return { seat, height_px: drawn ? Math.min(8192, Math.round(height * devicePixelRatio)) : 0 };
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
