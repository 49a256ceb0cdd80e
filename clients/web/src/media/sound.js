/**
 * The page's own sounds and its microphone meter, on one AudioContext.
 */

/** @type {AudioContext | null} */
let context = null;

/**
 * Browsers keep sound shut until the person has touched the page: try again at each touch.
 *
 * @returns {AudioContext | null} null where there is none
 */
function audioContext() {
  if (typeof AudioContext === 'undefined') return null;
  if (context === null) {
    context = new AudioContext();
    const wake = () => {
      if (context?.state === 'suspended') void context.resume().catch(() => undefined);
    };
    for (const event of ['pointerdown', 'keydown']) addEventListener(event, wake, true);
  }
  return context;
}

/** Two soft notes: you are invited in, or somebody is waiting. */
export function chime() {
  const audio = audioContext();
  if (audio === null || audio.state !== 'running') return;
  [660, 880].forEach((frequency, index) => note(audio, frequency, audio.currentTime + index * 0.22));
}

/**
 * @param {AudioContext} audio
 * @param {number} frequency_hz
 * @param {number} start_s
 */
function note(audio, frequency_hz, start_s) {
  const oscillator = audio.createOscillator();
  const gain = audio.createGain();
  oscillator.frequency.value = frequency_hz;
  gain.gain.setValueAtTime(0, start_s);
  gain.gain.linearRampToValueAtTime(0.18, start_s + 0.03);
  gain.gain.exponentialRampToValueAtTime(0.001, start_s + 0.7);
  oscillator.connect(gain).connect(audio.destination);
  oscillator.start(start_s);
  oscillator.stop(start_s + 0.75);
}

/** How loud the microphone is, for a bar that moves. */
export class Meter {
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  /** @type {AnalyserNode | null} */
  #analyser = null;
  /** @type {MediaStreamTrack | null} */
  #track = null;
  #samples = new Float32Array(512);

  /** @param {MediaStreamTrack | null} track a microphone, or null for none */
  listenTo(track) {
    if (track === this.#track) return;
    this.#source?.disconnect();
    this.#source = null;
    this.#track = track;
    const audio = audioContext();
    if (track === null || audio === null) return;
    this.#analyser ??= new AnalyserNode(audio, { fftSize: this.#samples.length });
    this.#source = audio.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
  }

  /** @returns {number} 0…1 on a scale of loudness: 0 is −60 dB, 1 is −10 dB full scale */
  level() {
    if (this.#source === null || this.#analyser === null) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    const decibels = 10 * Math.log10(sum / this.#samples.length + 1e-12);
    return Math.min(1, Math.max(0, (decibels + 60) / 50));
  }
}
