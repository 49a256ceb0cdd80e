/**
 * One RTCPeerConnection with the SFU: what we send as `sendonly` sections, what we want to see as
 * pairs of `recvonly` sections (seats). We always offer. The server is ICE-lite on a known port, so
 * an offer goes out at once, without waiting for candidates (RFC 8445 §2.5: it learns ours from the
 * checks).
 */

import { waysToSend } from './encodings.js';
import { Layers } from './layers.js';
import { audioCodecs, markScreen, videoCodecs } from './sdp.js';

/** @typedef {'audio' | 'video' | 'screen'} SendKind */
/** @typedef {import('../protocol.js').Layer} Layer */

/** One seat as we receive it. */
export class Seat {
  /**
   * @param {RTCRtpTransceiver} audio
   * @param {RTCRtpTransceiver} video
   */
  constructor(audio, video) {
    this.audio = audio;
    this.video = video;
    // The answer gives both tracks one msid and CNAME, which keeps lips and voice together.
    this.stream = new MediaStream([audio.receiver.track, video.receiver.track]);
  }
}

/**
 * @typedef {object} Options
 * @property {RTCIceServer[]} ice_servers
 * @property {boolean} simulcast whether to send the camera in several sizes, where the browser can
 * @property {(sdp: string, fresh: boolean) => Promise<{sdp: string}>} offer asks for the answer
 * @property {(state: RTCPeerConnectionState) => void} onState
 * @property {(state: RTCIceConnectionState) => void} onPath whether anything is heard from the server
 */

