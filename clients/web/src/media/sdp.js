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
 * The video codecs we offer, in order: VP8, which every browser has, then H.264 in the one form
 * that all share (RFC 7742 §6.2: constrained baseline). Others are left out, so that an offer of
 * many seats stays within the server's 64 KiB.
 *
 * @template {CodecLike} C
 * @param {readonly C[]} codecs what the browser can do
 * @returns {C[]} empty when it can do none of ours
 */
export function videoCodecs(codecs) {
  const vp8 = codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/vp8');
  const h264 = codecs.filter(
    (codec) =>
      codec.mimeType.toLowerCase() === 'video/h264' &&
      /profile-level-id=42[0-9a-f]{4}/i.test(codec.sdpFmtpLine ?? '') &&
      /packetization-mode=1/.test(codec.sdpFmtpLine ?? ''),
  );
  return [...vp8, ...h264];
}

/**
 * @template {CodecLike} C
 * @param {readonly C[]} codecs
 * @returns {C[]} Opus alone
 */
export function audioCodecs(codecs) {
  return codecs.filter((codec) => codec.mimeType.toLowerCase() === 'audio/opus');
}
