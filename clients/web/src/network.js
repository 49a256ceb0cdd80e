/**
 * Tells when this device has moved to another network, as far as the browser says so.
 */

/** @typedef {EventTarget & {type?: string}} NetworkInformation */

/** Wi-Fi goes and mobile data comes in several events of one moment. */
const ONE_CHANGE_MS = 1000;

/** @param {() => void} onChange */
export function watchNetwork(onChange) {
  let told = -Infinity;
  const tell = () => {
    if (performance.now() - told < ONE_CHANGE_MS) return;
    told = performance.now();
    onChange();
  };
  addEventListener('online', tell);
  // Where the browser has it (Chromium): https://wicg.github.io/netinfo/
  const { connection } = /** @type {Navigator & {connection?: NetworkInformation}} */ (navigator);
  let type = connection?.type;
  connection?.addEventListener('change', () => {
    // Most changes are only a new guess of the speed.
    if (connection.type === type) return;
    type = connection.type;
    if (type !== 'none') tell();
  });
}