/** The media connection. Closed by whoever made it. */
export class Peer {
  #options;
  #pc;
  #fresh = true;
  #again = false;
  #restart = false;
  /** @type {Promise<void> | null} */
  #negotiating = null;
  /** @type {Partial<Record<SendKind, RTCRtpTransceiver>>} */
  #senders = {};
  /** @type {Partial<Record<SendKind, Layers>>} */
  #layers = {};
  /** @type {Partial<Record<SendKind, MediaStreamTrack | null>>} the newest wish: a sender takes its time */
  #tracks = {};
  /** What we send belongs together: one stream for voice and face, another for the screen. */
  #own = new MediaStream();
  #ownScreen = new MediaStream();
  /** @type {Seat[]} */
  seats = [];

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#pc = new RTCPeerConnection({
      iceServers: options.ice_servers,
      bundlePolicy: 'max-bundle',
      rtcpMuxPolicy: 'require',
    });
    this.#pc.onconnectionstatechange = () => options.onState(this.#pc.connectionState);
    this.#pc.oniceconnectionstatechange = () => options.onPath(this.#pc.iceConnectionState);
  }

  get pc() {
    return this.#pc;
  }

  /** @returns {{microphone: MediaStreamTrack | null, camera: MediaStreamTrack | null}} what is sent */
  get tracks() {
    const { audio, video } = this.#senders;
    return { microphone: audio?.sender.track ?? null, camera: video?.sender.track ?? null };
  }

  /** @returns {Promise<RTCStatsReport>} */
  stats() {
    return this.#pc.getStats();
  }

  /** @returns {Promise<number>} packets of all kinds that came from the server so far */
  async receivedPackets() {
    for (const row of (await this.#pc.getStats()).values()) {
      if (row.type === 'transport') return row.packetsReceived ?? 0;
    }
    return 0;
  }

  /**
   * Send this track as our microphone, camera or screen; null sends nothing.
   *
   * @param {SendKind} kind
   * @param {MediaStreamTrack | null} track
   * @returns {Promise<boolean>} whether a new offer is needed for it
   */
  async send(kind, track) {
    const sender = this.#senders[kind];
    if (sender === undefined) {
      // Microphone and camera get their section even while off: switching on costs no offer then.
      if (track === null && kind === 'screen') return false;
      this.#senders[kind] = this.#addSender(kind, track);
      // The first offer is on its way and will hold it.
      return this.seats.length > 0;
    }
    await this.#replace(kind, sender.sender, track);
    if (kind !== 'screen') return false;
    const direction = track === null ? 'inactive' : 'sendonly';
    if (sender.direction === direction) return false;
    sender.direction = direction;
    return true;
  }

  /**
   * @param {SendKind} kind
   * @returns {boolean} whether there is a section for it, be it silent
   */
  sends(kind) {
    return this.#senders[kind] !== undefined;
  }

  /**
   * @param {'video' | 'screen'} kind
   * @param {readonly Layer[] | null} layers which encodings to send; null: all of them
   */
  choose(kind, layers) {
    this.#layers[kind]?.want(layers);
  }

  /**
   * @param {number} count of seats to have; there never are fewer again
   * @returns {boolean} whether a new offer is needed for it
   */
  grow(count) {
    const before = this.seats.length;
    while (this.seats.length < count) {
      const audio = this.#pc.addTransceiver('audio', { direction: 'recvonly' });
      const video = this.#pc.addTransceiver('video', { direction: 'recvonly' });
      prefer(audio, audioCodecs(RTCRtpReceiver.getCapabilities('audio')?.codecs ?? []));
      prefer(video, videoCodecs(RTCRtpReceiver.getCapabilities('video')?.codecs ?? []));
      this.seats.push(new Seat(audio, video));
    }
    return this.seats.length > before;
  }

  /**
   * Offer until the server has answered the newest wish.
   *
   * @param {{restart?: boolean}} [how] `restart` looks for a new network path, keeping the rest
   * @returns {Promise<void>}
   */
  negotiate({ restart = false } = {}) {
    this.#again = true;
    this.#restart ||= restart;
    this.#negotiating ??= this.#negotiate().finally(() => {
      this.#negotiating = null;
    });
    return this.#negotiating;
  }

  close() {
    this.#pc.onconnectionstatechange = this.#pc.oniceconnectionstatechange = null;
    for (const layers of Object.values(this.#layers)) layers.close();
    this.#pc.close();
  }

  /**
   * @param {SendKind} kind
   * @param {RTCRtpSender} sender
   * @param {MediaStreamTrack | null} track
   */
  async #replace(kind, sender, track) {
    if (this.#tracks[kind] === track) return;
    this.#tracks[kind] = track;
    try {
      await sender.replaceTrack(track);
    } catch (error) {
      delete this.#tracks[kind];
      throw error;
    }
    this.#layers[kind]?.check();
  }

  async #negotiate() {
    while (this.#again && this.#pc.signalingState !== 'closed') {
      this.#again = false;
      const iceRestart = this.#restart;
      // What is asked for from now on is another restart.
      this.#restart = false;
      try {
        await this.#offer(iceRestart);
      } catch (error) {
        // An offer that is lost on the way is no restart: the wish stands until one is answered.
        this.#restart ||= iceRestart;
        throw error;
      }
    }
  }

  /** @param {boolean} iceRestart */
  async #offer(iceRestart) {
    await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart }));
    const screen = this.#senders.screen;
    const mid = screen?.direction === 'sendonly' ? screen.mid : null;
    const sdp = markScreen(this.#pc.localDescription?.sdp ?? '', mid);
    const answer = await this.#options.offer(sdp, this.#fresh);
    if (this.#pc.signalingState !== 'have-local-offer') return;
    await this.#pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    this.#fresh = false;
    for (const layers of Object.values(this.#layers)) layers.check();
  }

  /**
   * @param {SendKind} kind
   * @param {MediaStreamTrack | null} track
   */
  #addSender(kind, track) {
    const media = kind === 'audio' ? 'audio' : 'video';
    const transceiver = firstThatWorks(waysToSend(kind, this.#options.simulcast), (sendEncodings) =>
      this.#pc.addTransceiver(track ?? media, {
        direction: 'sendonly',
        streams: [kind === 'screen' ? this.#ownScreen : this.#own],
        sendEncodings,
      }),
    );
    const codecs = RTCRtpSender.getCapabilities(media)?.codecs ?? [];
    prefer(transceiver, media === 'audio' ? audioCodecs(codecs) : videoCodecs(codecs));
    this.#tracks[kind] = track;
    if (kind !== 'audio') {
      const layers = new Layers(transceiver.sender);
      this.#layers[kind] = layers;
      layers.check();
    }
    return transceiver;
  }
}

/**
 * @template W, T
 * @param {readonly W[]} ways
 * @param {(way: W) => T} attempt
 * @returns {T}
 */
function firstThatWorks(ways, attempt) {
  /** @type {unknown} */
  let refusal;
  for (const way of ways) {
    try {
      return attempt(way);
    } catch (error) {
      refusal = error;
    }
  }
  throw refusal;
}

/**
 * @param {RTCRtpTransceiver} transceiver
 * @param {RTCRtpCodec[]} codecs
 */
function prefer(transceiver, codecs) {
  if (codecs.length === 0) return;
  try {
    transceiver.setCodecPreferences(codecs);
  } catch {
    // An older browser that refuses offers all its codecs: longer text, same call.
  }
}
