/**
 * Keeps the media connection in step with the consultation: made when one is admitted, silent
 * while one is held, rebuilt when it breaks, closed when one is out. The WebSocket's troubles are
 * not its own: a lost one leaves the media alone.
 */

import { Peer } from './media/peer.js';
import { look, score, settle, WATCHING } from './media/quality.js';
import { takeSample } from './media/sample.js';
import { mediaDelay_ms } from './reconnect.js';
import { may, others, self } from './state.js';

/** The server caps `wanted` at this too. */
const SEATS_LIMIT = 16;
const SAMPLE_EVERY_MS = 2000;
/** A path that comes back within this needs no help. */
const DISCONNECTED_PATIENCE_MS = 2500;
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
  #connectedAt = 0;
  #offerLost = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #sampling;
  #told = '';
  #net = 'idle';
  #watch = WATCHING;
  #sampledAt = 0;
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
  }

  /** @returns {RTCPeerConnection | null} */
  get pc() {
    return this.#peer?.pc ?? null;
  }

  /** Bring the connection to where the consultation says it should be. */
  sync() {
    const { room, net } = this.#store.get();
    const state = room.ended === null ? self(room)?.state : undefined;
    const back = net === 'open' && this.#net !== 'open';
    if (net !== this.#net) {
      this.#net = net;
      this.#told = '';
    }
    if (state !== 'admitted' && state !== 'held') {
      this.#drop();
      return;
    }
    if (this.#peer === null) {
      if (state === 'admitted' && net === 'open' && this.#retry === undefined) this.#connect();
      return;
    }
    void this.#publish(state === 'admitted');
    if (state !== 'admitted' || net !== 'open') return;
    // While the WebSocket was gone nobody could be asked for a new path.
    if (back && this.#peer.pc.connectionState === 'disconnected') this.#findPath();
    if (this.#offerLost || this.#grow()) this.#negotiate();
    this.#tellMedia();
  }

  /**
   * What the SFU says of our transport.
   *
   * @param {import('./protocol.js').MediaConnection} word
   */
  heard(word) {
    if (word.state === 'connecting' || word.state === 'connected' || this.#peer === null) return;
    const about = this.#peer;
    setTimeout(() => {
      if (about === this.#peer && this.#store.get().room.media === word) this.#rebuild();
    }, SECOND_LOOK_MS);
  }

  #connect() {
    const { room } = this.#store.get();
    const peer = new Peer({
      ice_servers: (room.me?.ice_servers ?? []).map(iceServer),
      offer: (sdp, fresh) => this.#session.offer(sdp, fresh),
      onState: (state) => {
        if (peer === this.#peer) this.#moved(state);
      },
    });
    this.#peer = peer;
    this.#watch = WATCHING;
    this.#sampling = setInterval(() => void this.#sample(), SAMPLE_EVERY_MS);
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

  #negotiate() {
    const peer = this.#peer;
    if (peer === null) return;
    this.#offerLost = false;
    peer.negotiate().catch((error) => {
      if (peer === this.#peer) this.#refused(error);
    });
  }

  /** @param {unknown} error */
  #refused(error) {
    const code = /** @type {{code?: string}} */ (error).code;
    if (code === 'connection_lost' || code === 'abandoned') {
      // Whether the server saw the offer is unknown: offer again when it is back.
      this.#offerLost = true;
      if (this.#store.get().net === 'open') this.sync();
      return;
    }
    if (code === 'bad_offer') {
      this.#onError(error);
      this.#rebuild(BAD_OFFER_DELAY_MS);
      return;
    }
    this.#rebuild();
  }

  /** @param {RTCPeerConnectionState} state */
  #moved(state) {
    clearTimeout(this.#patience);
    if (state === 'connected') {
      this.#store.set({ flow: 'flowing' });
      this.#connectedAt = performance.now();
      void this.#sample();
    } else if (state === 'disconnected') {
      this.#store.set({ flow: 'broken' });
      this.#patience = setTimeout(() => this.#findPath(), DISCONNECTED_PATIENCE_MS);
    } else if (state === 'failed') {
      this.#rebuild();
    }
  }

  /** The phone left Wi-Fi: look for a new path on the same connection. */
  #findPath() {
    const peer = this.#peer;
    if (peer === null || this.#store.get().net !== 'open') return;
    peer.negotiate({ restart: true }).catch((error) => {
      if (peer === this.#peer) this.#refused(error);
    });
  }

  /** @param {number} [delay_ms] */
  #rebuild(delay_ms) {
    if (this.#connectedAt > 0 && performance.now() - this.#connectedAt > GOOD_AFTER_MS) {
      this.#failures = 0;
    }
    const wait_ms = delay_ms ?? mediaDelay_ms(this.#failures);
    this.#failures += 1;
    const stood = this.#store.get().flow !== 'none';
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.sync();
    }, wait_ms);
    this.#release(stood ? 'broken' : 'none');
  }

  /** Out of the call: nothing left, nothing pending. */
  #drop() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#release('none');
  }

  /** @param {'none' | 'broken'} flow how the page shall speak of it */
  #release(flow) {
    clearTimeout(this.#patience);
    clearInterval(this.#sampling);
    this.#offerLost = false;
    this.#told = '';
    if (this.#peer === null) return;
    this.#peer.close();
    this.#peer = null;
    this.#connectedAt = 0;
    this.#steady = { shown: 'none', better: 0 };
    this.#onSeats([]);
    this.#store.set({ flow, quality: 'none', faults: [] });
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

  async #sample() {
    const peer = this.#peer;
    if (peer === null) return;
    const now = await takeSample(peer);
    if (peer !== this.#peer) return;
    const at = performance.now();
    const elapsed_ms = at - this.#sampledAt;
    this.#sampledAt = at;
    this.#steady = settle(this.#steady, score(this.#watch.last, now, elapsed_ms));
    const { watch, faults } = look(this.#watch, now, this.#expected(), elapsed_ms);
    this.#watch = watch;
    const app = this.#store.get();
    if (app.quality !== this.#steady.shown || app.faults.join() !== faults.join()) {
      this.#store.set({ quality: this.#steady.shown, faults });
    }
  }

  /** @returns {import('./media/quality.js').Expected[]} */
  #expected() {
    const { room } = this.#store.get();
    const visible = document.visibilityState === 'visible';
    return room.seats.flatMap((seated, seat) => {
      const person = seated === null ? undefined : room.people[seated.participant];
      if (seated === null || person === undefined || person.connection !== 'connected') return [];
      const { media, muted, state } = person;
      const here = state === 'admitted';
      return [
        {
          seat,
          source: seated.source,
          audio: here && !seated.screen && media.audio && !muted.includes('audio'),
          video: here && visible && !seated.screen && media.video && !muted.includes('video'),
        },
      ];
    });
  }
}

/**
 * @param {import('./protocol.js').IceServer} server
 * @returns {RTCIceServer}
 */
function iceServer({ urls, username, credential }) {
  return username === '' ? { urls } : { urls, username, credential };
}
