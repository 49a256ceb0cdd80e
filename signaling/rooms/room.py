"""The state of one consultation, whole: what a store keeps and every node agrees on.

A `Room` is a value. `rooms.lifecycle.apply(room, command, now)` gives the next one; `rooms.effects`
tells what the media engine and the recorder must do about the difference; `rooms.view` tells what
each person may see of it. Times are Unix seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from signaling.protocol.messages import (
    ConsultationState,
    Decision,
    Facility,
    FaultCode,
    Language,
    Media,
    MediaKind,
    Mode,
    ParticipantState,
    RecordingPolicy,
    Role,
)

#: Why somebody was not seen or heard: a fault, their SFU lost, or away for longer than the grace
#: period.
BreakReason = FaultCode | Literal["media_lost", "connection_lost"]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the room's values."""


class Patient(Value, frozen=True, kw_only=True):
    """Who the visit is for, by reference; personal data, never in a log."""

    identifier: str
    system: str = ""
    name: str = ""


class Invitation(Value, frozen=True, kw_only=True):
    """One link: bound to a participant and a role; `id` is the token's jti."""

    id: str
    participant: str
    role: Role
    expires_at: float
    revoked: bool = False


class Session(Value, frozen=True, kw_only=True):
    """The hold of one browser on a participant's place.

    `secret_sha256` (hex) is of the secret in `Joined.session`. `node` and `connection` name the
    WebSocket that speaks for it now; `away_since` is when that was lost (None: it is there).
    """

    id: str
    secret_sha256: str
    invitation: str
    language: Language
    node: str
    connection: str
    away_since: float | None = None
    lost: bool = False  # away for longer than the grace period


class Presence(Value, frozen=True, kw_only=True):
    """One stay in the call."""

    start: float
    end: float | None = None


class Consent(Value, frozen=True, kw_only=True):
    """One decision; the list of a room only grows."""

    participant: str
    purpose: Literal["recording"]
    decision: Decision
    at: float
    text_version: str
    text_sha256: str
    language: Language


class Break(Value, frozen=True, kw_only=True):
    """A time in which somebody in the call was not seen or heard, or saw or heard nothing."""

    reason: BreakReason
    start: float
    end: float | None = None


class Spread(Value, frozen=True, kw_only=True):
    """Values that were measured: how many, their sum, the least and the most."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0


class Measured(Value, frozen=True, kw_only=True):
    """All that one `observer`, a process of ours, has measured of a person, second by second.

    `up` is from the person to the SFU, `down` to them. Losses are fractions of packets, `freezes`
    of the pictures that they see, `concealed_samples` of the `audio_samples` that they hear.
    """

    observer: str
    up_loss: Spread = Spread()
    down_loss: Spread = Spread()
    up_jitter_ms: Spread = Spread()
    down_jitter_ms: Spread = Spread()
    round_trip_ms: Spread = Spread()
    up_bps: Spread = Spread()
    down_bps: Spread = Spread()
    score: Spread = Spread()
    freezes: int = 0
    freeze_ms: float = 0.0
    concealed_samples: int = 0
    audio_samples: int = 0


class Participant(Value, frozen=True, kw_only=True):
    """One person of the consultation. `id` is also the SFU's peer id."""

    id: str
    name: str
    role: Role
    state: ParticipantState = "invited"
    title: str = ""
    licence: str = ""
    facility: Facility | None = None
    session: Session | None = None
    media: Media = Media()
    muted: tuple[MediaKind, ...] = ()
    hand_raised: bool = False
    waiting_since: float | None = None
    presences: tuple[Presence, ...] = ()
    breaks: tuple[Break, ...] = ()
    measured: tuple[Measured, ...] = ()


class ChatLine(Value, frozen=True, kw_only=True):
    """One line of the chat."""

    id: str
    participant: str
    at: float
    text: str


class Recording(Value, frozen=True, kw_only=True):
    """One recording, running while `stopped_at` is None; `id` is also the SFU's tap id."""

    id: str
    started_at: float
    started_by: str
    stopped_at: float | None = None
    stop_reason: Literal["", "stopped", "consent_withdrawn", "consultation_ended", "failed"] = ""


class TimelineEntry(Value, frozen=True, kw_only=True):
    """Something that happened, for the record and for followers of the room."""

    at: float
    what: str
    participant: str = ""


class MediaHost(Value, frozen=True, kw_only=True):
    """Which SFU hosts the room, by control URL; a new `epoch` for each new host."""

    url: str
    epoch: int = 1


class Room(Value, frozen=True, kw_only=True):
    """One consultation. `version` grows by one with every change that a store accepts."""

    id: str
    mode: Mode
    title: str
    facility: Facility
    recording_policy: RecordingPolicy
    created_at: float
    expires_at: float
    version: int = 0
    state: ConsultationState = "scheduled"
    patient: Patient | None = None
    started_at: float | None = None
    ended_at: float | None = None
    media: MediaHost | None = None
    participants: tuple[Participant, ...] = ()
    invitations: tuple[Invitation, ...] = ()
    consents: tuple[Consent, ...] = ()
    chat: tuple[ChatLine, ...] = ()
    recordings: tuple[Recording, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
