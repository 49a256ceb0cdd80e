/**
 * Runs in a page of the tests: cameras that send and viewers that watch, by the web client's own
 * `Peer`. `negotiate(peer, sdp, fresh)` is the test's; it asks the SFU.
 */

import { Peer } from '/src/media/peer.js';

const BLOCK_PX = 16;

/**
 * Blocks of one colour and many shades: a key frame of it costs what one of a room does.
 *
 * @param {number} hue
 * @param {number} width
 * @param {number} height
 */
function wall(hue, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  for (let y = 0; y < height; y += BLOCK_PX) {
    for (let x = 0; x < width; x += BLOCK_PX) {
      context.fillStyle = `hsl(${hue} 60% ${30 + ((x * 7 + y * 13) % 41)}%)`;
      context.fillRect(x, y, BLOCK_PX, BLOCK_PX);
    }
  }
  return canvas;
}

/** In Unix milliseconds, of two moments of this page. */
const span = (from, to) => [from, to].map((at) => performance.timeOrigin + at);

/** One who sends a picture that moves; its shape says in any size whose it is. */
class Sender {
  constructor(name, { width, height, hue, fps }) {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    const background = wall(hue, width, height);
    let turn = 0;
    this.draws = true;
    setInterval(() => {
      if (!this.draws) return;
      turn += 1;
      context.drawImage(background, 0, 0);
      context.fillStyle = 'white';
      context.fillRect((turn * 12) % width, 0, 40, height);
    }, 1000 / fps);
    this.track = canvas.captureStream().getVideoTracks()[0];
    this.peer = newPeer(name);
  }

  /** @param {string} codec offered first, as `video/VP8` */
  async begin(codec) {
    // As the web client does, which has the section also while the microphone is off.
    await this.peer.send('audio', null);
    await this.peer.send('video', this.track);
    const [, camera] = this.peer.pc.getTransceivers();
    const { codecs } = RTCRtpSender.getCapabilities('video');
    const name = ({ mimeType }) => mimeType.toLowerCase();
    const first = codecs.filter((one) => name(one) === codec.toLowerCase());
    const baseline = first.filter(({ sdpFmtpLine }) =>
      /packetization-mode=1.*profile-level-id=42e0/.test(sdpFmtpLine ?? ''));
    const rtx = codecs.filter((one) => name(one) === 'video/rtx').slice(0, 1);
    camera.setCodecPreferences([...(baseline.length > 0 ? baseline : first).slice(0, 1), ...rtx]);
    await this.peer.negotiate();
  }

  /** Of each encoding: packets sent, key frame requests received, and how tall it is. */
  async sent() {
    const rows = [...(await this.peer.stats()).values()];
    return Object.fromEntries(
      rows
        .filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'video')
        .map(({ rid, packetsSent, framesEncoded, pliCount, firCount, frameHeight, active }) => [
          rid ?? '',
          { packets: packetsSent, frames: framesEncoded, asked: pliCount + firCount, height: frameHeight ?? 0, active },
        ]),
    );
  }
}

/** What one seat shows, frame by frame. */
class Watch {
  constructor(stream) {
    this.video = Object.assign(document.createElement('video'), {
      srcObject: stream, muted: true, autoplay: true, width: 160, height: 90,
    });
    document.body.append(this.video);
    this.shown = true;
    this.showAt = performance.now();
    this.last = null;
    this.size = '';
    this.frames = 0;
    this.switches = 0;
    this.gaps = [];
    this.wakes = [];
    this.#next();
  }

  show(shown) {
    if (shown === this.shown) return;
    this.shown = shown;
    this.last = null;
    this.showAt = performance.now();
  }

  #next() {
    this.video.requestVideoFrameCallback((_, frame) => {
      this.#frame(frame);
      this.#next();
    });
  }

  #frame({ presentationTime, width, height }) {
    this.frames += 1;
    const size = `${width}x${height}`;
    if (size !== this.size) {
      if (this.size !== '') this.switches += 1;
      this.size = size;
    }
    if (!this.shown || presentationTime < this.showAt) return;
    if (this.last === null) this.wakes.push({ span: span(this.showAt, presentationTime), size });
    else this.gaps.push({ span: span(this.last, presentationTime), size });
    this.last = presentationTime;
  }

  /** Gaps between frames, waits after being hidden, each with the size of the frame that ended it. */
  read() {
    const gaps = this.gaps.splice(0);
    const wakes = this.wakes.splice(0);
    const now = performance.now();
    const since = this.shown ? (this.last ?? this.showAt) : now;
    return {
      size: this.size,
      frames: this.frames,
      switches: this.switches,
      gaps,
      wakes,
      open: span(since, now),
      is_awake: this.shown && this.last !== null,
    };
  }
}

/** One who watches on some seats. */
class Viewer {
  constructor(name, seats) {
    this.peer = newPeer(name);
    this.peer.grow(seats);
    this.watches = this.peer.seats.map(({ stream }) => new Watch(stream));
  }

  async begin() {
    await this.peer.negotiate();
  }

  /** @param {readonly boolean[]} shown by seat: whether a picture is due */
  expect(shown) {
    shown.forEach((due, seat) => this.watches[seat].show(due));
  }

  /** By seat. */
  async decoded() {
    const seats = new Map(this.peer.seats.map(({ video }, seat) => [video.mid, seat]));
    const rows = [...(await this.peer.stats()).values()];
    const result = this.peer.seats.map(() => ({}));
    for (const row of rows) {
      if (row.type !== 'inbound-rtp' || row.kind !== 'video' || !seats.has(row.mid)) continue;
      result[seats.get(row.mid)] = {
        received: row.framesReceived, decoded: row.framesDecoded, dropped: row.framesDropped,
        asked: row.pliCount + row.firCount, freezes: row.freezeCount,
        frozen_s: row.totalFreezesDuration, lost: row.packetsLost, keys: row.keyFramesDecoded,
        codec: rows.find(({ id }) => id === row.codecId)?.mimeType,
      };
    }
    return result;
  }

  /** From the wish to connect to the first picture. */
  async firstPicture() {
    const [video] = this.watches;
    while (video.wakes.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    return video.wakes[0].span;
  }

  read() {
    return this.watches.map((watch) => watch.read());
  }

  close() {
    for (const { video } of this.watches) video.remove();
    this.peer.close();
  }
}

function newPeer(name) {
  return new Peer({
    ice_servers: [],
    simulcast: true,
    offer: async (sdp, fresh) => ({ sdp: await window.negotiate(name, sdp, fresh) }),
    onState: () => undefined,
    onPath: () => undefined,
  });
}

window.people = {};
window.studio = {
  send: async (name, look, codec) => {
    const sender = (window.people[name] = new Sender(name, look));
    await sender.begin(codec);
  },
  watch: async (name, seats) => {
    const viewer = (window.people[name] = new Viewer(name, seats));
    await viewer.begin();
  },
  /** @param {string[]} names all at once */
  join: (names) => Promise.all(names.map(async (name) => {
    const viewer = (window.people[name] = new Viewer(name, 1));
    await viewer.begin();
    return viewer.firstPicture();
  })),
  pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
