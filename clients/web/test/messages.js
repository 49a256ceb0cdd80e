// Values of the wire for tests, complete and valid.

export const FACILITY = { code: '01001', name: 'Bệnh viện A' };

export function participant(id, state = 'admitted', more = {}) {
  return {
    type: 'participant',
    id,
    name: `Người ${id}`,
    role: 'patient',
    state,
    connection: 'connected',
    title: '',
    licence: '',
    facility: null,
    permissions: [],
    media: { audio: true, video: true, screen: false },
    muted: [],
    hand_raised: false,
    consent: null,
    place: null,
    waiting_since: null,
    ...more,
  };
}

export function joined(id, more = {}) {
  return {
    type: 'joined',
    session: `c1.${id}.secret`,
    consultation: 'c1',
    participant: id,
    role: 'patient',
    grace_s: 30,
    ping_interval_s: 15,
    ice_servers: [],
    consent_texts: [],
    ...more,
  };
}

export function recording(more = {}) {
  return {
    type: 'recording',
    state: 'off',
    policy: 'patient',
    since: null,
    missing_consents: [],
    stop_reason: '',
    ...more,
  };
}

export function room(participants, more = {}) {
  return {
    type: 'room',
    consultation: {
      type: 'consultation',
      id: 'c1',
      state: 'active',
      mode: 'DIRECT_TO_PATIENT',
      title: 'Khám từ xa',
      facility: FACILITY,
      started_at: 1,
      ended_at: null,
    },
    participants,
    chat: [],
    recording: recording(),
    ...more,
  };
}
