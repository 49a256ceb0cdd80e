/**
 * Keeps the media connection in step with the consultation: made when one is admitted, silent
 * while one is held, rebuilt when it breaks, closed when one is out. The WebSocket's troubles are
 * not its own: a lost one leaves the media alone.
 */

import { Hearing } from './media/hearing.js';
import { Peer } from './media/peer.js';
import { score, settle } from './media/quality.js';
import { takeSample } from './media/sample.js';
import { deviceState, statsOf } from './media/stats.js';
import { PathCare } from './path_care.js';
import { mediaDelay_ms, passes } from './reconnect.js';
import { ALL_LAYERS, may, others, self } from './state.js';

/** @typedef {import('./media/quality.js').Sample} Sample */

/** The server caps `wanted` at this too. */
const SEATS_LIMIT = 16;
/** The server judges by the second. */
const SAMPLE_EVERY_MS = 1000;
/** A path that is gone is to be noticed at once. */
const LISTEN_EVERY_MS = 250;
/** One second is too short to call a network bad. */
const SCORED_SAMPLES = 2;
/** The server's word that a transport is gone may be about the one we have just replaced. */
const SECOND_LOOK_MS = 800;
/** A connection that stood for this long was good: the next failure starts counting anew. */
const GOOD_AFTER_MS = 10_000;
/** After the server could not read our offer: a new try helps only if something changed. */
const BAD_OFFER_DELAY_MS = 15_000;

/** Owns the Peer. Call `sync` after every change. */
export class Call {
  #store;
  #session;
  #devices;
  #onSeats;
  #onError;
  /** @type {Peer | null} */
  #peer = null;
  #failures = 0;
  /** Offers in a row that the server had no time for. */
  #refusals = 0;
  #connectedAt = 0;
  #offerLost = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #sampling;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #listening;
  #hearing = new Hearing();
  #path;
  #told = '';
  #net = 'idle';
  #couldAsk = false;
  #saidBusy = false;
  #saver = false;
  #simulcast = true;
  /** @type {{at_ms: number, sample: Sample}[]} the last ones, oldest first */
  #samples = [];
  /** @type {import('./media/quality.js').Steady} */
  #steady = { shown: 'none', better: 0 };

  /**
   * @param {object} parts
   * @param {import('./store.js').Store} parts.store
   * @param {import('./session.js').Session} parts.session
   * @param {import('./media/devices.js').Devices} parts.devices
   * @param {(seats: readonly import('./media/peer.js').Seat[]) => void} parts.onSeats the seats
   *   there are now; called with none when the connection is closed
   * @param {(error: unknown) => void} parts.onError tells the person
   */
  constructor({ store, session, devices, onSeats, onError }) {
    this.#store = store;
    this.#session = session;
    this.#devices = devices;
    this.#onSeats = onSeats;
    this.#onError = onError;
    this.#path = new PathCare({ stands: () => this.#stands(), restart: () => this.#restart() });
  }

  /** @returns {RTCPeerConnection | null} */
  get pc() {
    return this.#peer?.pc ?? null;
  }

