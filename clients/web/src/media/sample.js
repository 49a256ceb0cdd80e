/**
 * Takes one `Sample` (see quality.js) from the browser's statistics.
 */

/**
 * @param {import('./peer.js').Peer} peer
 * @returns {Promise<import('./quality.js').Sample>}
 */
export async function takeSample(peer) {
  const report = await peer.stats();
  /** @type {import('./quality.js').Sample} */
  const sample = {
    connected: peer.pc.connectionState === 'connected',
    rtt_ms: 0,
    received: 0,
    lost: 0,
    sentLoss: 0,
    jitter_ms: 0,
    microphoneLevel: null,
    seats: peer.seats.map(() => ({ audioPackets: 0, framesDecoded: 0, freeze_ms: 0 })),
  };
  const seats = seatsByMid(peer);
  const sentAudio = peer.pc
    .getSenders()
    .some(({ track }) => track?.kind === 'audio' && track.enabled && track.readyState === 'live');
  for (const row of report.values()) addRow(row, { sample, seats, sentAudio });
  return sample;
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
 * @param {{sample: import('./quality.js').Sample, seats: Map<string, number>, sentAudio: boolean}} into
 */
function addRow(row, { sample, seats, sentAudio }) {
  switch (row.type) {
    case 'inbound-rtp': {
      sample.received += row.packetsReceived ?? 0;
      sample.lost += Math.max(0, row.packetsLost ?? 0);
      if (row.kind === 'audio') {
        sample.jitter_ms = Math.max(sample.jitter_ms, (row.jitter ?? 0) * 1000);
      }
      const seat = sample.seats[seats.get(row.mid) ?? -1];
      if (seat === undefined) break;
      if (row.kind === 'audio') seat.audioPackets += row.packetsReceived ?? 0;
      else {
        seat.framesDecoded += row.framesDecoded ?? 0;
        seat.freeze_ms += (row.totalFreezesDuration ?? 0) * 1000;
      }
      break;
    }
    case 'remote-inbound-rtp':
      sample.sentLoss = Math.max(sample.sentLoss, row.fractionLost ?? 0);
      break;
    case 'candidate-pair':
      if (row.nominated === true && row.state === 'succeeded') {
        sample.rtt_ms = (row.currentRoundTripTime ?? 0) * 1000;
      }
      break;
    case 'media-source':
      if (row.kind === 'audio' && sentAudio) sample.microphoneLevel = row.audioLevel ?? null;
      break;
    default:
  }
}
