/**
 * Microphone, camera, screen and speaker of this device.
 */

import { choices, keepChoices } from '../keep.js';

/** @typedef {import('../store.js').DeviceProblem} DeviceProblem */
/** @typedef {'audio' | 'video'} InputKind */

/** Enough to see a wound; who cannot carry or does not draw it is sent a smaller encoding. */
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
/** Slides and images need sharpness, not motion. */
const SCREEN = { frameRate: { ideal: 8, max: 15 } };

/** @type {readonly InputKind[]} */
const KINDS = ['audio', 'video'];

/** @type {Record<string, DeviceProblem>} */
const PROBLEMS = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'none',
  OverconstrainedError: 'none',
  NotReadableError: 'in_use',
  AbortError: 'in_use',
};

/**
 * @param {unknown} error of getUserMedia
 * @returns {DeviceProblem}
 */
function problem(error) {
  return error instanceof DOMException ? (PROBLEMS[error.name] ?? 'failed') : 'failed';
}

/** Opens, switches and closes; writes what came of it into the store. */
export class Devices {
  #store;
  /** @type {Record<InputKind, MediaStreamTrack | null>} */
  #tracks = { audio: null, video: null };
  /** @type {MediaStreamTrack | null} */
  #screen = null;
  /** @type {(() => void)[]} */
  #listeners = [];
  /** @type {Promise<void>} one request to the browser at a time */
  #busy = Promise.resolve();
  /** @type {Set<InputKind>} replaced once after they were lost; then the person is asked */
  #replaced = new Set();

  /** @param {import('../store.js').Store} store */
  constructor(store) {
    this.#store = store;
    const { microphone_on, camera_on, microphone, camera, speaker, saver } = choices();
    const { devices } = store.get();
    store.set({
      devices: {
        ...devices,
        audio: { wanted: microphone_on ?? true, status: 'closed', id: microphone ?? '' },
        video: { wanted: (camera_on ?? true) && saver !== true, status: 'closed', id: camera ?? '' },
        speaker: speaker ?? '',
      },
    });
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.#list());
  }

  get microphone() {
    return this.#tracks.audio;
  }

  get camera() {
    return this.#tracks.video;
  }

  get screen() {
    return this.#screen;
  }

  /** @param {() => void} listener told when a track came, went or changed */
  listen(listener) {
    this.#listeners.push(listener);
  }

  /** Open what is wanted and not open. The microphone is opened even when off: it is only muted. */
  open() {
    this.#replaced.clear();
    return this.#enqueue(() => this.#open());
  }

