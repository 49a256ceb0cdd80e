/**
 * One RTCPeerConnection with the SFU: what we send as `sendonly` sections, what we want to see as
 * pairs of `recvonly` sections (seats). We always offer. The server is ICE-lite on a known port, so
 * an offer goes out at once, without waiting for candidates (RFC 8445 §2.5: it learns ours from the
 * checks).
 */

import { audioCodecs, markScreen, videoCodecs } from './sdp.js';

/** @typedef {'audio' | 'video' | 'screen'} SendKind */

/** Cap for one camera: the picture asked of the camera needs no more. */
const CAMERA_BPS = 1_500_000;
const SCREEN_BPS = 2_500_000;

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
 * @property {(sdp: string, fresh: boolean) => Promise<{sdp: string}>} offer asks for the answer
 * @property {(state: RTCPeerConnectionState) => void} onState
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
  }

  get pc() {
    return this.#pc;
  }

  /** @returns {Promise<RTCStatsReport>} */
  stats() {
    return this.#pc.getStats();
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
    if (sender.sender.track !== track) await sender.sender.replaceTrack(track);
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
    this.#pc.onconnectionstatechange = null;
    this.#pc.close();
  }

  async #negotiate() {
    while (this.#again && this.#pc.signalingState !== 'closed') {
      this.#again = false;
      const iceRestart = this.#restart;
      this.#restart = false;
      await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart }));
      const screen = this.#senders.screen;
      const mid = screen?.direction === 'sendonly' ? screen.mid : null;
      const sdp = markScreen(this.#pc.localDescription?.sdp ?? '', mid);
      const answer = await this.#options.offer(sdp, this.#fresh);
      if (this.#pc.signalingState !== 'have-local-offer') return;
      await this.#pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
      this.#fresh = false;
    }
  }

  /**
   * @param {SendKind} kind
   * @param {MediaStreamTrack | null} track
   */
  #addSender(kind, track) {
    const media = kind === 'audio' ? 'audio' : 'video';
    const maxBitrate = { audio: 48_000, video: CAMERA_BPS, screen: SCREEN_BPS }[kind];
    const transceiver = this.#pc.addTransceiver(track ?? media, {
      direction: 'sendonly',
      streams: [kind === 'screen' ? this.#ownScreen : this.#own],
      sendEncodings: [{ maxBitrate }],
    });
    const codecs = RTCRtpSender.getCapabilities(media)?.codecs ?? [];
    prefer(transceiver, media === 'audio' ? audioCodecs(codecs) : videoCodecs(codecs));
    return transceiver;
  }
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
