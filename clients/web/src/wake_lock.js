/**
 * Keeps the screen on while waiting and talking, where the browser can.
 */

/** @type {WakeLockSentinel | null} */
let held = null;
let wanted = false;

/** @param {boolean} awake */
export function keepAwake(awake) {
  if (awake === wanted) return;
  wanted = awake;
  void settle();
}

async function settle() {
  if (!('wakeLock' in navigator)) return;
  if (wanted && held === null && document.visibilityState === 'visible') {
    held = await navigator.wakeLock.request('screen').catch(() => null);
    held?.addEventListener('release', () => {
      held = null;
    });
  } else if (!wanted && held !== null) {
    await held.release();
  }
}

// The browser lets go when the page is hidden; take it again when it is back.
if (typeof document !== 'undefined') {
  document.addEventListener('visibilitychange', () => void settle());
}
