"""What people in the call do: media, hands, roles, chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec

from signaling.errors import RoomError
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import MediaKind
from signaling.rooms import commands as c
from signaling.rooms.draft import Draft
from signaling.rooms.roles import PROMOTIONS
from signaling.rooms.room import ChatLine

#: What a room keeps of its chat, in bytes as the lines are sent: some thousands of them. It stays
#: quick to store, and a whole `room` message stays one that every client can take.
MAX_CHAT_BYTES = 512 * 1024
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
    line = ChatLine(id=command.id, participant=person.id, at=draft.now, text=command.text)
    lines = (*lines, line)
    if _sent_bytes(draft, lines) > MAX_CHAT_BYTES:
        raise RoomError(ErrorCode.TOO_MANY, "chat")
    draft.set_room(chat=lines)


def _sent_bytes(draft: Draft, lines: tuple[ChatLine, ...]) -> int:
    names = {person.id: person.name for person in draft.room.participants}
    return len(msgspec.json.encode([shown(line, names) for line in lines]))


def shown(line: ChatLine, names: Mapping[str, str]) -> wire.ChatLine:
    """A line as people are sent it; `names` are those of the participants, by id."""
    return wire.ChatLine(
        id=line.id,
        participant=line.participant,
        name=names.get(line.participant, ""),
        at=line.at,
        text=line.text,
    )
