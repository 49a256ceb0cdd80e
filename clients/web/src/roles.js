/**
 * Which role may become which: the server's own table (`PROMOTIONS` in signaling/rooms/roles.py), so
 * that nobody is offered what it refuses. A test compares the two.
 */

/** @typedef {import('./protocol.js').Role} Role */

/** @type {Record<Role, readonly Role[]>} */
export const PROMOTIONS = {
  treating_clinician: ['consulting_clinician'],
  consulting_clinician: ['treating_clinician', 'observer'],
  nurse: ['observer'],
  patient: [],
  guardian: ['observer'],
  interpreter: ['observer'],
  observer: ['consulting_clinician', 'nurse', 'guardian', 'interpreter'],
  admin: [],
};
