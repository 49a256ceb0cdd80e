// Samples of a connection for tests, complete.

export function seat(audioPackets, framesDecoded, freeze_ms = 0) {
  return {
    audioSamples: audioPackets * 960,
    concealedSamples: 0,
    framesReceived: framesDecoded,
    framesDecoded,
    freezes: 0,
    freeze_ms,
  };
}

export function sample(more = {}) {
  return {
    connected: true,
    rtt_ms: 40,
    received: 1000,
    lost: 0,
    sent: 0,
    sentLost: 0,
    jitter_ms: 5,
    microphoneLevel: 0.1,
    microphoneEnergy: 1,
    microphone_s: 100,
    cameraFrames: 2400,
    seats: [seat(500, 300)],
    ...more,
  };
}
