/**
 * What is sent of a camera and of a screen, and which of it is switched on. Pure.
 */

/** @typedef {import('../protocol.js').Layer} Layer */

/** One encoding for all who watch: the picture asked of the camera needs no more. */
const CAMERA_BPS = 1_500_000;
/** Small letters need bits; a still slide takes few of them. */
const SCREEN_BPS = 2_500_000;
const VOICE_BPS = 24_000;

/**
 * What the three encodings of a camera are, lowest first (RFC 8853), by how much it captures:
 * Chromium sends no more of them than it finds fit for that, and leaves out the last. So that the
 * whole picture is always among those sent, a small camera has it in an earlier one.
 *
 * @type {readonly {least_px: number, sizes: readonly {scaleResolutionDownBy: number, maxBitrate: number}[]}[]}
 */
const SIZES = [
  {
    least_px: 960 * 540,
    sizes: [
      { scaleResolutionDownBy: 4, maxBitrate: 120_000 },
      { scaleResolutionDownBy: 2, maxBitrate: 400_000 },
      { scaleResolutionDownBy: 1, maxBitrate: CAMERA_BPS },
    ],
  },
  {
    least_px: 480 * 270,
    sizes: [
      { scaleResolutionDownBy: 2, maxBitrate: 150_000 },
      { scaleResolutionDownBy: 1, maxBitrate: 700_000 },
    ],
  },
  { least_px: 0, sizes: [{ scaleResolutionDownBy: 1, maxBitrate: 300_000 }] },
];
const RIDS = ['q', 'h', 'f'];
/** The same in every encoding: libvpx refuses to mix them in one encoder. */
const TEMPORAL = { scalabilityMode: 'L1T3' };

/**
 * Ways to send, best first; a browser throws at what it cannot do.
 *
 * @param {'audio' | 'video' | 'screen'} kind
 * @param {boolean} simulcast whether the camera may be sent in several sizes
 * @returns {RTCRtpEncodingParameters[][]}
 */
export function waysToSend(kind, simulcast) {
  if (kind === 'audio') return [[{ maxBitrate: VOICE_BPS }]];
  if (kind === 'screen') return [[{ maxBitrate: SCREEN_BPS }]];
  const whole = [{ maxBitrate: CAMERA_BPS }];
  if (!simulcast) return [whole];
  const three = sizesFor(Infinity).map((size, at) => ({ rid: RIDS[at] ?? '', ...size }));
  return [three.map((encoding) => ({ ...encoding, ...TEMPORAL })), three, whole];
}

/**
 * Bring encodings to what the camera captures and the server asks.
 *
 * @param {RTCRtpEncodingParameters[]} encodings of the sender; changed in place
 * @param {readonly Layer[] | null} layers null: all of them
 * @param {number} captured_px width × height; Infinity when unknown
 * @returns {boolean} whether anything changed
 */
export function adjust(encodings, layers, captured_px) {
  const before = JSON.stringify(encodings);
  if (encodings.length === 1) {
    for (const only of encodings) adjustOnly(only, layers);
  } else {
    adjustAll(encodings, layers, captured_px);
  }
  return JSON.stringify(encodings) !== before;
}

/** @param {number} captured_px */
function sizesFor(captured_px) {
  return SIZES.find(({ least_px }) => captured_px >= least_px)?.sizes ?? [];
}

/**
 * The only encoding carries whatever anybody takes, by whatever name. Where simulcast was refused it
 * is the lowest of three that is left, and must carry the whole picture.
 *
 * @param {RTCRtpEncodingParameters} only
 * @param {readonly Layer[] | null} layers
 */
function adjustOnly(only, layers) {
  only.active = layers === null || layers.length === 0 || layers.some(({ active }) => active);
  if ((only.scaleResolutionDownBy ?? 1) === 1) return;
  only.scaleResolutionDownBy = 1;
  only.maxBitrate = CAMERA_BPS;
}

/**
 * @param {RTCRtpEncodingParameters[]} encodings
 * @param {readonly Layer[] | null} layers
 * @param {number} captured_px
 */
function adjustAll(encodings, layers, captured_px) {
  const sizes = sizesFor(captured_px);
  /** @param {RTCRtpEncodingParameters} encoding */
  const wanted = ({ rid }) => layers?.find((layer) => layer.rid === rid)?.active ?? true;
  const possible = encodings.slice(0, sizes.length);
  // Asked for what this camera cannot give: the best that it can.
  const instead = possible.some(wanted) || !encodings.some(wanted) ? undefined : possible.at(-1);
  encodings.forEach((encoding, at) => {
    const size = sizes[at];
    encoding.active = size !== undefined && (wanted(encoding) || encoding === instead);
    if (size !== undefined) Object.assign(encoding, size);
  });
}
