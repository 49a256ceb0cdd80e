"""A room being changed by one command: the next room and what happened, built step by step."""

from __future__ import annotations

from typing import Any

import msgspec

from signaling.errors import RoomError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Media, ParticipantState
from signaling.rooms.commands import Command
from signaling.rooms.room import Break, Participant, Presence, Room, TimelineEntry
from signaling.rooms.states import CONSULTATION_STATES, PARTICIPANT_STATES


def find(room: Room, participant_id: str) -> Participant:
    """The participant of that id. Raises `RoomError` (participant_unknown)."""
    for person in room.participants:
        if person.id == participant_id:
            return person
    raise RoomError(ErrorCode.PARTICIPANT_UNKNOWN, participant_id)


def ended(breaks: tuple[Break, ...], now: float) -> tuple[Break, ...]:
    """The breaks, all of them over."""
    if all(each.end is not None for each in breaks):
        return breaks
    return tuple(
        msgspec.structs.replace(each, end=now) if each.end is None else each for each in breaks
    )


class Draft:
    """One command's work on a room at one moment (`now`, Unix seconds)."""

    def __init__(self, room: Room, now: float) -> None:
        self.room = room
        self.now = now
        self.events: tuple[TimelineEntry, ...] = ()

    def person(self, participant_id: str) -> Participant:
        """The participant as they are in the draft. Raises `RoomError`."""
        return find(self.room, participant_id)

    def set_room(self, **fields: Any) -> None:
        """Give the room new values of some fields."""
        self.room = msgspec.structs.replace(self.room, **fields)

    def set_person(self, participant_id: str, **fields: Any) -> None:
        """Give a participant new values of some fields; a change to the same is none."""
        before = self.person(participant_id)
        after = msgspec.structs.replace(before, **fields)
        if after != before:
            self.set_room(
                participants=tuple(
                    after if each is before else each for each in self.room.participants
                )
            )

    def note(self, what: str, participant: str = "") -> None:
        """Write what happened into the timeline and tell followers."""
        entry = TimelineEntry(at=self.now, what=what, participant=participant)
        self.events += (entry,)
        self.set_room(timeline=(*self.room.timeline, entry))

    def next_state(self, participant_id: str, event: type[Command]) -> ParticipantState:
        """Where `event` leads the participant. Raises `RoomError` (wrong_state)."""
        state = self.person(participant_id).state
        following = PARTICIPANT_STATES[state].get(event)
        if following is None:
            raise RoomError(ErrorCode.WRONG_STATE, f"{event.__name__} in {state}")
        return following

    def move(self, participant_id: str, event: type[Command]) -> None:
        """Take the participant along the table, with all that a state means. Raises `RoomError`."""
        person = self.person(participant_id)
        state = self.next_state(participant_id, event)
        changed: dict[str, Any] = {"state": state}
        if person.state == "admitted" and state != "admitted":
            changed |= {"presences": self._close(person), "hand_raised": False}
            changed |= {"breaks": ended(person.breaks, self.now)}
        if state == "admitted" and person.state != "admitted":
            changed |= {"presences": (*person.presences, Presence(start=self.now))}
        if state == "waiting" and person.waiting_since is None:
            changed |= {"waiting_since": self.now}
        if state in ("left", "removed"):
            # Gone on purpose: the place in the queue goes with them.
            changed |= {"session": None, "waiting_since": None, "media": Media(), "muted": ()}
        self.set_person(participant_id, **changed)

    def move_consultation(self, event: type[Command]) -> bool:
        """Take the consultation along its table; False when `event` means nothing to it now."""
        following = CONSULTATION_STATES[self.room.state].get(event)
        if following is None:
            return False
        self.set_room(state=following)
        return True

    def close_presences(self) -> None:
        """End every stay in the call, and what went wrong in it."""
        for person in self.room.participants:
            breaks = ended(person.breaks, self.now)
            self.set_person(person.id, presences=self._close(person), breaks=breaks)

    def _close(self, person: Participant) -> tuple[Presence, ...]:
        return tuple(
            msgspec.structs.replace(each, end=self.now) if each.end is None else each
            for each in person.presences
        )
