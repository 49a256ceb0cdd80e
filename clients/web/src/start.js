/**
 * Opens the page's program. A network that changes just then breaks off what is being loaded, and no
 * browser tries again by itself: so the page is opened anew, after growing pauses.
 */

const KEY = 'vtelehealth.reopened';
const PAUSES_MS = [1_000, 2_000, 5_000, 15_000, 30_000];
// The program that knows the person's language is what could not be loaded.
const WORDS = 'Mạng chập chờn, đang mở lại… · The network is unsteady, opening again…';

/** @param {number | null} times how often it was opened anew; null forgets it */
function remember(times) {
  try {
    if (times === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, String(times));
  } catch {
    // Storage is blocked: the pauses do not grow.
  }
}

/** @returns {number} how often it was opened anew so far */
function remembered() {
  try {
    return Number(sessionStorage.getItem(KEY)) || 0;
  } catch {
    return 0;
  }
}

function again() {
  const times = remembered();
  remember(times + 1);
  const words = document.querySelector('.opening');
  if (words !== null) words.textContent = WORDS;
  setTimeout(() => location.reload(), PAUSES_MS[Math.min(times, PAUSES_MS.length - 1)]);
}

import('./main.js').then(() => remember(null), again);
