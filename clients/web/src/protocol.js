/**
 * The messages of subprotocol `vtelehealth.v1` as this client reads and writes them.
 *
 * `parse` is strict about what we use and lenient about the rest: an unknown type or field is
 * skipped, so that a newer server can still speak with an older page.
 */

export const SUBPROTOCOL = 'vtelehealth.v1';

/** @typedef {'vi' | 'en'} Language */
/** @typedef {Record<Language, string>} Text */
/**
 * @typedef {'treating_clinician' | 'consulting_clinician' | 'nurse' | 'patient' | 'guardian'
 *   | 'interpreter' | 'observer' | 'admin'} Role
 */
/** @typedef {'audio' | 'video' | 'screen'} MediaKind */
/** @typedef {'invited' | 'knocking' | 'waiting' | 'admitted' | 'held' | 'left' | 'removed'} ParticipantState */
/** @typedef {'given' | 'refused' | 'withdrawn'} Decision */
/** @typedef {{audio: boolean, video: boolean, screen: boolean}} Media */
/** @typedef {{code: string, name: string}} Facility */
/** @typedef {{purpose: 'recording', version: string, text: Text, sha256: Text}} ConsentText */
/** @typedef {{urls: string[], username: string, credential: string}} IceServer */
/**
 * @typedef {{type: 'joined', session: string, consultation: string, participant: string,
 *   role: Role, grace_s: number, ping_interval_s: number,
 *   ice_servers: IceServer[], consent_texts: ConsentText[]}} Joined
 */
/**
 * @typedef {{type: 'participant', id: string, name: string, role: Role, state: ParticipantState,
 *   connection: 'connected' | 'away' | 'lost', title: string, licence: string,
 *   facility: Facility | null, permissions: string[], media: Media, muted: MediaKind[], hand_raised: boolean,
 *   consent: Decision | null, place: number | null, waiting_since: number | null}} Participant
 */
/** @typedef {{type: 'participant_hidden', id: string}} ParticipantHidden */
/**
 * @typedef {{type: 'chat_line', id: string, participant: string, name: string, at: number,
 *   text: string}} ChatLine
 */
/**
 * @typedef {{type: 'recording', state: 'off' | 'on', policy: 'none' | 'patient' | 'everyone',
 *   since: number | null, missing_consents: string[],
 *   stop_reason: '' | 'stopped' | 'consent_withdrawn' | 'consultation_ended' | 'failed'}} Recording
 */
/**
 * @typedef {{type: 'consultation', id: string, state: 'scheduled' | 'waiting' | 'active' | 'ended',
 *   mode: string, title: string, facility: Facility, started_at: number | null,
 *   ended_at: number | null}} Consultation
 */
/**
 * @typedef {{type: 'room', consultation: Consultation, participants: Participant[],
 *   chat: ChatLine[], recording: Recording}} Room
 */
/** @typedef {{type: 'answer', ref: string, sdp: string, seats: number}} Answer */
/** @typedef {{source: string, participant: string, screen: boolean}} Seated */
/** @typedef {{type: 'seating', seats: (Seated | null)[], wanted: number}} Seating */
/** @typedef {{type: 'speakers', participants: string[]}} Speakers */
/**
 * @typedef {{type: 'media_connection', state: 'connecting' | 'connected' | 'disconnected' | 'failed'
 *   | 'closed' | 'renegotiate'}} MediaConnection
 */
/** @typedef {{rid: string, active: boolean}} Layer */
/** @typedef {{type: 'layers', kind: 'camera' | 'screen', layers: Layer[]}} LayersWanted */
/** @typedef {'shown' | 'hidden' | 'off' | 'network' | 'busy'} PictureState */
/** @typedef {{type: 'pictures', seats: PictureState[]}} Pictures */
/** @typedef {{type: 'offer_wanted', reason: string}} OfferWanted */
/** @typedef {{participant: string, code: string, since: number, text: Text}} Fault */
/** @typedef {{type: 'faults', faults: Fault[]}} Faults */
/**
 * @typedef {{type: 'ended', reason: 'ended' | 'removed' | 'left' | 'replaced' | 'expired',
 *   text: Text}} Ended
 */
/** @typedef {{type: 'pong', ref: string, at: number}} Pong */
/** @typedef {{type: 'done', ref: string}} Done */
/** @typedef {{type: 'error', ref: string, code: string, text: Text}} ErrorMessage */
/**
 * @typedef {Joined | Room | Participant | ParticipantHidden | ChatLine | Recording | Consultation
 *   | Answer | Seating | Speakers | MediaConnection | LayersWanted | Pictures | OfferWanted | Faults
 *   | Ended | Pong | Done | ErrorMessage
 * } ServerMessage
 */

/** @typedef {{type: 'join', token: string, language: Language}} Join */
/** @typedef {{type: 'resume', session: string}} Resume */
/** @typedef {{seat: number, height_px: number}} SeatView */
/** @typedef {'off' | 'on' | 'muted'} DeviceState */
/**
 * @typedef {{seat: number, concealed_samples: number, audio_samples: number,
 *   frames_received: number, frames_decoded: number, freezes: number, freeze_ms: number}} SeatStats
 */
/**
 * @typedef {{type: 'stats', microphone: DeviceState, camera: DeviceState,
 *   microphone_level: number | null, camera_frames: number | null, received_packets: number,
 *   down_loss: number, jitter_ms: number, round_trip_ms: number | null,
 *   seats: SeatStats[]}} Stats
 */
