/**
 * Puts the page together: store, session, devices, call, view.
 */

import { Call } from './call.js';
import { chooseLanguage, language, t } from './i18n/index.js';
import { choices, keepChoices } from './keep.js';
import { addressOf } from './link.js';
import { Devices } from './media/devices.js';
import { chime } from './media/sound.js';
import { notices } from './notices.js';
import { Saver } from './saver.js';
import { Session } from './session.js';
import { may, queue, screenOf, self } from './state.js';
import { INITIAL, Store } from './store.js';
import { AppView, pageOf } from './views/app.js';
import { fullName } from './views/people_words.js';
import { keepAwake } from './wake_lock.js';
import { watchNetwork } from './network.js';

/** @typedef {import('./store.js').App} App */

/** From this width on, people and call stand beside each other. */
const WIDE_PX = 900;

chooseLanguage(choices().language ?? 'vi');
const store = new Store({ ...INITIAL, language: language() });
const socket = new URL('/v1/ws', location.href);
socket.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
socket.hash = '';
const session = new Session(store, socket.href, hideToken);
const devices = new Devices(store);
const saver = new Saver(store, devices);
/** @type {readonly import('./media/peer.js').Seat[]} */
let seats = [];

const root = /** @type {HTMLElement} */ (document.getElementById('app'));
const view = new AppView(root, { store, session, devices, saver, seats: () => seats }, { onLanguage: switchLanguage });
const call = new Call({
  store,
  session,
  devices,
  onSeats: (now) => {
    seats = [...now];
    draw();
  },
  onError: (error) => view.complain(error),
});

/**
 * The token has done its work: it shall not stay in the address, the history or a screenshot.
 *
 * @param {import('./protocol.js').Joined} place
 */
function hideToken({ consultation, participant }) {
  // A browser inside another app, which cannot call, hands the address on to a better one.
  if (navigator.mediaDevices?.getUserMedia === undefined) return;
  history.replaceState({ participant }, '', addressOf(consultation));
}

function switchLanguage() {
  chooseLanguage(language() === 'vi' ? 'en' : 'vi');
  keepChoices({ language: language() });
  store.set({ language: language() });
  view.speak();
}

let drawing = false;

/** Many changes of one moment are drawn once. */
function draw() {
  if (drawing) return;
  drawing = true;
  queueMicrotask(() => {
    drawing = false;
    view.update(store.get());
    document.title = title(store.get());
  });
}

/** @param {App} app */
function title(app) {
  const page = pageOf(app);
  const name = app.room.consultation?.title ?? t('product');
  if (page === 'nolink' || page === 'failure' || page === 'connecting') return t('product');
  const held = page === 'waiting' && self(app.room)?.state === 'held';
  const waiting = page === 'call' && may(app.room, 'admit') ? queue(app.room).length : 0;
  const count = waiting > 0 ? `${t('title.waiting_people', { n: waiting })} ` : '';
  return `${count}${t(held ? 'title.held' : `title.${page}`)} – ${name}`;
}

/**
 * @param {App} app
 * @param {App} before
 */
function follow(app, before) {
  if (app.room === before.room) return;
  for (const { text, about, loud, ring } of notices(before.room, app.room)) {
    const words = t(text, about === null ? {} : { name: fullName(about) });
    if (loud) view.tell(words);
    else view.say(words);
    if (ring) {
      chime();
      navigator.vibrate?.([200, 100, 200]);
    }
  }
  countUnread(app, before);
  const state = self(app.room)?.state;
  if (!app.met && (state === 'admitted' || state === 'held')) store.set({ met: true });
  const screen = screenOf(app.room);
  if (screen !== screenOf(before.room)) enter(screen, app);
  // Whoever may speak no longer, or only now, is not seen or heard before they switch on themselves.
  else if (screen !== 'connecting' && may(app.room, 'speak') !== may(before.room, 'speak')) {
    void devices.rest();
  }
}

/**
 * @param {App} app
 * @param {App} before
 */
function countUnread(app, before) {
  const known = new Set(before.room.chat.map(({ id }) => id));
  const fresh = app.room.chat.filter(
    ({ id, participant }) => !known.has(id) && participant !== app.room.me?.participant,
  );
  const newest = fresh[fresh.length - 1];
  // The whole chat that comes with being admitted is not news.
  if (newest === undefined || app.panel === 'chat' || screenOf(before.room) !== 'call') return;
  store.set({ unread: app.unread + fresh.length });
  const writer = app.room.people[newest.participant];
  view.tell(t('chat.new_from', { name: writer ? fullName(writer) : newest.name }), 'chat');
}

/**
 * @param {import('./state.js').Screen} screen
 * @param {App} app
 */
function enter(screen, app) {
  keepAwake(screen === 'waiting' || screen === 'call');
  if (screen === 'ended' || screen === 'connecting') void devices.close();
  else void openDevices(app);
  const opensPeople = screen === 'call' && may(app.room, 'admit') && innerWidth >= WIDE_PX;
  store.set({ panel: opensPeople ? 'people' : null, pinned: null, unread: 0 });
}

/** @param {App} app */
async function openDevices(app) {
  if (may(app.room, 'speak')) await devices.open();
}

store.listen((app, before) => {
  follow(app, before);
  saver.follow(app, before);
  call.sync();
  const { media, offer_wanted } = app.room;
  if (media !== null && media !== before.room.media) call.heard(media);
  if (offer_wanted !== null && offer_wanted !== before.room.offer_wanted) call.offerAgain();
  draw();
});
devices.listen(() => {
  call.sync();
  draw();
});
for (const event of ['pointerdown', 'keydown']) {
  addEventListener(event, () => store.get().sound_blocked && view.enableSound(), true);
}
for (const event of ['pageshow', 'focus']) addEventListener(event, () => session.nudge());
watchNetwork(() => {
  session.nudge();
  call.networkChanged();
});
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') session.nudge();
});
addEventListener('hashchange', () => void session.enter(location.hash, history.state));
// Words such as "waiting for 3 minutes" grow older without any message.
setInterval(draw, 20_000);

/**
 * For tests and support: what the page believes, without secrets. Read only.
 */
Object.defineProperty(window, 'vtelehealth', {
  value: Object.freeze({
    /** @returns {RTCPeerConnection | null} */
    pc: () => call.pc,
    /** @returns {object} */
    state: () => {
      const { room, ...app } = store.get();
      const me = room.me && { ...room.me, session: undefined, ice_servers: undefined };
      return structuredClone({
        ...app,
        devices: { ...app.devices, known: app.devices.known.length },
        room: { ...room, me },
        page: pageOf(store.get()),
      });
    },
  }),
});

session.enter(location.hash, history.state);
draw();
