/**
 * Invitation links: `<address>/#t=<token>`. The token stands in the fragment, which browsers never
 * send to a server. It is read here only to find the session that this browser may already hold;
 * whether it is genuine is for the server to say.
 */

/**
 * @typedef {object} Invitation
 * @property {string} token
 * @property {string} consultation '' when the token could not be read
 * @property {string} participant '' when the token could not be read
 */

/**
 * The invitation in an address, or in whatever a person pasted.
 *
 * @param {string} text address, fragment or the token itself
 * @returns {Invitation | null}
 */
export function readInvitation(text) {
  const match =
    /[#&?]t=([\w-]+\.[\w-]+\.[\w-]+)/.exec(text) ?? /^\s*([\w-]+\.[\w-]+\.[\w-]+)\s*$/.exec(text);
  const token = match?.[1];
  if (token === undefined || token.length > 4096) return null;
  const { con, sub } = claims(token);
  return {
    token,
    consultation: typeof con === 'string' ? con : '',
    participant: typeof sub === 'string' ? sub : '',
  };
}

/**
 * The address once the server has let us in: it names the consultation and no longer holds the
 * token, so that nothing in the browser's history lets anybody in.
 *
 * @param {string} consultation
 * @returns {string} a fragment
 */
export function addressOf(consultation) {
  return `#c=${encodeURIComponent(consultation)}`;
}

/**
 * Whose place a refreshed page goes back to. The person is told by the tab's own history entry:
 * the address alone would let whoever opens it take the place of whoever was here last.
 *
 * @param {string} fragment of the address
 * @param {unknown} entry `history.state`
 * @returns {{consultation: string, participant: string} | null}
 */
export function readPlace(fragment, entry) {
  if (typeof entry !== 'object' || entry === null || !('participant' in entry)) return null;
  const match = /^#c=([^&]+)$/.exec(fragment);
  if (match?.[1] === undefined || typeof entry.participant !== 'string') return null;
  try {
    return { consultation: decodeURIComponent(match[1]), participant: entry.participant };
  } catch {
    return null;
  }
}

/**
 * @param {string} token a JWT
 * @returns {Record<string, unknown>}
 */
function claims(token) {
  try {
    const part = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const value = JSON.parse(atob(part));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/**
 * The place that a session secret is for: `<consultation>.<participant>.<secret>`.
 *
 * @param {string} session
 * @returns {string} `<consultation>.<participant>`
 */
export function placeOf(session) {
  return session.split('.').slice(0, 2).join('.');
}
