"""A store that came back without its last writes: what it must not forget. Pure."""

from __future__ import annotations

import msgspec

from signaling.rooms import recordings
from signaling.rooms.draft import Draft
from signaling.rooms.room import Recording, Room


def mended(room: Room, known: Room, now: float) -> Room:
    """`room` as the store has it now, with what `known`, a later state that was lost, binds us to:
    its end, each decision on being recorded, each recording (of which none can go on)."""
    if known.state == "ended" or room.state == "ended":
        return known if room.state != "ended" else room
    kept = {each.id for each in room.recordings}
    lost = tuple(_closed(each, now) for each in known.recordings if each.id not in kept)
    consents = {*room.consents, *known.consents}
    draft = Draft(room, now)
    if lost:
        draft.set_room(recordings=(*lost, *room.recordings))
    if len(consents) > len(room.consents):
        draft.set_room(consents=tuple(sorted(consents, key=lambda row: row.at)))
    recordings.stop_on_objection(draft)
    return draft.room


def _closed(recording: Recording, now: float) -> Recording:
    if recording.stopped_at is not None:
        return recording
    return msgspec.structs.replace(recording, stopped_at=now, stop_reason="failed")
