"""What people in the call do: media, hands, roles, chat."""

from __future__ import annotations

from typing import get_args

from signaling.errors import RoomError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import MediaKind
from signaling.rooms import commands as c
from signaling.rooms.draft import Draft
from signaling.rooms.roles import PROMOTIONS
from signaling.rooms.room import ChatLine

#: What a room keeps of its chat: lines, and characters in all, so that it stays quick to store.
MAX_CHAT_LINES = 5_000
MAX_CHAT_CHARACTERS = 500_000
MAX_CHAT_LINE_CHARACTERS = 2_000


def mute(draft: Draft, command: c.Mute) -> None:
    """Stop what somebody in the call sends, kind by kind, until they lift it."""
    person = draft.person(command.participant)
    if person.state != "admitted":
        raise RoomError(ErrorCode.WRONG_STATE, f"mute in {person.state}")
    wanted = {*person.muted, *command.kinds}
    muted = tuple(kind for kind in get_args(MediaKind) if kind in wanted)
    if muted != person.muted:
        draft.set_person(person.id, muted=muted)
        draft.note("muted", person.id)


def unmute(draft: Draft, command: c.Unmute) -> None:
    """Lift what others muted of oneself."""
    person = draft.person(command.actor)
    if person.muted:
        draft.set_person(person.id, muted=())
        draft.note("unmuted", person.id)


def raise_hand(draft: Draft, command: c.RaiseHand) -> None:
    """Raise or lower one's hand."""
    draft.set_person(command.actor, hand_raised=command.raised)


def promote(draft: Draft, command: c.Promote) -> None:
    """Give another role, as far as the table of promotions goes. Raises `RoomError`."""
    person = draft.person(command.participant)
    if person.role == command.role:
        return
    if command.role not in PROMOTIONS[person.role]:
        raise RoomError(ErrorCode.NOT_ALLOWED, f"{person.role} to {command.role}")
    if person.state == "removed":
        raise RoomError(ErrorCode.WRONG_STATE, "promote in removed")
    draft.set_person(person.id, role=command.role)
    draft.note(f"role_{command.role}", person.id)


def set_media(draft: Draft, command: c.SetMedia) -> None:
    """Take a person's word on what they send."""
    draft.set_person(command.actor, media=command.media)


def chat(draft: Draft, command: c.Chat) -> None:
    """Add a line; the same id of the same person again is the same line. Raises `RoomError`."""
    person = draft.person(command.actor)
    lines = draft.room.chat
    for line in lines:
        if line.id == command.id and line.participant == person.id:
            return
        if line.id == command.id:
            raise RoomError(ErrorCode.BAD_MESSAGE, "chat id of somebody else")
    if not command.text.strip():
        raise RoomError(ErrorCode.BAD_MESSAGE, "empty chat line")
    if len(command.text) > MAX_CHAT_LINE_CHARACTERS:
        raise RoomError(ErrorCode.TOO_LARGE, "chat line")
    kept = sum(len(line.text) for line in lines)
    if len(lines) >= MAX_CHAT_LINES or kept + len(command.text) > MAX_CHAT_CHARACTERS:
        raise RoomError(ErrorCode.TOO_MANY, "chat")
    line = ChatLine(id=command.id, participant=person.id, at=draft.now, text=command.text)
    draft.set_room(chat=(*lines, line))
