/**
 * Seeing and hearing oneself: camera picture, microphone bar, switches, choices, and plain words
 * when something does not work.
 */

import { el, name, say, setAttribute, setText, show } from '../dom.js';
import { t } from '../i18n/index.js';
import { draw, icon } from '../icons.js';
import { chime, Meter } from '../media/sound.js';

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('../store.js').App} App */

/** Above this the bar says that it hears speech (about −35 dB). */
const SPEECH = 0.5;
const METER_EVERY_MS = 80;

/** One's own picture. */
export class SelfPicture {
  #video;
  #track = /** @type {MediaStreamTrack | null} */ (null);
  #why = el('span', {});
  #off = el('p', { class: 'preview-off' }, icon('camera_off'), this.#why);
  #devices;

  /**
   * @param {Context} context
   * @param {string} testid of the video
   */
  constructor({ devices }, testid) {
    this.#devices = devices;
    this.#video = el('video', {
      class: 'mirrored',
      testid,
      label: 'device.preview',
      playsinline: true,
      autoplay: true,
      muted: true,
    });
    // The attribute alone does not silence an element made by script.
    this.#video.muted = true;
    this.element = el('div', { class: 'preview' }, this.#video, this.#off);
  }

  /** @param {App} app */
  update({ devices: { video } }) {
    const track = this.#devices.camera;
    show(this.#video, track !== null);
    show(this.#off, track === null);
    const opening = video.status === 'asking' || video.status === 'open';
    const off = video.status === 'closed' || !video.wanted;
    say(this.#why, off ? 'device.camera_is_off' : opening ? 'device.camera_opening' : 'device.no_picture');
    if (track === this.#track) return;
    this.#track = track;
    this.#video.srcObject = track === null ? null : new MediaStream([track]);
    if (track !== null) void this.#video.play().catch(() => undefined);
  }
}

/** A bar that moves with one's voice. Close it when done. */
export class MicrophoneBar {
  #meter = new Meter();
  #devices;
  #timer;
  #bar = el('span', { class: 'meter-bar' });
  #words = el('p', { class: 'meter-words' });
  #heard = 0;

  /** @param {Context} context */
  constructor({ devices }) {
    this.#devices = devices;
    this.meter = el(
      'div',
      {
        class: 'meter',
        testid: 'mic-meter',
        role: 'meter',
        label: 'device.meter',
        'aria-valuemin': 0,
        'aria-valuemax': 100,
        'aria-valuenow': 0,
      },
      this.#bar,
    );
    this.element = el('div', { class: 'meter-block' }, icon('mic'), this.meter, this.#words);
    this.#timer = setInterval(() => this.#move(), METER_EVERY_MS);
  }

  /** @param {App} app */
  update({ devices }) {
    this.#meter.listenTo(this.#devices.microphone);
    const off = devices.audio.status === 'open' && !devices.audio.wanted;
    say(this.#words, off ? 'device.microphone_is_off' : this.#heard > 4 ? 'device.heard' : 'device.say_something');
    show(this.element, devices.audio.status === 'open' || devices.audio.status === 'asking');
  }

  close() {
    clearInterval(this.#timer);
    this.#meter.listenTo(null);
  }

  #move() {
    const level = this.#meter.level();
    this.#bar.style.setProperty('--level', level.toFixed(3));
    setAttribute(this.meter, 'aria-valuenow', Math.round(level * 100));
    if (level > SPEECH && this.#heard <= 4) {
      this.#heard += 1;
      if (this.#heard > 4) say(this.#words, 'device.heard');
    }
  }
}

/** A switch for the microphone or the camera. */
export class Switch {
  #picture;
  #words = el('span', { class: 'control-words' });
  #kind;

  /**
   * @param {Context} context
   * @param {'audio' | 'video'} kind
   * @param {{testid: string, class: string}} look
   */
  constructor({ store, devices, session, ask }, kind, look) {
    this.#kind = kind;
    this.#picture = icon(kind === 'audio' ? 'mic' : 'camera');
    this.element = el(
      'button',
      {
        class: look.class,
        type: 'button',
        testid: look.testid,
        on: {
          click: () => {
            const { room, devices: now } = store.get();
            const stopped = room.me === null ? [] : (room.people[room.me.participant]?.muted ?? []);
            // Switching on is the person's word against the chair's: lift that too.
            if (stopped.includes(kind)) ask(session.unmute());
            const isOn = now[kind].status === 'open' && now[kind].wanted;
            void devices.turn(kind, stopped.includes(kind) ? true : !isOn);
          },
        },
      },
      this.#picture,
      this.#words,
    );
  }

  /** @param {App} app */
  update({ devices, room }) {
    const { status, wanted } = devices[this.#kind];
    const muted = room.me === null ? [] : (room.people[room.me.participant]?.muted ?? []);
    const on = status === 'open' && wanted && !muted.includes(this.#kind);
    const audio = this.#kind === 'audio';
    draw(this.#picture, audio ? (on ? 'mic' : 'mic_off') : on ? 'camera' : 'camera_off');
    say(this.#words, audio ? 'call.microphone' : 'device.camera');
    name(
      this.element,
      audio
        ? on ? 'device.microphone_off' : 'device.microphone_on'
        : on ? 'device.camera_off' : 'device.camera_on',
    );
    setAttribute(this.element, 'data-off', !on);
  }
}

/** What is wrong with the devices, and a button to try again. */
export class DeviceProblems {
  #audio = el('p', { class: 'problem' });
  #video = el('p', { class: 'problem' });
  #asking = el('p', { class: 'hint', text: 'device.asking' });
  #retry;

  /** @param {Context} context */
  constructor({ devices }) {
    this.#retry = el('button', {
      class: 'button secondary',
      type: 'button',
      testid: 'device-retry',
      text: 'device.retry',
      on: { click: () => void devices.open() },
    });
    this.element = el(
      'div',
      { class: 'problems', role: 'status', testid: 'device-error' },
      this.#asking,
      this.#audio,
      this.#video,
      this.#retry,
    );
  }

  /** @param {App} app */
  update({ devices }) {
    const states = [devices.audio.status, devices.video.status];
    const audio = wordsFor('audio', devices.audio.status);
    const video = wordsFor('video', devices.video.status);
    setText(this.#audio, audio);
    setText(this.#video, video);
    show(this.#audio, audio !== '');
    show(this.#video, video !== '');
    show(this.#asking, states.includes('asking'));
    show(this.#retry, states.some(canRetry));
    show(this.element, states.includes('asking') || audio !== '' || video !== '');
  }
}

/**
 * @param {import('../store.js').DeviceState['status']} status
 * @returns {boolean} whether something is wrong that trying again may mend
 */
export function canRetry(status) {
  return status === 'denied' || status === 'none' || status === 'in_use' || status === 'failed';
}

/**
 * @param {'audio' | 'video'} kind
 * @param {import('../store.js').DeviceState['status']} status
 */
function wordsFor(kind, status) {
  if (status === 'open' || status === 'closed' || status === 'asking') return '';
  return t(`device_error.${kind}.${status}`);
}

/** Which camera, microphone and speaker. */
export class DeviceChoices {
  #rows;

  /** @param {Context} context */
  constructor({ devices }) {
    const canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype;
    this.#rows = [
      choice('videoinput', 'device.camera', (id) => void devices.choose('video', id)),
      choice('audioinput', 'device.microphone', (id) => void devices.choose('audio', id)),
      ...(canChooseSpeaker
        ? [choice('audiooutput', 'device.speaker', (id) => devices.chooseSpeaker(id))]
        : []),
    ];
    this.element = el(
      'div',
      { class: 'choices' },
      ...this.#rows.map(({ element }) => element),
      el('button', {
        class: 'button secondary',
        type: 'button',
        text: 'device.test_speaker',
        on: { click: () => chime() },
      }),
    );
  }

  /** @param {App} app */
  update({ devices }) {
    for (const row of this.#rows) row.update(devices);
  }
}

/**
 * @param {MediaDeviceKind} kind
 * @param {'device.camera' | 'device.microphone' | 'device.speaker'} label
 * @param {(id: string) => void} choose
 */
function choice(kind, label, choose) {
  const select = el('select', {
    testid: `choose-${kind}`,
    on: { change: () => choose(select.value) },
  });
  const element = el('label', { class: 'choice' }, el('span', { text: label }), select);
  let drawn = '';
  return {
    element,
    /** @param {import('../store.js').Devices} devices */
    update(devices) {
      const known = devices.known.filter((device) => device.kind === kind && device.deviceId !== '');
      const chosen = { videoinput: devices.video.id, audioinput: devices.audio.id, audiooutput: devices.speaker }[kind];
      const options = known.map(({ deviceId, label: own }, index) => ({
        id: deviceId,
        words: own || t(`${label}_numbered`, { n: index + 1 }),
      }));
      show(element, options.length > 0);
      const now = JSON.stringify(options);
      if (now !== drawn) {
        drawn = now;
        select.replaceChildren(...options.map(({ id, words }) => el('option', { value: id }, words)));
      }
      if (options.some(({ id }) => id === chosen)) select.value = chosen;
    },
  };
}