  /**
   * @param {InputKind} kind
   * @param {boolean} wanted
   */
  turn(kind, wanted) {
    this.#replaced.delete(kind);
    keepChoices(kind === 'audio' ? { microphone_on: wanted } : { camera_on: wanted });
    return this.#enqueue(async () => {
      this.#update(kind, { wanted });
      if (kind === 'audio' && this.#tracks.audio !== null) {
        this.#tracks.audio.enabled = wanted;
        this.#tell();
      } else if (wanted) await this.#open();
      // A camera that is off is let go, so that its light goes out too.
      else this.#stop(kind);
    });
  }

  /**
   * @param {InputKind} kind
   * @param {string} id
   */
  choose(kind, id) {
    this.#replaced.delete(kind);
    keepChoices(kind === 'audio' ? { microphone: id } : { camera: id });
    return this.#enqueue(async () => {
      this.#update(kind, { id, wanted: true });
      this.#stop(kind);
      await this.#open();
    });
  }

  /** @param {string} id */
  chooseSpeaker(id) {
    keepChoices({ speaker: id });
    this.#store.set({ devices: { ...this.#store.get().devices, speaker: id } });
  }

  /**
   * Ask the person for a screen, and share it until `unshare` or the browser's own stop button.
   *
   * @returns {Promise<DeviceProblem | null>}
   */
  async share() {
    if (navigator.mediaDevices?.getDisplayMedia === undefined) return 'failed';
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: SCREEN, audio: false });
      const track = stream.getVideoTracks()[0] ?? null;
      if (track === null) return 'failed';
      track.contentHint = 'detail';
      track.onended = () => this.unshare();
      this.#setScreen(track);
      return null;
    } catch (error) {
      return problem(error) === 'denied' ? 'denied' : 'failed';
    }
  }

  unshare() {
    this.#screen?.stop();
    this.#setScreen(null);
  }

  /**
   * Let go, until the person switches on again: not a choice of theirs for the next time.
   *
   * @param {readonly InputKind[]} [kinds]
   */
  rest(kinds = KINDS) {
    return this.#enqueue(async () => {
      for (const kind of kinds) {
        this.#stop(kind);
        this.#update(kind, { wanted: false });
      }
    });
  }

  /** Let go of everything. */
  close() {
    if (this.#screen !== null) this.unshare();
    return this.#enqueue(async () => {
      this.#stop('audio');
      this.#stop('video');
    });
  }

  /** @param {() => Promise<void>} work */
  #enqueue(work) {
    this.#busy = this.#busy.then(work, work);
    return this.#busy;
  }

  async #open() {
    const { devices } = this.#store.get();
    /** @type {InputKind[]} */
    const missing = [];
    if (this.#tracks.audio === null) missing.push('audio');
    if (this.#tracks.video === null && devices.video.wanted) missing.push('video');
    if (missing.length === 0) return;
    if (navigator.mediaDevices?.getUserMedia === undefined) {
      const status = isSecureContext ? 'unsupported' : 'insecure';
      for (const kind of missing) this.#update(kind, { status });
      return;
    }
    for (const kind of missing) this.#update(kind, { status: 'asking' });
    // One question of the browser for both; only when that fails is each tried alone, so that a
    // missing camera never costs the microphone.
    if (missing.length < 2 || !(await this.#take(missing))) {
      for (const kind of missing) if (this.#tracks[kind] === null) await this.#takeOne(kind);
    }
    await this.#list();
  }

  /**
   * @param {InputKind[]} kinds
   * @returns {Promise<boolean>}
   */
  async #take(kinds) {
    try {
      this.#accept(await navigator.mediaDevices.getUserMedia(this.#constraints(kinds)));
      return true;
    } catch {
      return false;
    }
  }

  /** @param {InputKind} kind */
  async #takeOne(kind) {
    try {
      this.#accept(await navigator.mediaDevices.getUserMedia(this.#constraints([kind])));
    } catch (error) {
      this.#update(kind, { status: problem(error) });
    }
  }

  /** @param {InputKind[]} kinds */
  #constraints(kinds) {
    const { audio, video } = this.#store.get().devices;
    /** @param {string} id */
    const device = (id) => (id === '' ? {} : { deviceId: { ideal: id } });
    return {
      audio: kinds.includes('audio') && { ...SOUND, ...device(audio.id) },
      video: kinds.includes('video') && {
        ...PICTURE,
        ...(video.id === '' ? { facingMode: 'user' } : device(video.id)),
      },
    };
  }

  /** @param {MediaStream} stream */
  #accept(stream) {
    for (const track of stream.getTracks()) {
      const kind = /** @type {InputKind} */ (track.kind);
      this.#tracks[kind]?.stop();
      this.#tracks[kind] = track;
      if (kind === 'audio') track.enabled = this.#store.get().devices.audio.wanted;
      track.onended = () => void this.#enqueue(() => this.#lose(kind, track));
      this.#update(kind, { status: 'open', id: track.getSettings().deviceId ?? '' });
    }
    this.#tell();
  }

  /**
   * Unplugged, or taken away in the browser's settings: go on with the system's own device, once.
   *
   * @param {InputKind} kind
   * @param {MediaStreamTrack} track
   */
  async #lose(kind, track) {
    if (this.#tracks[kind] !== track) return;
    this.#stop(kind);
    this.#update(kind, { id: '', status: 'none' });
    if (!this.#replaced.has(kind)) {
      this.#replaced.add(kind);
      await this.#takeOne(kind);
    }
    await this.#list();
  }

  /** @param {InputKind} kind */
  #stop(kind) {
    const track = this.#tracks[kind];
    this.#tracks[kind] = null;
    if (track !== null) {
      track.onended = null;
      track.stop();
    }
    this.#update(kind, { status: 'closed' });
    this.#tell();
  }

  /** @param {MediaStreamTrack | null} track */
  #setScreen(track) {
    this.#screen = track;
    this.#store.set({ devices: { ...this.#store.get().devices, screen: track !== null } });
    this.#tell();
  }

  /**
   * @param {InputKind} kind
   * @param {Partial<import('../store.js').DeviceState>} part
   */
  #update(kind, part) {
    const { devices } = this.#store.get();
    this.#store.set({ devices: { ...devices, [kind]: { ...devices[kind], ...part } } });
  }

  async #list() {
    const known = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    this.#store.set({ devices: { ...this.#store.get().devices, known } });
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }
}
