"""What a consultation leaves for the health record, told to the recorder by signalling.

The dossier is complete each time it is sent: a later one replaces an earlier one, so a recorder
that dies or is replaced needs only the newest. Times are Unix seconds (UTC) as floats. Fields that
name people or facilities are personal data (Luật 91/2025/QH15): never in a log.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Mode = Literal[
    "DIRECT_TO_PATIENT", "VIA_RECEIVING_FACILITY", "INTER_FACILITY_SUPPORT", "TELECONSULT_MDT"
]
Role = Literal[
    "treating_clinician",
    "consulting_clinician",
    "nurse",
    "patient",
    "guardian",
    "interpreter",
    "observer",
    "admin",
]
Purpose = Literal["recording"]
Decision = Literal["given", "refused", "withdrawn"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the dossier's rows."""


class Facility(Row, frozen=True, kw_only=True):
    """A licensed facility (cơ sở khám bệnh, chữa bệnh): its code and its name."""

    code: str
    name: str = ""


class Patient(Row, frozen=True, kw_only=True):
    """Who the visit is for, by reference: `identifier` in the naming system `system`."""

    identifier: str
    system: str = ""
    name: str = ""


class Presence(Row, frozen=True, kw_only=True):
    """One stay in the call: admitted from `start` to `end` (None: still there)."""

    start: float
    end: float | None = None


class Participant(Row, frozen=True, kw_only=True):
    """A person of the consultation; `peer` is the id that tap tracks carry."""

    id: str
    peer: str
    role: Role
    name: str
    facility: Facility | None = None
    licence: str = ""
    presences: tuple[Presence, ...] = ()


class ConsentRow(Row, frozen=True, kw_only=True):
    """One decision: who, for what, when, on which text, in which language, by what means."""

    participant: str
    purpose: Purpose
    decision: Decision
    at: float
    text_version: str
    text_sha256: str
    language: Literal["vi", "en"]
    channel: Literal["app"] = "app"


class ChatLine(Row, frozen=True, kw_only=True):
    """One chat message."""

    id: str
    participant: str
    at: float
    text: str


class RecordingSpan(Row, frozen=True, kw_only=True):
    """One recording within the consultation, started and stopped by whom and why."""

    id: str
    started_at: float
    started_by: str
    stopped_at: float | None = None
    stop_reason: Literal["", "stopped", "consent_withdrawn", "consultation_ended", "failed"] = ""


class TimelineEntry(Row, frozen=True, kw_only=True):
    """Something that happened: `joined`, `admitted`, `held`, `left`, `lost` …"""

    at: float
    what: str
    participant: str = ""


class Range(Row, frozen=True, kw_only=True):
    """Of a value measured once a second: the mean, the least and the most."""

    mean: float
    least: float
    most: float


class Break(Row, frozen=True, kw_only=True):
    """A time (None: not over) in which somebody was not seen or heard, or saw or heard nothing.

    `reason`: `microphone_muted`, `microphone_silent`, `camera_muted`, `camera_frozen`,
    `uplink_blocked`, `downlink_blocked`, `decoder_stalled`, `media_lost` (by the server),
    `connection_lost`.
    """

    reason: str
    start: float
    end: float | None = None


class Quality(Row, frozen=True, kw_only=True):
    """How well one participant was connected: `up` is from them to the server, `down` to them.

    Losses and `concealed` (of the sound that they heard, how much was made up) are shares, 0 to 1.
    `score` is an estimate of 1 to 5 after the E-model (ITU-T G.107). What was never measured is
    None.
    """

    participant: str
    measured_s: int
    loss_up: Range | None = None
    loss_down: Range | None = None
    jitter_up_ms: Range | None = None
    jitter_down_ms: Range | None = None
    round_trip_ms: Range | None = None
    bitrate_up_bps: Range | None = None
    bitrate_down_bps: Range | None = None
    freezes: int = 0
    freeze_s: float = 0.0
    concealed: float | None = None
    score: Range | None = None
    breaks: tuple[Break, ...] = ()


class Dossier(Row, frozen=True, kw_only=True):
    """All that signalling knows of one consultation; one of a higher `version` is newer."""

    consultation: str
    version: int = 0
    mode: Mode
    title: str
    facility: Facility
    patient: Patient | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    participants: tuple[Participant, ...]
    consents: tuple[ConsentRow, ...] = ()
    chat: tuple[ChatLine, ...] = ()
    recordings: tuple[RecordingSpan, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    quality: tuple[Quality, ...] = ()
