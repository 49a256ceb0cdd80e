/**
 * The one value that the page is drawn from.
 */

import { EMPTY } from './state.js';

/** @typedef {'idle' | 'connecting' | 'open' | 'lost'} Net */
/** @typedef {'denied' | 'none' | 'in_use' | 'insecure' | 'unsupported' | 'failed'} DeviceProblem */
/**
 * A camera or microphone: `wanted` is the person's own switch, `status` what came of it.
 *
 * @typedef {object} DeviceState
 * @property {boolean} wanted
 * @property {'closed' | 'asking' | 'open' | DeviceProblem} status
 * @property {string} id '' while none is chosen
 */
/**
 * @typedef {object} Devices
 * @property {DeviceState} audio
 * @property {DeviceState} video
 * @property {boolean} screen whether the screen is being shared
 * @property {string} speaker '' is the system's own choice
 * @property {readonly MediaDeviceInfo[]} known
 */
/**
 * @typedef {object} App
 * @property {import('./state.js').RoomState} room what the server told us
 * @property {Net} net the WebSocket
 * @property {import('./protocol.js').ErrorMessage | null} failure why we cannot enter
 * @property {boolean} invited whether there is a link or a session to enter with
 * @property {boolean} met whether one was ever let into this consultation
 * @property {Devices} devices
 * @property {'none' | 'flowing' | 'broken'} flow the media connection: `broken` after it once stood
 * @property {import('./media/quality.js').Quality} quality
 * @property {boolean} saver sound only, as few bytes as can be
 * @property {boolean} saver_advised the network has carried no picture for a while
 * @property {boolean} sound_blocked by the browser until the person touches the page
 * @property {string | null} pinned source
 * @property {'people' | 'chat' | null} panel
 * @property {number} unread chat lines
 * @property {import('./i18n/index.js').Language} language
 */

/** @type {App} */
export const INITIAL = {
  room: EMPTY,
  net: 'idle',
  failure: null,
  invited: false,
  met: false,
  devices: {
    audio: { wanted: true, status: 'closed', id: '' },
    video: { wanted: true, status: 'closed', id: '' },
    screen: false,
    speaker: '',
    known: [],
  },
  flow: 'none',
  quality: 'none',
  saver: false,
  saver_advised: false,
  sound_blocked: false,
  pinned: null,
  panel: null,
  unread: 0,
  language: 'vi',
};

/** Holds the value, and tells everyone who asked when it changed. */
export class Store {
  /** @type {App} */
  #app;
  /** @type {((app: App, before: App) => void)[]} */
  #listeners = [];

  /** @param {App} app */
  constructor(app) {
    this.#app = app;
  }

  /** @returns {App} */
  get() {
    return this.#app;
  }

  /** @param {Partial<App>} part */
  set(part) {
    const before = this.#app;
    this.#app = { ...before, ...part };
    for (const listener of this.#listeners) listener(this.#app, before);
  }

  /** @param {(app: App, before: App) => void} listener */
  listen(listener) {
    this.#listeners.push(listener);
  }
}
