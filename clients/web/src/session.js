/**
 * One person's stay in a consultation: enters by link or by the session kept here, follows what
 * the server says, and asks it for things.
 */

import { Connection } from './connection.js';
import { language } from './i18n/index.js';
import { forgetSession, keepSession, lastSession, sessionFor } from './keep.js';
import { readInvitation, readPlace } from './link.js';
import { EMPTY, reduce, self } from './state.js';

/** @typedef {import('./protocol.js').MediaKind} MediaKind */
/** @typedef {import('./link.js').Invitation} Invitation */

/** What the server says about reasons that leave nothing to come back to. */
const OVER = new Set(['ended', 'removed', 'expired', 'left']);

/** Enters, follows, asks. */
export class Session {
  #store;
  #connection;
  /** @type {Invitation | null} */
  #invitation = null;
  /** @type {string | null} */
  #session = null;
  /** The person's name as kept with the session. */
  #name = '';
  #onKept;

  /**
   * @param {import('./store.js').Store} store
   * @param {string} url of the WebSocket
   * @param {(place: import('./protocol.js').Joined) => void} onKept this browser can find the way
   *   back by itself now: the link is needed no more
   */
  constructor(store, url, onKept) {
    this.#store = store;
    this.#onKept = onKept;
    this.#connection = new Connection({
      url,
      hello: () => this.#hello(),
      onMessage: (message) => this.#receive(message),
      onNet: (net) => store.set({ net }),
      onRefused: (error) => this.#refused(error),
    });
  }

  /**
   * @param {string} address where the page was opened, or a link that was pasted
   * @param {unknown} [entry] the tab's history entry, which tells whose page is refreshed
   * @returns {boolean} whether it leads to somebody's place
   */
  enter(address, entry = null) {
    const invitation = readInvitation(address);
    const place = invitation ?? readPlace(address, entry);
    const kept = place && sessionFor(place.consultation, place.participant);
    if (invitation === null && kept === null) return false;
    this.#start(invitation, kept);
    return true;
  }

  /** @returns {import('./keep.js').Kept | null} who had a consultation open in this browser last */
  lastHere() {
    return lastSession();
  }

  /** Go back to the consultation that this browser had open last. */
  resume() {
    const last = lastSession();
    if (last !== null) this.#start(null, last.session);
  }

  /** Whoever is here now is not the person who had a consultation open last. */
  disown() {
    const last = lastSession();
    if (last !== null) forgetSession(last.session);
  }

  /** Try again after a failure, or come back after leaving. */
  again() {
    if (this.#session !== null || this.#invitation !== null) this.#begin();
  }

  /** Ask for another link. */
  forget() {
    this.#connection.close();
    if (this.#session !== null) forgetSession(this.#session);
    this.#session = null;
    this.#invitation = null;
    this.#store.set({ invited: false, failure: null, room: EMPTY, met: false, net: 'idle' });
  }

  /** @returns {boolean} whether `again` could lead back in */
  canReturn() {
    return this.#invitation !== null || this.#session !== null;
  }

  /** The network or the device woke up. */
  nudge() {
    this.#connection.nudge();
  }

  ready() {
    return this.#connection.request({ type: 'ready' });
  }

  /** @param {string} participant */
  admit(participant) {
    return this.#connection.request({ type: 'admit', participant });
  }

  /** @param {string} participant */
  hold(participant) {
    return this.#connection.request({ type: 'hold', participant });
  }

  /** @param {string} participant */
  bringBack(participant) {
    return this.#connection.request({ type: 'return', participant });
  }

  /** @param {string} participant */
  remove(participant) {
    return this.#connection.request({ type: 'remove', participant });
  }

  /**
   * @param {string} participant
   * @param {MediaKind[]} kinds
   */
  mute(participant, kinds) {
    return this.#connection.request({ type: 'mute', participant, kinds });
  }

  unmute() {
    return this.#connection.request({ type: 'unmute' });
  }

  /** @param {boolean} raised */
  raiseHand(raised) {
    return this.#connection.request({ type: 'raise_hand', raised }, { repeat: true });
  }

  /**
   * @param {string} participant
   * @param {import('./protocol.js').Role} role
   */
  promote(participant, role) {
    return this.#connection.request({ type: 'promote', participant, role });
  }

  /** @param {string} text */
  chat(text) {
    // The id makes a line appear once however often it is sent.
    const id = crypto.randomUUID();
    return this.#connection.request({ type: 'chat', id, text }, { repeat: true });
  }

  /** @param {import('./protocol.js').Decision} decision */
  consent(decision) {
    const texts = this.#store.get().room.me?.consent_texts ?? [];
    const asked = texts.find(({ purpose }) => purpose === 'recording');
    return this.#connection.request(
      {
        type: 'consent',
        purpose: 'recording',
        decision,
        text_version: asked?.version ?? '',
        language: language(),
      },
      { repeat: true },
    );
  }

  /** @param {'start' | 'stop'} action */
  record(action) {
    return this.#connection.request({ type: 'record', action });
  }

  leave() {
    return this.#connection.request({ type: 'leave' });
  }

  end() {
    return this.#connection.request({ type: 'end' });
  }

  /**
   * @param {string} sdp
   * @param {boolean} fresh
   * @param {boolean} saver ask for a voice of as few bytes as can be
   * @returns {Promise<import('./protocol.js').Answer>}
   */
  async offer(sdp, fresh, saver) {
    const reply = await this.#connection.request({ type: 'offer', sdp, fresh, saver });
    return /** @type {import('./protocol.js').Answer} */ (reply);
  }

  /** @param {import('./protocol.js').Media} media */
  mediaState(media) {
    return this.#connection.request({ type: 'media_state', ...media });
  }

  /** @param {import('./protocol.js').Stats} stats */
  stats(stats) {
    this.#connection.tell(stats);
  }

  /**
   * @param {import('./protocol.js').SeatView[]} seats
   * @param {string[]} pinned
   */
  view(seats, pinned) {
    return this.#connection.request({ type: 'view', seats, pinned });
  }

  /**
   * @param {Invitation | null} invitation
   * @param {string | null} session
   */
  #start(invitation, session) {
    this.#invitation = invitation;
    this.#session = session;
    this.#name = '';
    this.#store.set({ met: false });
    this.#begin();
  }

  #begin() {
    this.#store.set({ invited: true, failure: null, room: EMPTY });
    this.#connection.open();
  }

  /** @returns {import('./protocol.js').ClientMessage} */
  #hello() {
    if (this.#session !== null) return { type: 'resume', session: this.#session };
    return { type: 'join', token: this.#invitation?.token ?? '', language: language() };
  }

  /** @param {import('./protocol.js').ServerMessage} message */
  #receive(message) {
    const before = this.#store.get().room;
    if (message.type === 'joined') {
      this.#session = message.session;
      if (keepSession(message.session, this.#name)) this.#onKept(message);
    }
    if (message.type === 'ended') this.#over(message.reason);
    this.#store.set({ room: reduce(before, message) });
    this.#keepName();
  }

  /** A shared browser asks by name whether it is the same person who comes back. */
  #keepName() {
    const mine = self(this.#store.get().room);
    if (mine === null || mine.name === this.#name || this.#session === null) return;
    this.#name = mine.name;
    keepSession(this.#session, mine.name);
  }

  /** @param {string} reason */
  #over(reason) {
    this.#connection.finish();
    if (!OVER.has(reason) || this.#session === null) return;
    forgetSession(this.#session);
    this.#session = null;
    if (reason !== 'left') this.#invitation = null;
  }

  /** @param {import('./protocol.js').ErrorMessage} error */
  #refused(error) {
    const was = this.#session;
    if (was !== null) {
      // A session ends when the room forgot it; the link may still lead in.
      forgetSession(was);
      this.#session = null;
      if (this.#invitation !== null && error.code === 'session_unknown') {
        this.#connection.open();
        return;
      }
    }
    this.#store.set({ failure: error, room: EMPTY });
  }
}
