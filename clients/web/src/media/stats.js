/**
 * What the server is told each second of our devices and our connection (PROTOCOL.md, `stats`). Pure.
 */

/** @typedef {import('./quality.js').Sample} Sample */
/** @typedef {import('../protocol.js').DeviceState} DeviceState */

/**
 * @param {{muted: boolean, enabled: boolean} | null} track null when it is not open or not sent
 * @returns {DeviceState} `muted` by the system or a switch on the device, not by the person
 */
export function deviceState(track) {
  if (track === null || !track.enabled) return 'off';
  return track.muted ? 'muted' : 'on';
}

/**
 * @param {Sample | null} before
 * @param {Sample} now
 * @param {{microphone: DeviceState, camera: DeviceState}} devices
 * @returns {import('../protocol.js').Stats}
 */
export function statsOf(before, now, { microphone, camera }) {
  const received = now.received - (before?.received ?? 0);
  const lost = Math.max(0, now.lost - (before?.lost ?? 0));
  return {
    type: 'stats',
    microphone,
    camera,
    microphone_level: microphone === 'off' ? null : loudest(before, now),
    camera_frames: camera === 'off' ? null : now.cameraFrames,
    received_packets: now.received,
    down_loss: received + lost > 0 ? share(lost / (received + lost)) : 0,
    jitter_ms: now.jitter_ms,
    round_trip_ms: now.rtt_ms > 0 ? now.rtt_ms : null,
    seats: now.seats.map((seat, index) => ({
      seat: index,
      concealed_samples: seat.concealedSamples,
      audio_samples: seat.audioSamples,
      frames_received: seat.framesReceived,
      frames_decoded: seat.framesDecoded,
      freezes: seat.freezes,
      freeze_ms: seat.freeze_ms,
    })),
  };
}

/**
 * Of a whole second, not of the moment when we look: people pause between words.
 *
 * @param {Sample | null} before
 * @param {Sample} now
 * @returns {number | null}
 */
function loudest(before, now) {
  if (now.microphoneLevel === null) return null;
  const spoken_s = now.microphone_s - (before?.microphone_s ?? 0);
  // A microphone that gives nothing leaves the level of its last sound standing (Chromium).
  if (before !== null && before.microphone_s > 0 && spoken_s === 0) return 0;
  const energy = now.microphoneEnergy - (before?.microphoneEnergy ?? 0);
  const mean = spoken_s > 0 && energy > 0 ? Math.sqrt(energy / spoken_s) : 0;
  return share(Math.max(now.microphoneLevel, mean));
}

/** @param {number} value */
function share(value) {
  return Math.min(1, Math.max(0, value));
}
