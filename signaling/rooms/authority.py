"""Who may give which command. One table; the checks come before anything else is looked at."""

from __future__ import annotations

import enum

from signaling.errors import RoomError
from signaling.protocol.codes import ErrorCode
from signaling.rooms import commands as c
from signaling.rooms.draft import find
from signaling.rooms.roles import CHAIR, Permission, may
from signaling.rooms.room import Participant, Room
from signaling.rooms.states import PRESENT, Met


class Authority(enum.Enum):
    """Commands that no permission governs."""

    ONESELF = "oneself"  # a person who is there, for themselves, in whatever state
    IN_CALL = "in_call"  # a person in the call, for themselves
    SYSTEM = "system"  # the server only; who asked was checked by a token or a secret


AUTHORITY: dict[type[c.Command], Permission | Authority] = {
    c.AddParticipant: Permission.INVITE,
    c.Invite: Permission.INVITE,
    c.Revoke: Permission.INVITE,
    c.Admit: Permission.ADMIT,
    c.Hold: Permission.HOLD,
    c.Return: Permission.HOLD,
    c.Remove: Permission.REMOVE,
    c.Mute: Permission.MUTE,
    c.Promote: Permission.PROMOTE,
    c.Chat: Permission.CHAT,
    c.StartRecording: Permission.RECORD,
    c.StopRecording: Permission.RECORD,
    c.End: Permission.END,
    c.Ready: Authority.ONESELF,
    c.Leave: Authority.ONESELF,
    c.GiveConsent: Authority.ONESELF,
    c.SetMedia: Authority.ONESELF,
    c.Unmute: Authority.ONESELF,
    c.RaiseHand: Authority.IN_CALL,
    c.Connect: Authority.SYSTEM,
    c.Reconnect: Authority.SYSTEM,
    c.Disconnect: Authority.SYSTEM,
    c.Lose: Authority.SYSTEM,
    c.ForgetNode: Authority.SYSTEM,
    c.HostMedia: Authority.SYSTEM,
    c.NoteFaults: Authority.SYSTEM,
    c.NoteQuality: Authority.SYSTEM,
    c.Expire: Authority.SYSTEM,
    Met: Authority.SYSTEM,
}

#: Done to somebody else; a person leaves by `Leave`, and nobody gives themselves a role.
_UPON_OTHERS = (c.Hold, c.Return, c.Remove, c.Mute, c.Promote, c.Admit)


def check(room: Room, command: c.Command) -> None:
    """Raise `RoomError` unless the actor may give this command at all."""
    needed = AUTHORITY[type(command)]
    if command.actor == c.SYSTEM:
        return
    actor = find(room, command.actor)
    if needed is Authority.SYSTEM:
        raise RoomError(ErrorCode.NOT_ALLOWED, type(command).__name__)
    if actor.state not in PRESENT:
        raise RoomError(ErrorCode.NOT_ADMITTED, actor.state)
    if needed is Authority.ONESELF:
        return
    # A permission counts in the call only: a chair on hold or in the lobby holds none.
    if isinstance(needed, Permission) and not may(actor.role, needed):
        raise RoomError(ErrorCode.NOT_ALLOWED, needed.value)
    if actor.state != "admitted":
        raise RoomError(ErrorCode.NOT_ADMITTED, actor.state)
    _check_target(room, command, actor)


def _check_target(room: Room, command: c.Command, actor: Participant) -> None:
    if not isinstance(command, _UPON_OTHERS):
        return
    target = find(room, command.participant)
    if target is actor:
        raise RoomError(ErrorCode.NOT_ALLOWED, "to oneself")
    if target.role == CHAIR and actor.role != CHAIR and not isinstance(command, c.Admit | c.Return):
        raise RoomError(ErrorCode.NOT_ALLOWED, "to the chair")
