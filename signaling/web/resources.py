"""What the REST API takes and gives, as types: the OpenAPI document is made from these.

Times are Unix seconds (UTC). Unknown fields are an error, so a mistyped one is told and not lost.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from signaling.protocol.messages import (
    Connection,
    ConsultationState,
    Id,
    Mode,
    ParticipantState,
    RecordingPolicy,
    Role,
    Text,
)

#: One line of text, without control characters: it is shown to people and filed in the record.
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern="^[^\\x00-\\x1f\\x7f]+$")]
OptionalLine = Annotated[str, msgspec.Meta(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]*$")]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[^\\x00-\\x1f\\x7f]+$")]
#: From a minute to 90 days: an appointment is made that far ahead, hardly farther.
Lifetime = Annotated[float, msgspec.Meta(ge=60, le=7_776_000)]

DEFAULT_LIFETIME_S = 86_400.0


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what callers send."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what callers get."""


class FacilityBody(Body, frozen=True, kw_only=True):
    """A licensed facility: its code and its name."""

    code: Code
    name: OptionalLine = ""


class PatientBody(Body, frozen=True, kw_only=True):
    """Who the visit is for, by reference: `identifier` in the naming system `system`."""

    identifier: Code
    system: OptionalLine = ""
    name: OptionalLine = ""


class ParticipantBody(Body, frozen=True, kw_only=True):
    """Somebody who may come."""

    name: Line
    role: Role
    title: OptionalLine = ""
    licence: OptionalLine = ""
    facility: FacilityBody | None = None


class NewConsultation(Body, frozen=True, kw_only=True):
    """A consultation to create, with those who may come; each gets a link."""

    mode: Mode
    title: Line
    facility: FacilityBody
    recording_policy: RecordingPolicy
    patient: PatientBody | None = None
    expires_in_s: Lifetime = DEFAULT_LIFETIME_S
    participants: Annotated[tuple[ParticipantBody, ...], msgspec.Meta(min_length=1, max_length=200)]


class NewInvitation(Body, frozen=True, kw_only=True):
    """A link for one who is there (`participant`) or for somebody new (`new_participant`)."""

    participant: Id | None = None
    new_participant: ParticipantBody | None = None
    expires_in_s: Lifetime | None = None


class InvitationLink(Answer, frozen=True, kw_only=True):
    """A link to hand to one person. It is told once, and cannot be read again."""

    invitation: str
    participant: str
    role: Role
    expires_at: float
    link: str


class CreatedConsultation(Answer, frozen=True, kw_only=True):
    """The new consultation and one link for each participant, in the order given."""

    id: str
    expires_at: float
    invitations: tuple[InvitationLink, ...]


class ParticipantAnswer(Answer, frozen=True, kw_only=True):
    """One person of a consultation; `connection` is None while they have no session."""

    id: str
    name: str
    role: Role
    state: ParticipantState
    connection: Connection | None


class InvitationAnswer(Answer, frozen=True, kw_only=True):
    """One invitation, without its link."""

    id: str
    participant: str
    expires_at: float
    revoked: bool


class RecordingAnswer(Answer, frozen=True, kw_only=True):
    """One recording; it runs while `stopped_at` is None."""

    id: str
    started_at: float
    stopped_at: float | None
    stop_reason: Literal["", "stopped", "consent_withdrawn", "consultation_ended", "failed"]


class ConsultationAnswer(Answer, frozen=True, kw_only=True):
    """A consultation as it is now."""

    id: str
    state: ConsultationState
    mode: Mode
    title: str
    recording_policy: RecordingPolicy
    created_at: float
    expires_at: float
    started_at: float | None
    ended_at: float | None
    participants: tuple[ParticipantAnswer, ...]
    invitations: tuple[InvitationAnswer, ...]
    recordings: tuple[RecordingAnswer, ...]


class Problem(Answer, frozen=True, kw_only=True):
    """What went wrong: a stable code, a text for people, and for developers what was expected."""

    code: str
    text: Text
    detail: str = ""


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether a consultation can be held now, and what is missing if not."""

    ready: bool
    missing: tuple[Literal["store", "sfu", "recorder"], ...]


class Alive(Answer, frozen=True, kw_only=True):
    """The process lives."""

    alive: Literal[True] = True
