"""What can be asked of a room, by whom. A command that is not allowed raises `RoomError`.

`actor` is the participant who asks; the system (REST, a node's tick) uses `SYSTEM`, which may all.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from signaling.protocol.messages import (
    Decision,
    Facility,
    Language,
    Media,
    MediaKind,
    Role,
)
from signaling.rooms.room import Break, Measured

SYSTEM = ""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Base: who asks."""

    actor: str = SYSTEM


class AddParticipant(Command, frozen=True, kw_only=True):
    """Somebody new may come."""

    participant: str
    name: str
    role: Role
    title: str = ""
    licence: str = ""
    facility: Facility | None = None


class Invite(Command, frozen=True, kw_only=True):
    """A link for a participant, in their role."""

    invitation: str
    participant: str
    expires_at: float


class Revoke(Command, frozen=True, kw_only=True):
    """The link is void, and who came by it is put out."""

    invitation: str


class Connect(Command, frozen=True, kw_only=True):
    """`Join`: a new session by an invitation. Refused while another session is connected."""

    invitation: str
    role: Role  # as the token says; must be the invitation's
    session: str
    secret_sha256: str
    language: Language
    node: str
    connection: str


class Reconnect(Command, frozen=True, kw_only=True):
    """`Resume`: the same session from a new WebSocket; place, role and state stay."""

    participant: str
    secret_sha256: str
    node: str
    connection: str


class Disconnect(Command, frozen=True, kw_only=True):
    """The WebSocket `connection` is gone. No effect when the session has a newer one."""

    participant: str
    connection: str


class Lose(Command, frozen=True, kw_only=True):
    """The grace period of an away session has passed; the place stays, the media goes."""

    participant: str
    grace_s: float


class ForgetNode(Command, frozen=True, kw_only=True):
    """A signalling node died: its sessions are away from now on."""

    node: str


class Ready(Command, frozen=True, kw_only=True):
    """Lobby done."""


class Admit(Command, frozen=True, kw_only=True):
    """waiting → admitted"""

    participant: str


class Hold(Command, frozen=True, kw_only=True):
    """admitted → held"""

    participant: str


class Return(Command, frozen=True, kw_only=True):
    """held → admitted"""

    participant: str


class Remove(Command, frozen=True, kw_only=True):
    """any → removed"""

    participant: str


class Leave(Command, frozen=True, kw_only=True):
    """any → left"""


class Mute(Command, frozen=True, kw_only=True):
    """Stop what somebody sends."""

    participant: str
    kinds: tuple[MediaKind, ...]


class Unmute(Command, frozen=True, kw_only=True):
    """Lift a mute of oneself."""


class RaiseHand(Command, frozen=True, kw_only=True):
    """One's own hand."""

    raised: bool


class Promote(Command, frozen=True, kw_only=True):
    """Another role."""

    participant: str
    role: Role


class Chat(Command, frozen=True, kw_only=True):
    """A line; the same id twice is one line."""

    id: str
    text: str


class GiveConsent(Command, frozen=True, kw_only=True):
    """A decision; `text_version` must be a version that we ask."""

    decision: Decision
    text_version: str
    language: Language


class StartRecording(Command, frozen=True, kw_only=True):
    """Begin a recording; needs the consents that the policy asks for."""

    recording: str


class StopRecording(Command, frozen=True, kw_only=True):
    """Stop the running recording."""

    reason: Literal["stopped", "failed"] = "stopped"


class SetMedia(Command, frozen=True, kw_only=True):
    """What one sends, by one's own word."""

    media: Media


class HostMedia(Command, frozen=True, kw_only=True):
    """An SFU was chosen for the room; refused when it has one of the same or a later epoch."""

    url: str
    epoch: int


class NoteFaults(Command, frozen=True, kw_only=True):
    """What is wrong with somebody's devices or network now; whatever is not named is over."""

    participant: str
    faults: tuple[Break, ...]


class NoteQuality(Command, frozen=True, kw_only=True):
    """What a process has measured of somebody so far; replaces what it said before."""

    participant: str
    measured: Measured


class End(Command, frozen=True, kw_only=True):
    """The consultation is over."""


class Expire(Command, frozen=True, kw_only=True):
    """`expires_at` has passed and nobody is in the call: ended without an end by a clinician."""


RoomCommand = (
    AddParticipant
    | Invite
    | Revoke
    | Connect
    | Reconnect
    | Disconnect
    | Lose
    | ForgetNode
    | Ready
    | Admit
    | Hold
    | Return
    | Remove
    | Leave
    | Mute
    | Unmute
    | RaiseHand
    | Promote
    | Chat
    | GiveConsent
    | StartRecording
    | StopRecording
    | SetMedia
    | HostMedia
    | NoteFaults
    | NoteQuality
    | End
    | Expire
)
