"""What each person may see of a room, and what to send them when that changes.

The view is the rule: whatever is not in it never reaches the person. A node keeps the view that
each of its people has, makes the new one after a change and sends the difference. What is the same
for many people is made once for each version of the room, in its `Sight`.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from signaling.errors import RoomError
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import ServerMessage
from signaling.protocol.replies import Farewell
from signaling.rooms import consent
from signaling.rooms.conversation import shown
from signaling.rooms.draft import find
from signaling.rooms.roles import CLINICIANS, Permission, may, permissions
from signaling.rooms.room import Participant, Presence, Room


def view(room: Room, participant_id: str) -> wire.Room:
    """All that this participant may see now. Raises `RoomError` (participant_unknown)."""
    return Sight(room).of(participant_id)


class Sight:
    """One version of a room as its people may see it. Make it once, then call `of` for each.

    Rows and lines that are as they were in the sight `before` are the same objects again, so that
    `diff` finds at a glance what did not change.
    """

    def __init__(self, room: Room, before: Sight | None = None) -> None:
        self.room = room
        self._consultation = _consultation(room)
        self._index = {person.id: index for index, person in enumerate(room.participants)}
        self._decisions = consent.decisions(room)
        self._places = {each: place for place, each in enumerate(queue(room), start=1)}
        self._rows: dict[tuple[str, bool, bool, bool], wire.Participant] = {}
        self._rows_before = before._rows if before else {}
        self._inside: dict[tuple[bool, bool], dict[int, wire.Participant]] = {}
        self._outside: dict[int, wire.Participant] | None = None
        self._recordings: dict[bool, wire.Recording] = {}
        self._lines: tuple[wire.ChatLine, ...] = _lines(room, before._lines if before else ())
        self._times = [line.at for line in self._lines]
        # Nodes whose clocks differ may write lines that are not in the order of their times.
        self._in_order = all(earlier <= later for earlier, later in pairwise(self._times))

    def of(self, participant_id: str) -> wire.Room:
        """All that this participant may see. Raises `RoomError` (participant_unknown)."""
        index = self._index.get(participant_id)
        if index is None:
            raise RoomError(ErrorCode.PARTICIPANT_UNKNOWN, participant_id)
        me = self.room.participants[index]
        inside = me.state == "admitted"
        rows = self._people_from_inside(me) if inside else self._people_from_outside()
        own = self._row(me, myself=True, sees_queue=True, sees_consent=True)
        return wire.Room(
            consultation=self._consultation,
            participants=tuple(row for _, row in sorted({**rows, index: own}.items())),
            chat=self._chat(me) if inside else (),
            recording=self._recording(me)
            if inside
            else wire.Recording(state="off", policy=self.room.recording_policy),
        )

    def _people_from_inside(self, me: Participant) -> dict[int, wire.Participant]:
        sees = may(me.role, Permission.ADMIT), may(me.role, Permission.RECORD)
        if sees not in self._inside:
            states = {"admitted", "held", *(("knocking", "waiting") if sees[0] else ())}
            self._inside[sees] = {
                index: self._row(person, myself=False, sees_queue=sees[0], sees_consent=sees[1])
                for index, person in enumerate(self.room.participants)
                if person.state in states
            }
        return self._inside[sees]

    def _people_from_outside(self) -> dict[int, wire.Participant]:
        if self._outside is None:
            self._outside = {
                index: _whom_they_will_meet(person)
                for index, person in enumerate(self.room.participants)
                if person.role in CLINICIANS and person.state != "removed"
            }
        return self._outside

    def _row(
        self, person: Participant, *, myself: bool, sees_queue: bool, sees_consent: bool
    ) -> wire.Participant:
        waits = sees_queue and person.state == "waiting"
        row = wire.Participant(
            id=person.id,
            name=person.name,
            role=person.role,
            state=person.state,
            connection=_connection(person),
            title=person.title,
            licence=person.licence,
            facility=person.facility,
            permissions=permissions(person.role) if myself else (),
            media=person.media if myself or person.state == "admitted" else wire.Media(),
            muted=person.muted,
            hand_raised=person.hand_raised,
            consent=self._decisions.get(person.id) if sees_consent else None,
            place=self._places[person.id] if waits else None,
            waiting_since=person.waiting_since if waits else None,
        )
        key = (person.id, myself, sees_queue, sees_consent)
        known = self._rows_before.get(key)
        self._rows[key] = known if known is not None and known == row else row
        return self._rows[key]

    def _chat(self, me: Participant) -> tuple[wire.ChatLine, ...]:
        """The lines of the times when this person was in the call."""
        if not self._in_order:
            return tuple(line for line in self._lines if _was_there(me, line))
        told: tuple[wire.ChatLine, ...] = ()
        last = 0
        for first, end in sorted(self._span(stay) for stay in me.presences):
            told += self._lines[max(first, last) : end]
            last = max(last, end)
        return told

    def _span(self, stay: Presence) -> tuple[int, int]:
        end = len(self._times) if stay.end is None else bisect_left(self._times, stay.end)
        return bisect_left(self._times, stay.start), end

    def _recording(self, me: Participant) -> wire.Recording:
        records = may(me.role, Permission.RECORD) and self.room.recording_policy != "none"
        if records not in self._recordings:
            self._recordings[records] = _recording(self.room, records)
        return self._recordings[records]


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


def _connection(person: Participant) -> wire.Connection:
    if person.session is None:
        return "away"
    if person.session.lost:
        return "lost"
    return "connected" if person.session.away_since is None else "away"


def _lines(room: Room, before: tuple[wire.ChatLine, ...]) -> tuple[wire.ChatLine, ...]:
    names = {person.id: person.name for person in room.participants}
    lines = [shown(line, names) for line in room.chat]
    for index, (known, line) in enumerate(zip(before, lines, strict=False)):
        if known == line:
            lines[index] = known
    return tuple(lines)


def _was_there(me: Participant, line: wire.ChatLine) -> bool:
    return any(
        stay.start <= line.at and (stay.end is None or line.at < stay.end) for stay in me.presences
    )


def _recording(room: Room, records: bool) -> wire.Recording:
    running = consent.running(room)
    last = room.recordings[-1] if room.recordings else None
    return wire.Recording(
        state="on" if running else "off",
        policy=room.recording_policy,
        since=running.started_at if running else None,
        missing_consents=consent.missing(room) if records else (),
        stop_reason=last.stop_reason if last else "",
    )
