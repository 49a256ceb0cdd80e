"""What each person may see of a room, and what to send them when that changes.

The view is the rule: whatever is not in it never reaches the person. A node keeps the view that
each of its people has, makes the new one after a change and sends the difference.
"""

from __future__ import annotations

from signaling.protocol import messages as wire
from signaling.protocol.messages import ServerMessage
from signaling.protocol.replies import Farewell
from signaling.rooms import consent
from signaling.rooms.draft import find
from signaling.rooms.roles import CLINICIANS, Permission, may
from signaling.rooms.room import ChatLine, Participant, Room


def view(room: Room, participant_id: str) -> wire.Room:
    """All that this participant may see now. Raises `RoomError` (participant_unknown)."""
    me = find(room, participant_id)
    inside = me.state == "admitted"
    return wire.Room(
        consultation=_consultation(room),
        participants=_people_from_inside(room, me) if inside else _people_from_outside(room, me),
        chat=_chat(room, me) if inside else (),
        recording=_recording(room, me)
        if inside
        else wire.Recording(state="off", policy=room.recording_policy),
    )


def diff(
    before: wire.Room | None, after: wire.Room, participant_id: str
) -> tuple[ServerMessage, ...]:
    """What takes this participant's client from one view to the next.

    The whole room when they had none, when they were admitted or put out of the call, and when
    chat lines must be forgotten; else what changed.
    """
    if before is None or _inside(before, participant_id) != _inside(after, participant_id):
        return (after,)
    if after.chat[: len(before.chat)] != before.chat:
        return (after,)
    told: list[ServerMessage] = []
    if after.consultation != before.consultation:
        told.append(after.consultation)
    known = {person.id: person for person in before.participants}
    told.extend(person for person in after.participants if known.pop(person.id, None) != person)
    told.extend(wire.ParticipantHidden(id=each) for each in known)
    told.extend(after.chat[len(before.chat) :])
    if after.recording != before.recording:
        told.append(after.recording)
    return tuple(told)


def farewell(room: Room, participant_id: str, connection: str) -> Farewell | None:
    """Why the WebSocket `connection` of this participant is over; None when it goes on.

    Raises `RoomError` (participant_unknown).
    """
    person = find(room, participant_id)
    if room.state == "ended":
        expired = any(entry.what == "expired" for entry in room.timeline[-1:])
        return "expired" if expired else "ended"
    if person.state == "removed":
        return "removed"
    if person.session is None:
        return "left"
    return None if person.session.connection == connection else "replaced"


def queue(room: Room) -> tuple[str, ...]:
    """Who waits to be admitted, first come first."""
    waiting = [person for person in room.participants if person.state == "waiting"]
    waiting.sort(key=lambda person: (person.waiting_since or 0.0, person.id))
    return tuple(person.id for person in waiting)


def _inside(seen: wire.Room, participant_id: str) -> bool:
    return any(
        person.id == participant_id and person.state == "admitted" for person in seen.participants
    )


def _consultation(room: Room) -> wire.Consultation:
    return wire.Consultation(
        id=room.id,
        state=room.state,
        mode=room.mode,
        title=room.title,
        facility=room.facility,
        started_at=room.started_at,
        ended_at=room.ended_at,
    )


def _people_from_inside(room: Room, me: Participant) -> tuple[wire.Participant, ...]:
    shown = {"admitted", "held"}
    if may(me.role, Permission.ADMIT):
        shown |= {"knocking", "waiting"}
    return tuple(
        _person(room, each, me)
        for each in room.participants
        if each.id == me.id or each.state in shown
    )


def _people_from_outside(room: Room, me: Participant) -> tuple[wire.Participant, ...]:
    return tuple(
        _person(room, each, me) if each.id == me.id else _whom_they_will_meet(each)
        for each in room.participants
        if each.id == me.id or (each.role in CLINICIANS and each.state != "removed")
    )


def _whom_they_will_meet(person: Participant) -> wire.Participant:
    """A clinician as seen from the lobby: who they are and whether they are in the call."""
    there = person.state == "admitted"
    return wire.Participant(
        id=person.id,
        name=person.name,
        role=person.role,
        state="admitted" if there else "invited",
        connection=_connection(person) if there else "away",
        title=person.title,
        licence=person.licence,
        facility=person.facility,
    )


def _person(room: Room, person: Participant, me: Participant) -> wire.Participant:
    inside = me.state == "admitted"
    myself = person.id == me.id
    sees_queue = myself or (inside and may(me.role, Permission.ADMIT))
    sees_consent = myself or (inside and may(me.role, Permission.RECORD))
    waits = sees_queue and person.state == "waiting"
    return wire.Participant(
        id=person.id,
        name=person.name,
        role=person.role,
        state=person.state,
        connection=_connection(person),
        title=person.title,
        licence=person.licence,
        facility=person.facility,
        media=person.media if myself or person.state == "admitted" else wire.Media(),
        muted=person.muted,
        hand_raised=person.hand_raised,
        consent=consent.decision(room, person.id) if sees_consent else None,
        place=queue(room).index(person.id) + 1 if waits else None,
        waiting_since=person.waiting_since if waits else None,
    )


def _connection(person: Participant) -> wire.Connection:
    if person.session is None:
        return "away"
    if person.session.lost:
        return "lost"
    return "connected" if person.session.away_since is None else "away"


def _chat(room: Room, me: Participant) -> tuple[wire.ChatLine, ...]:
    names = {person.id: person.name for person in room.participants}
    return tuple(
        wire.ChatLine(
            id=line.id,
            participant=line.participant,
            name=names.get(line.participant, ""),
            at=line.at,
            text=line.text,
        )
        for line in room.chat
        if _was_there(me, line)
    )


def _was_there(me: Participant, line: ChatLine) -> bool:
    return any(
        stay.start <= line.at and (stay.end is None or line.at < stay.end) for stay in me.presences
    )


def _recording(room: Room, me: Participant) -> wire.Recording:
    running = consent.running(room)
    records = may(me.role, Permission.RECORD) and room.recording_policy != "none"
    last = room.recordings[-1] if room.recordings else None
    return wire.Recording(
        state="on" if running else "off",
        policy=room.recording_policy,
        since=running.started_at if running else None,
        missing_consents=consent.missing(room) if records else (),
        stop_reason=last.stop_reason if last else "",
    )
