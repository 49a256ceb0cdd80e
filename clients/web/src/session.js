/**
 * One person's stay in a consultation: enters by link or by the session kept here, follows what
 * the server says, and asks it for things.
 */

import { Connection } from './connection.js';
import { language } from './i18n/index.js';
import { forgetSession, keepSession, lastSession, sessionFor } from './keep.js';
import { readInvitation } from './link.js';
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

  /**
   * @param {import('./store.js').Store} store
   * @param {string} url of the WebSocket
   */
  constructor(store, url) {
    this.#store = store;
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
   * @returns {boolean} whether it holds an invitation
   */
  enter(address) {
    const invitation = readInvitation(address);
    if (invitation === null) return false;
    this.#invitation = invitation;
    this.#session = sessionFor(invitation.consultation, invitation.participant);
    this.#begin();
    return true;
  }

  /** @returns {boolean} whether a consultation was left open in this browser */
  canResume() {
    return lastSession() !== null;
  }

  /** Go back to the consultation that this browser had open last. */
  resume() {
    this.#session = lastSession();
    if (this.#session !== null) this.#begin();
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
    this.#store.set({ invited: false, failure: null, room: EMPTY, net: 'idle' });
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
   * @returns {Promise<import('./protocol.js').Answer>}
   */
  async offer(sdp, fresh) {
    const reply = await this.#connection.request({ type: 'offer', sdp, fresh });
    return /** @type {import('./protocol.js').Answer} */ (reply);
  }

  /** @param {import('./protocol.js').Media} media */
  mediaState(media) {
    return this.#connection.request({ type: 'media_state', ...media });
  }

  /**
   * @param {import('./protocol.js').SeatView[]} seats
   * @param {string[]} pinned
   */
  view(seats, pinned) {
    return this.#connection.request({ type: 'view', seats, pinned });
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
      keepSession(message.session);
    }
    if (message.type === 'ended') this.#over(message.reason);
    this.#store.set({ room: reduce(before, message) });
    this.#renewPermissions();
  }

  /** What one may do is told in `joined` alone: after a change of role, ask for it again. */
  #renewPermissions() {
    const { room } = this.#store.get();
    const mine = self(room);
    if (mine === null || room.me === null || mine.role === room.me.role) return;
    this.#store.set({ room: { ...room, me: { ...room.me, role: mine.role } } });
    this.#connection.open();
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
    this.#store.set({ failure: error });
  }
}
