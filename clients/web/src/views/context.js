/**
 * What every view is given, and what every view is.
 *
 * @typedef {object} Context
 * @property {import('../store.js').Store} store
 * @property {import('../session.js').Session} session
 * @property {import('../media/devices.js').Devices} devices
 * @property {import('../saver.js').Saver} saver
 * @property {() => readonly import('../media/peer.js').Seat[]} seats the seats there are now
 * @property {(asked: Promise<unknown>) => void} ask tells the person when what was asked fails
 * @property {(text: string) => void} tell shows and speaks a short notice
 */

/**
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {(app: import('../store.js').App) => void} update draws what is now; cheap when nothing
 *   changed
 * @property {() => void} [close] lets go of what it holds
 */

export {};
