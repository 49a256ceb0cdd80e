/**
 * Changes to SDP text on its way to the server. Pure.
 */

/**
 * Mark the section that carries the shared screen (RFC 4796 §5: `a=content:slides`). Browsers have
 * no API for it; only the text that the server reads needs it.
 *
 * @param {string} sdp
 * @param {string | null} mid of the screen's section; null when no screen is shared
 * @returns {string}
 */
export function markScreen(sdp, mid) {
  if (mid === null) return sdp;
  const sections = sdp.split(/(?=^m=)/m);
  return sections
    .map((section) =>
      midOf(section) === mid && !section.includes('a=content:')
        ? `${section.replace(/(\r?\n)*$/, '')}\r\na=content:slides\r\n`
        : section,
    )
    .join('');
}

/** @param {string} section */
function midOf(section) {
  return /^a=mid:(\S+)/m.exec(section)?.[1];
}

/**
 * @typedef {object} CodecLike
 * @property {string} mimeType
 * @property {string} [sdpFmtpLine]
 */

/**
 * The video codecs we offer, in order: VP8, which every browser has and sends in layers of time,
 * then H.264 in the one form that all share (RFC 7742 §6.2: constrained baseline), then the main
 * profiles of VP9 and AV1, which cost a cheap phone too much to send but may well come from others.
 * With them goes `rtx` (RFC 4588), which repairs what was lost. All else is left out, so that an
 * offer of many seats stays within the server's 112 KiB.
 *
 * @template {CodecLike} C
 * @param {readonly C[]} codecs what the browser can do
 * @returns {C[]} empty when it can do none of ours
 */
export function videoCodecs(codecs) {
  /**
   * @param {string} mimeType
   * @param {RegExp} form what its parameters must say
   */
  const first = (mimeType, form = /^/) =>
    codecs
      .filter((codec) => codec.mimeType.toLowerCase() === mimeType && form.test(codec.sdpFmtpLine ?? ''))
      .slice(0, 1);
  const baseline = first('video/h264', /^(?=.*packetization-mode=1)(?=.*profile-level-id=42e0)/i);
  const chosen = [
    ...first('video/vp8'),
    ...(baseline.length > 0 ? baseline : first('video/h264', /^(?=.*packetization-mode=1)(?=.*profile-level-id=42)/i)),
    // Left out, the profile is 0 (RFC 9628 §6; AV1 RTP §7.2.1).
    ...first('video/vp9', /^(?!.*profile-id=[1-9])/),
    ...first('video/av1', /^(?!.*profile=[1-9])/),
  ];
  return chosen.length === 0 ? [] : [...chosen, ...first('video/rtx')];
}

/**
 * @template {CodecLike} C
 * @param {readonly C[]} codecs
 * @returns {C[]} Opus alone
 */
export function audioCodecs(codecs) {
  return codecs.filter((codec) => codec.mimeType.toLowerCase() === 'audio/opus');
}
