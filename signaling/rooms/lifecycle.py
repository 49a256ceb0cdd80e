"""The consultation's life: `apply(room, command, now)` gives the next room, or raises.

Call it through a store's `change`, then hand `(before, after)` to `rooms.effects.effects` for the
media engine and the recorder, and to `rooms.view` for people.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from signaling.errors import RoomError
from signaling.protocol.codes import ErrorCode
from signaling.rooms import authority, conversation, quality, recordings
from signaling.rooms import commands as c
from signaling.rooms import connections as conn
from signaling.rooms import invitations as inv
from signaling.rooms.draft import Draft
from signaling.rooms.roles import Permission, may
from signaling.rooms.room import MediaHost, Room, TimelineEntry
from signaling.rooms.states import CONSULTATION_STATES as CONSULTATION_STATES
from signaling.rooms.states import PARTICIPANT_STATES as PARTICIPANT_STATES
from signaling.rooms.states import Met


def apply(room: Room, command: c.Command, now: float) -> tuple[Room, tuple[TimelineEntry, ...]]:
    """The room after `command` at `now` (Unix seconds), and what happened.

    The same room object comes back when nothing changed. `version` is left to the store. Raises
    `RoomError` or `TokenError`; then nothing has changed.
    """
    if room.state == "ended":
        return _after_the_end(room, command)
    authority.check(room, command)
    draft = Draft(room, now)
    _STEPS[type(command)](draft, command)
    recordings.stop_on_objection(draft)
    _begin_when_met(draft)
    return draft.room, draft.events


def _after_the_end(room: Room, command: c.Command) -> tuple[Room, tuple[TimelineEntry, ...]]:
    # What comes late by itself is no one's mistake; anything asked for is answered plainly.
    if isinstance(command, _LATE) or (
        isinstance(command, c.StopRecording) and command.reason == "failed"
    ):
        return room, ()
    raise RoomError(ErrorCode.CONSULTATION_ENDED)


_LATE = c.Disconnect | c.Leave | c.Lose | c.ForgetNode | c.Expire | c.NoteFaults | c.NoteQuality


def _begin_when_met(draft: Draft) -> None:
    inside = [person for person in draft.room.participants if person.state == "admitted"]
    hosted = any(may(person.role, Permission.ADMIT) for person in inside)
    if len(inside) >= 2 and hosted and draft.move_consultation(Met):
        draft.set_room(started_at=draft.now)
        draft.note("started")


def _ready(draft: Draft, command: c.Ready) -> None:
    person = draft.person(command.actor)
    draft.move(person.id, c.Ready)
    draft.move_consultation(c.Ready)
    if may(person.role, Permission.ENTER):
        draft.move(person.id, c.Admit)
        draft.note("admitted", person.id)
    else:
        draft.note("waiting", person.id)


def _admit(draft: Draft, command: c.Admit) -> None:
    draft.move(command.participant, c.Admit)
    draft.note("admitted", command.participant)


def _hold(draft: Draft, command: c.Hold) -> None:
    draft.move(command.participant, c.Hold)
    draft.note("held", command.participant)


def _return(draft: Draft, command: c.Return) -> None:
    draft.move(command.participant, c.Return)
    draft.note("returned", command.participant)


def _leave(draft: Draft, command: c.Leave) -> None:
    draft.move(command.actor, c.Leave)
    draft.note("left", command.actor)


def _host_media(draft: Draft, command: c.HostMedia) -> None:
    host = draft.room.media
    if host and host.epoch >= command.epoch:
        raise RoomError(ErrorCode.WRONG_STATE, f"media epoch {host.epoch}")
    draft.set_room(media=MediaHost(url=command.url, epoch=command.epoch))


def _end(draft: Draft, command: c.End) -> None:
    _finish(draft, "ended", command)


def may_expire(room: Room, now: float) -> bool:
    """Whether its time is over and nobody is in the call: `Expire` ends it then."""
    in_call = any(
        person.state in ("admitted", "held") and person.session and not person.session.lost
        for person in room.participants
    )
    return now >= room.expires_at and not in_call


def _expire(draft: Draft, command: c.Expire) -> None:
    if may_expire(draft.room, draft.now):
        _finish(draft, "expired", command)


def _finish(draft: Draft, what: str, command: c.End | c.Expire) -> None:
    recordings.stop_at_end(draft)
    draft.close_presences()
    draft.move_consultation(type(command))
    draft.set_room(ended_at=draft.now)
    draft.note(what, command.actor)


_STEPS: dict[type[c.Command], Callable[[Draft, Any], None]] = {
    c.AddParticipant: inv.add_participant,
    c.Invite: inv.invite,
    c.Revoke: inv.revoke,
    c.Remove: inv.remove,
    c.Connect: conn.connect,
    c.Reconnect: conn.reconnect,
    c.Disconnect: conn.disconnect,
    c.Lose: conn.lose,
    c.ForgetNode: conn.forget_node,
    c.Ready: _ready,
    c.Admit: _admit,
    c.Hold: _hold,
    c.Return: _return,
    c.Leave: _leave,
    c.Mute: conversation.mute,
    c.Unmute: conversation.unmute,
    c.RaiseHand: conversation.raise_hand,
    c.Promote: conversation.promote,
    c.SetMedia: conversation.set_media,
    c.Chat: conversation.chat,
    c.GiveConsent: recordings.give_consent,
    c.StartRecording: recordings.start_recording,
    c.StopRecording: recordings.stop_recording,
    c.HostMedia: _host_media,
    c.NoteFaults: quality.note_faults,
    c.NoteQuality: quality.note_quality,
    c.End: _end,
    c.Expire: _expire,
}