  /** Bring the connection to where the consultation says it should be. */
  sync() {
    const { room, net } = this.#store.get();
    const state = room.ended === null ? self(room)?.state : undefined;
    const canAsk = state === 'admitted' && net === 'open';
    const back = canAsk && !this.#couldAsk;
    this.#couldAsk = canAsk;
    if (net !== this.#net) {
      this.#net = net;
      this.#told = '';
    }
    if (state !== 'admitted' && state !== 'held') {
      this.#drop();
      return;
    }
    if (this.#peer === null) {
      if (canAsk && this.#retry === undefined) this.#connect();
      return;
    }
    void this.#publish(state === 'admitted');
    this.#peer.choose('video', room.layers.camera);
    // What was asked of a screen that is shared no more is not asked of the next.
    this.#peer.choose('screen', this.#devices.screen === null ? null : room.layers.screen);
    // On hold nothing is sent to us: after it one listens anew.
    if (state === 'held') this.#hearing = new Hearing();
    if (!canAsk) return;
    const more = this.#grow();
    const lost = this.#offerLost && (back || this.#retry === undefined);
    // On hold, and while the WebSocket was gone, nobody could be asked for a new path.
    const restarted = back && this.#path.resume();
    if (!restarted && (more || lost || this.#saver !== this.#store.get().saver)) this.#negotiate();
    this.#tellMedia();
  }

  /** The device is on another network: what was the path may be none. */
  networkChanged() {
    if (this.#peer !== null) this.#path.move();
  }

  /** The server has another answer for us. */
  offerAgain() {
    this.#negotiate();
  }

  /**
   * What the SFU says of our transport.
   *
   * @param {import('./protocol.js').MediaConnection} word
   */
  heard(word) {
    if (word.state === 'connecting' || word.state === 'connected' || this.#peer === null) return;
    if (word.state === 'disconnected') {
      this.#path.doubt();
      return;
    }
    const about = this.#peer;
    // Of a connection that the server has not answered yet it cannot know that it is gone.
    if (about.pc.currentRemoteDescription === null) return;
    setTimeout(() => {
      // A new server may take an offer for the old connection, and say so: it cannot serve it.
      const holds = word.state === 'renegotiate' || this.#store.get().room.media === word;
      if (about === this.#peer && holds) this.#rebuild();
    }, SECOND_LOOK_MS);
  }

  #connect() {
    const { room } = this.#store.get();
    const peer = new Peer({
      ice_servers: (room.me?.ice_servers ?? []).map(iceServer),
      simulcast: this.#simulcast,
      offer: (sdp, fresh) => this.#session.offer(sdp, fresh, this.#store.get().saver),
      onState: (state) => {
        if (peer === this.#peer) this.#moved(state);
      },
      onPath: (state) => {
        if (peer === this.#peer && state === 'disconnected') this.#path.doubt();
      },
    });
    this.#peer = peer;
    this.#samples = [];
    this.#sampling = setInterval(() => void this.#sample(), SAMPLE_EVERY_MS);
    this.#hearing = new Hearing();
    this.#listening = setInterval(() => void this.#listen(), LISTEN_EVERY_MS);
    void this.#publish(true);
    this.#grow();
    this.#negotiate();
  }

  /** @returns {boolean} whether there are more seats now */
  #grow() {
    const { room } = this.#store.get();
    const inCall = others(room).filter(({ state }) => state === 'admitted').length;
    // Before the first seating is told: a seat for each person and one for a screen.
    const wanted = room.wanted > 0 ? room.wanted : inCall + 1;
    const count = Math.min(SEATS_LIMIT, Math.max(2, wanted));
    if (!this.#peer?.grow(count)) return false;
    this.#onSeats(this.#peer.seats);
    return true;
  }

  /** @param {boolean} sending false while held: nothing leaves this device then */
  async #publish(sending) {
    const peer = this.#peer;
    const { room } = this.#store.get();
    if (peer === null) return;
    const { microphone: audio, camera: video, screen } = this.#devices;
    const speaks = may(room, 'speak');
    // All are begun before any is awaited: a first offer holds every section.
    const sent = /** @type {const} */ ([['audio', audio], ['video', video]])
      // Who may no longer speak goes on with the section, and sends nothing in it.
      .filter(([kind]) => speaks || peer.sends(kind))
      .map(([kind, track]) => peer.send(kind, sending && speaks ? track : null));
    sent.push(peer.send('screen', sending && may(room, 'share_screen') ? screen : null));
    const offers = await Promise.all(sent);
    if (offers.includes(true) && peer === this.#peer) this.#negotiate();
  }

  /**
   * @param {{restart?: boolean}} [how]
   * @returns {boolean} whether there is anybody to offer to
   */
  #negotiate(how) {
    const peer = this.#peer;
    if (peer === null) return false;
    // Nobody reads an offer of one on hold: it is made on return.
    this.#offerLost = !this.#admitted();
    if (this.#offerLost) return false;
    this.#saver = this.#store.get().saver;
    peer.negotiate(how).then(
      () => (this.#refusals = 0),
      (error) => {
        if (peer === this.#peer) this.#refused(peer, error);
      },
    );
    return true;
  }

  /**
   * @param {Peer} peer
   * @param {unknown} error
   */
  #refused(peer, error) {
    const code = /** @type {{code?: string}} */ (error).code;
    if (code === 'connection_lost' || code === 'abandoned') {
      // Whether the server saw the offer is unknown: offer again when it is back.
      this.#offerLost = true;
      if (this.#store.get().net === 'open') this.sync();
      return;
    }
    if (code === 'media_busy' && !this.#saidBusy) {
      this.#saidBusy = true;
      this.#onError(error);
    }
    // Put on hold while the offer was on its way, or the server has no time for it just now: a
    // connection that stands is kept, and goes on meanwhile.
    const stands = peer.pc.connectionState === 'connected';
    if (code === 'not_admitted' || (stands && passes(code ?? ''))) {
      this.#offerLost = true;
      this.#syncIn(mediaDelay_ms(this.#refusals, Math.random()));
      this.#refusals += 1;
      return;
    }
    // The browser itself trips over what was negotiated: once more with less to negotiate.
    if (error instanceof DOMException) this.#simulcast = false;
    if (code === 'bad_offer') {
      this.#onError(error);
      this.#rebuild(BAD_OFFER_DELAY_MS);
      return;
    }
    this.#rebuild();
  }

  /** @param {RTCPeerConnectionState} state */
  #moved(state) {
    if (state === 'connected') {
      this.#saidBusy = false;
      this.#store.set({ flow: 'flowing' });
      this.#connectedAt = performance.now();
      void this.#sample();
    } else if (state === 'disconnected') {
      this.#store.set({ flow: 'broken' });
    } else if (state === 'failed') {
      this.#rebuild();
    }
  }

  /** @returns {boolean} whether one is in the call, by the server's last word */
  #admitted() {
    return self(this.#store.get().room)?.state === 'admitted';
  }

  /** @returns {boolean} whether both ends say that media flows, or there is nothing to mend */
  #stands() {
    const { room } = this.#store.get();
    if (this.#peer === null) return true;
    const { connectionState, iceConnectionState } = this.#peer.pc;
    const heard = room.media?.state !== 'disconnected' && !this.#hearing.silent;
    return heard && connectionState !== 'disconnected' && iceConnectionState !== 'disconnected';
  }

  /** Look for a new path on the same connection. The WebSocket may have gone with the old one. */
  #restart() {
    this.#session.nudge();
    return this.#store.get().net === 'open' && this.#negotiate({ restart: true });
  }

  /** @param {number} [delay_ms] */
  #rebuild(delay_ms) {
    if (this.#connectedAt > 0 && performance.now() - this.#connectedAt > GOOD_AFTER_MS) {
      this.#failures = 0;
    }
    const wait_ms = delay_ms ?? mediaDelay_ms(this.#failures, Math.random());
    this.#failures += 1;
    const stood = this.#store.get().flow !== 'none';
    this.#syncIn(wait_ms);
    this.#release(stood ? 'broken' : 'none');
  }

  /** @param {number} wait_ms */
  #syncIn(wait_ms) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.sync();
    }, wait_ms);
  }

  /** Out of the call: nothing left, nothing pending. */
  #drop() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#saidBusy = false;
    this.#release('none');
  }

  /** @param {'none' | 'broken'} flow how the page shall speak of it */
  #release(flow) {
    this.#path.rest();
    clearInterval(this.#sampling);
    clearInterval(this.#listening);
    this.#offerLost = false;
    this.#refusals = 0;
    this.#told = '';
    const peer = this.#peer;
    this.#peer = null;
    if (peer !== null) {
      peer.close();
      this.#connectedAt = 0;
      this.#steady = { shown: 'none', better: 0 };
      this.#onSeats([]);
    } else if (this.#store.get().flow === flow) return;
    // What the server asked of the old connection it has not asked of the next.
    this.#store.set({ flow, quality: 'none', room: { ...this.#store.get().room, layers: ALL_LAYERS } });
  }

  #tellMedia() {
    const { devices } = this.#store.get();
    const media = {
      audio: devices.audio.wanted && devices.audio.status === 'open',
      video: devices.video.wanted && devices.video.status === 'open',
      screen: devices.screen,
    };
    const told = JSON.stringify(media);
    if (told === this.#told) return;
    this.#told = told;
    this.#session.mediaState(media).catch(() => {
      // Told again after the next connection; it is a courtesy to the others, not a switch.
      this.#told = '';
    });
  }

  async #listen() {
    const peer = this.#peer;
    if (peer === null || peer.pc.connectionState !== 'connected') return;
    const packets = await peer.receivedPackets();
    if (peer !== this.#peer || !this.#admitted()) return;
    if (this.#hearing.note(packets, performance.now())) this.#path.silence();
  }

  async #sample() {
    const peer = this.#peer;
    if (peer === null) return;
    const now = await takeSample(peer);
    if (peer !== this.#peer) return;
    const at_ms = performance.now();
    this.#tellStats(peer, now);
    const first = this.#samples[0];
    this.#steady = settle(this.#steady, score(first?.sample ?? null, now, at_ms - (first?.at_ms ?? at_ms)));
    this.#samples = [...this.#samples.slice(1 - SCORED_SAMPLES), { at_ms, sample: now }];
    if (this.#store.get().quality !== this.#steady.shown) this.#store.set({ quality: this.#steady.shown });
  }

  /**
   * @param {Peer} peer
   * @param {Sample} now
   */
  #tellStats(peer, now) {
    if (!this.#admitted()) return;
    const { microphone, camera } = peer.tracks;
    const devices = { microphone: deviceState(microphone), camera: deviceState(camera) };
    this.#session.stats(statsOf(this.#samples.at(-1)?.sample ?? null, now, devices));
  }
}

/**
 * @param {import('./protocol.js').IceServer} server
 * @returns {RTCIceServer}
 */
function iceServer({ urls, username, credential }) {
  return username === '' ? { urls } : { urls, username, credential };
}
