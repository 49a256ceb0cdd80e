/**
 * Takes one `Sample` (see quality.js) from the browser's statistics.
 */

/** @typedef {import('./quality.js').Sample} Sample */

/**
 * @param {import('./peer.js').Peer} peer
 * @returns {Promise<Sample>}
 */
export async function takeSample(peer) {
  const report = await peer.stats();
  /** @type {Sample} */
  const sample = {
    connected: peer.pc.connectionState === 'connected',
    rtt_ms: (chosenPair(report)?.currentRoundTripTime ?? 0) * 1000,
    received: 0,
    lost: 0,
    sent: 0,
    sentLost: 0,
    jitter_ms: 0,
    microphoneLevel: null,
    microphoneEnergy: 0,
    microphone_s: 0,
    cameraFrames: null,
    seats: peer.seats.map(() => ({
      audioSamples: 0,
      concealedSamples: 0,
      framesReceived: 0,
      framesDecoded: 0,
      freezes: 0,
      freeze_ms: 0,
    })),
  };
  const seats = seatsByMid(peer);
  const { microphone, camera } = peer.tracks;
  for (const row of report.values()) {
    switch (row.type) {
      case 'inbound-rtp':
        addReceived(row, sample, sample.seats[seats.get(row.mid) ?? -1]);
        break;
      case 'remote-inbound-rtp':
        // Counted, and not read off `fractionLost`: a voice is told its listeners' loss there.
        sample.sent += report.get(row.localId)?.packetsSent ?? 0;
        sample.sentLost += Math.max(0, row.packetsLost ?? 0);
        break;
      case 'media-source':
        if (row.trackIdentifier === camera?.id) sample.cameraFrames = row.frames ?? null;
        else if (row.trackIdentifier === microphone?.id && microphone?.enabled) addSpoken(row, sample);
        break;
      default:
    }
  }
  return sample;
}

/**
 * @param {RTCStatsReport} report
 * @returns {any} the pair that media goes by; one that was left, as by an ICE restart, may look as good
 */
function chosenPair(report) {
  /** @type {any[]} */
  const rows = [...report.values()];
  const named = rows.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId);
  if (named !== undefined) return report.get(named.selectedCandidatePairId);
  const pairs = rows.filter(({ type }) => type === 'candidate-pair');
  // Firefox tells no transports, and marks the pair.
  return pairs.find(({ selected }) => selected) ?? pairs.find(({ nominated, state }) => nominated && state === 'succeeded');
}

/** @param {import('./peer.js').Peer} peer */
function seatsByMid(peer) {
  /** @type {Map<string, number>} */
  const seats = new Map();
  peer.seats.forEach(({ audio, video }, index) => {
    if (audio.mid !== null) seats.set(audio.mid, index);
    if (video.mid !== null) seats.set(video.mid, index);
  });
  return seats;
}

/**
 * @param {any} row of an RTCStatsReport, whose types the DOM library leaves open
 * @param {Sample} sample
 * @param {import('./quality.js').SeatCounters | undefined} seat
 */
function addReceived(row, sample, seat) {
  sample.received += row.packetsReceived ?? 0;
  sample.lost += Math.max(0, row.packetsLost ?? 0);
  if (row.kind === 'audio') {
    sample.jitter_ms = Math.max(sample.jitter_ms, (row.jitter ?? 0) * 1000);
    if (seat === undefined) return;
    seat.audioSamples += row.totalSamplesReceived ?? 0;
    // A pause in talking is filled too; nothing was missed in it.
    seat.concealedSamples += Math.max(0, (row.concealedSamples ?? 0) - (row.silentConcealedSamples ?? 0));
  } else if (seat !== undefined) {
    seat.framesReceived += row.framesReceived ?? 0;
    seat.framesDecoded += row.framesDecoded ?? 0;
    seat.freezes += row.freezeCount ?? 0;
    seat.freeze_ms += (row.totalFreezesDuration ?? 0) * 1000;
  }
}

/**
 * @param {any} row
 * @param {Sample} sample
 */
function addSpoken(row, sample) {
  sample.microphoneLevel = row.audioLevel ?? null;
  sample.microphoneEnergy = row.totalAudioEnergy ?? 0;
  sample.microphone_s = row.totalSamplesDuration ?? 0;
}