/**
 * @typedef {Join | Resume | {type: 'ready'} | {type: 'admit', participant: string}
 *   | {type: 'hold', participant: string} | {type: 'return', participant: string}
 *   | {type: 'remove', participant: string}
 *   | {type: 'mute', participant: string, kinds: MediaKind[]} | {type: 'unmute'}
 *   | {type: 'raise_hand', raised: boolean}
 *   | {type: 'promote', participant: string, role: Role}
 *   | {type: 'chat', id: string, text: string}
 *   | {type: 'consent', purpose: 'recording', decision: Decision, text_version: string, language: Language}
 *   | {type: 'record', action: 'start' | 'stop'}
 *   | {type: 'view', seats: SeatView[], pinned: string[]}
 *   | {type: 'offer', sdp: string, fresh: boolean, saver: boolean}
 *   | Stats
 *   | {type: 'media_state', audio: boolean, video: boolean, screen: boolean}
 *   | {type: 'leave'} | {type: 'end'} | {type: 'ping'}} ClientMessage
 */

/** Longest chat text, in characters (the server's limit). */
export const CHAT_LIMIT_CHARS = 2000;

/**
 * @param {string} text as it was typed or pasted
 * @returns {string} without the control characters that the server refuses
 */
export function clean(text) {
  return text.replace(/[\x00-\x08\x0b-\x1f]/g, '');
}

/** @typedef {(value: unknown) => boolean} Check */

/** @type {Check} */
const string = (value) => typeof value === 'string';
/** @type {Check} */
const number = (value) => typeof value === 'number' && Number.isFinite(value);
/** @type {Check} */
const boolean = (value) => typeof value === 'boolean';
/** @type {(item: Check) => Check} */
const list = (item) => (value) => Array.isArray(value) && value.every(item);
/** @type {(check: Check) => Check} */
const orNull = (check) => (value) => value === null || check(value);
/** @type {(...values: string[]) => Check} */
const oneOf =
  (...values) =>
  (value) =>
    typeof value === 'string' && values.includes(value);
/** @type {(shape: Record<string, Check>) => Check} */
const object = (shape) => (value) => isRecord(value) && fits(value, shape);

const text = object({ vi: string, en: string });
const facility = object({ code: string, name: string });
const decision = oneOf('given', 'refused', 'withdrawn');

/** @type {Record<string, Check>} */
const PARTICIPANT = {
  id: string,
  name: string,
  role: string,
  state: oneOf('invited', 'knocking', 'waiting', 'admitted', 'held', 'left', 'removed'),
  connection: oneOf('connected', 'away', 'lost'),
  title: string,
  licence: string,
  facility: orNull(facility),
  permissions: list(string),
  media: object({ audio: boolean, video: boolean, screen: boolean }),
  muted: list(oneOf('audio', 'video', 'screen')),
  hand_raised: boolean,
  consent: orNull(decision),
  place: orNull(number),
  waiting_since: orNull(number),
};
/** @type {Record<string, Check>} */
const CHAT_LINE = { id: string, participant: string, name: string, at: number, text: string };
/** @type {Record<string, Check>} */
const RECORDING = {
  state: oneOf('off', 'on'),
  policy: oneOf('none', 'patient', 'everyone'),
  since: orNull(number),
  missing_consents: list(string),
  stop_reason: string,
};
/** @type {Record<string, Check>} */
const CONSULTATION = {
  id: string,
  state: oneOf('scheduled', 'waiting', 'active', 'ended'),
  mode: string,
  title: string,
  facility,
  started_at: orNull(number),
  ended_at: orNull(number),
};

/** @type {Record<ServerMessage['type'], Record<string, Check>>} */
const SHAPES = {
  joined: {
    session: string,
    consultation: string,
    participant: string,
    role: string,
    grace_s: number,
    ping_interval_s: number,
    ice_servers: list(object({ urls: list(string), username: string, credential: string })),
    consent_texts: list(object({ purpose: string, version: string, text })),
  },
  room: {
    consultation: object(CONSULTATION),
    participants: list(object(PARTICIPANT)),
    chat: list(object(CHAT_LINE)),
    recording: object(RECORDING),
  },
  participant: PARTICIPANT,
  participant_hidden: { id: string },
  chat_line: CHAT_LINE,
  recording: RECORDING,
  consultation: CONSULTATION,
  answer: { ref: string, sdp: string, seats: number },
  seating: {
    seats: list(orNull(object({ source: string, participant: string, screen: boolean }))),
    wanted: number,
  },
  speakers: { participants: list(string) },
  media_connection: {
    state: oneOf('connecting', 'connected', 'disconnected', 'failed', 'closed', 'renegotiate'),
  },
  layers: {
    kind: oneOf('camera', 'screen'),
    layers: list(object({ rid: string, active: boolean })),
  },
  pictures: { seats: list(oneOf('shown', 'hidden', 'off', 'network', 'busy')) },
  offer_wanted: { reason: string },
  faults: { faults: list(object({ participant: string, code: string, since: number, text })) },
  ended: { reason: string, text },
  pong: { ref: string, at: number },
  done: { ref: string },
  error: { ref: string, code: string, text },
};

/**
 * Read one text frame of the server.
 *
 * @param {unknown} data the frame
 * @returns {ServerMessage | null} null when it is nothing that we can use
 */
export function parse(data) {
  if (typeof data !== 'string') return null;
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  if (!isRecord(value) || typeof value.type !== 'string') return null;
  if (!Object.hasOwn(SHAPES, value.type)) return null;
  const type = /** @type {ServerMessage['type']} */ (value.type);
  if (!fits(value, SHAPES[type])) return null;
  return /** @type {ServerMessage} */ (/** @type {unknown} */ (value));
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isRecord(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * @param {Record<string, unknown>} value
 * @param {Record<string, Check>} shape
 */
function fits(value, shape) {
  return Object.entries(shape).every(([field, check]) => check(value[field]));
}
