/**
 * What the server told us, as one value; `reduce(room, message)` gives the next one. Pure.
 */

/** @typedef {import('./protocol.js').ServerMessage} ServerMessage */
/** @typedef {import('./protocol.js').Participant} Participant */

/**
 * @typedef {object} RoomState
 * @property {import('./protocol.js').Joined | null} me
 * @property {import('./protocol.js').Consultation | null} consultation
 * @property {Readonly<Record<string, Participant>>} people by id
 * @property {readonly import('./protocol.js').ChatLine[]} chat in order of time
 * @property {import('./protocol.js').Recording | null} recording
 * @property {readonly (import('./protocol.js').Seated | null)[]} seats
 * @property {number} wanted how many seats the server would like us to offer
 * @property {readonly string[]} speakers loudest first
 * @property {import('./protocol.js').MediaConnection | null} media the SFU's last word
 * @property {Readonly<Record<'camera' | 'screen', readonly import('./protocol.js').Layer[] | null>>} layers
 *   which encodings of ours somebody takes; null: all
 * @property {readonly import('./protocol.js').PictureState[]} pictures by seat
 * @property {readonly import('./protocol.js').Fault[]} faults
 * @property {import('./protocol.js').OfferWanted | null} offer_wanted the last time we were asked
 * @property {import('./protocol.js').Ended | null} ended
 */

/** @type {RoomState['layers']} */
export const ALL_LAYERS = Object.freeze({ camera: null, screen: null });

/** @type {RoomState} */
export const EMPTY = Object.freeze({
  me: null,
  consultation: null,
  people: {},
  chat: [],
  recording: null,
  seats: [],
  wanted: 0,
  speakers: [],
  media: null,
  layers: ALL_LAYERS,
  pictures: [],
  faults: [],
  offer_wanted: null,
  ended: null,
});

/**
 * @param {RoomState} room
 * @param {ServerMessage} message
 * @returns {RoomState} the same object when nothing changed
 */
export function reduce(room, message) {
  switch (message.type) {
    case 'joined':
      // Faults are told again when there are any.
      return { ...room, me: message, faults: [], ended: null };
    case 'room':
      return withoutCallUnlessAdmitted({
        ...room,
        consultation: message.consultation,
        people: Object.fromEntries(message.participants.map((person) => [person.id, person])),
        chat: message.chat,
        recording: message.recording,
      });
    case 'participant':
      return withoutCallUnlessAdmitted({
        ...room,
        people: { ...room.people, [message.id]: message },
      });
    case 'participant_hidden': {
      const { [message.id]: _, ...people } = room.people;
      return { ...room, people };
    }
    case 'chat_line':
      return { ...room, chat: withLine(room.chat, message) };
    case 'recording':
      return { ...room, recording: message };
    case 'consultation':
      return { ...room, consultation: message };
    case 'seating':
      return { ...room, seats: message.seats, wanted: message.wanted };
    case 'speakers':
      return { ...room, speakers: message.participants };
    case 'media_connection':
      return { ...room, media: message };
    case 'layers':
      return { ...room, layers: { ...room.layers, [message.kind]: message.layers } };
    case 'pictures':
      return { ...room, pictures: message.seats };
    case 'faults':
      return { ...room, faults: message.faults };
    case 'offer_wanted':
      return { ...room, offer_wanted: message };
    case 'ended':
      return { ...room, ended: message };
    default:
      return room;
  }
}

/**
 * Who is not in the call holds nothing of it, even if a late message said otherwise. On hold the
 * connection is kept, and with it what the server asked of it.
 *
 * @param {RoomState} room
 * @returns {RoomState}
 */
function withoutCallUnlessAdmitted(room) {
  const state = self(room)?.state;
  if (state === 'admitted') return room;
  const layers = state === 'held' ? room.layers : ALL_LAYERS;
  return { ...room, seats: [], speakers: [], wanted: 0, layers, pictures: [], faults: [] };
}

/**
 * @param {RoomState['chat']} chat
 * @param {import('./protocol.js').ChatLine} line
 */
function withLine(chat, line) {
  const others = chat.filter((known) => known.id !== line.id || known.participant !== line.participant);
  return [...others, line].sort((a, b) => a.at - b.at);
}

/**
 * @param {RoomState} room
 * @returns {Participant | null} one's own row
 */
export function self(room) {
  return room.me === null ? null : (room.people[room.me.participant] ?? null);
}

/**
 * @param {RoomState} room
 * @param {string} permission
 */
export function may(room, permission) {
  return self(room)?.permissions.includes(permission) ?? false;
}

/** @typedef {'connecting' | 'lobby' | 'waiting' | 'call' | 'ended'} Screen */

/** @type {Record<import('./protocol.js').ParticipantState, Screen>} */
const SCREENS = {
  invited: 'lobby',
  knocking: 'lobby',
  waiting: 'waiting',
  held: 'waiting',
  admitted: 'call',
  left: 'ended',
  removed: 'ended',
};

/**
 * @param {RoomState} room
 * @returns {Screen} what this person should be looking at
 */
export function screenOf(room) {
  if (room.ended !== null) return 'ended';
  const me = self(room);
  return me === null ? 'connecting' : SCREENS[me.state];
}

const CLINICIANS = new Set(['treating_clinician', 'consulting_clinician', 'nurse']);

/**
 * @param {import('./protocol.js').Role} role
 * @returns {boolean} whether this role is staff that a patient comes to meet
 */
export function isClinician(role) {
  return CLINICIANS.has(role);
}

/**
 * @param {RoomState} room
 * @returns {Participant[]} clinicians other than oneself, the treating ones first
 */
export function hosts(room) {
  return others(room)
    .filter((person) => isClinician(person.role) && person.state !== 'removed')
    .sort((a, b) => rank(a) - rank(b) || byName(a, b));
}

/** @param {Participant} person */
function rank(person) {
  return ['treating_clinician', 'consulting_clinician', 'nurse'].indexOf(person.role);
}

/**
 * @param {Participant} a
 * @param {Participant} b
 */
function byName(a, b) {
  return a.name.localeCompare(b.name, 'vi') || (a.id < b.id ? -1 : 1);
}

/**
 * @param {RoomState} room
 * @returns {Participant[]}
 */
export function others(room) {
  return Object.values(room.people).filter((person) => person.id !== room.me?.participant);
}

/**
 * @param {RoomState} room
 * @returns {Participant[]} people in the waiting room, in order of their place
 */
export function queue(room) {
  return others(room)
    .filter((person) => person.state === 'waiting')
    .sort((a, b) => (a.place ?? Infinity) - (b.place ?? Infinity) || byName(a, b));
}

/**
 * @param {RoomState} room
 * @param {import('./protocol.js').ParticipantState} state
 * @returns {Participant[]} others in this state, in order of name
 */
export function inState(room, state) {
  return others(room)
    .filter((person) => person.state === state)
    .sort(byName);
}

/**
 * Whether the recording policy asks for this person's consent.
 *
 * @param {RoomState} room
 */
export function consentAsked(room) {
  const policy = room.recording?.policy ?? 'none';
  const role = self(room)?.role;
  return policy === 'everyone' || (policy === 'patient' && (role === 'patient' || role === 'guardian'));
}
