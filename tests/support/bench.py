"""A consultation on the bench: a room with one person of each role, a clock, and short words."""

from __future__ import annotations

import msgspec

from signaling.protocol.messages import (
    ConsultationState,
    Decision,
    Facility,
    Language,
    ParticipantState,
    RecordingPolicy,
    Role,
)
from signaling.rooms import commands as c
from signaling.rooms.consent import TEXT_VERSION
from signaling.rooms.draft import find
from signaling.rooms.lifecycle import apply
from signaling.rooms.room import Participant, Room, TimelineEntry

#: Participant id → role. Each has the invitation `i-<id>`.
PEOPLE: dict[str, Role] = {
    "chair": "treating_clinician",
    "consultant": "consulting_clinician",
    "nurse": "nurse",
    "patient": "patient",
    "guardian": "guardian",
    "interpreter": "interpreter",
    "observer": "observer",
    "admin": "admin",
}
STARTED_AT = 1_000_000.0
EXPIRES_AFTER_S = 3_600.0


class Bench:
    """Applies commands to a room as a store would, counting its version."""

    def __init__(self, policy: RecordingPolicy = "patient") -> None:
        self.now = STARTED_AT
        self.room = Room(
            id="con",
            mode="VIA_RECEIVING_FACILITY",
            title="Khám tim mạch",
            facility=Facility(code="01001", name="Bệnh viện tỉnh"),
            recording_policy=policy,
            created_at=self.now,
            expires_at=self.now + EXPIRES_AFTER_S,
        )
        for person, role in PEOPLE.items():
            self.do(c.AddParticipant(participant=person, name=f"Tên {person}", role=role))
            self.do(
                c.Invite(
                    invitation=f"i-{person}",
                    participant=person,
                    expires_at=self.now + EXPIRES_AFTER_S,
                )
            )

    def do(self, command: c.Command) -> tuple[TimelineEntry, ...]:
        """Apply one command, a second after the last. Raises what `apply` raises."""
        self.now += 1
        after, events = apply(self.room, command, self.now)
        if after is not self.room:
            self.room = msgspec.structs.replace(after, version=self.room.version + 1)
        return events

    def person(self, person: str) -> Participant:
        return find(self.room, person)

    def stage(self) -> ConsultationState:
        return self.room.state

    def state(self, person: str) -> ParticipantState:
        return self.person(person).state

    def join(self, person: str, *, device: str = "1", invitation: str = "") -> None:
        """A new session on a device, by the person's invitation."""
        self.do(
            c.Connect(
                invitation=invitation or f"i-{person}",
                role=PEOPLE[person],
                session=f"s-{person}-{device}",
                secret_sha256=f"secret-{person}-{device}",
                language="vi",
                node="node",
                connection=f"ws-{person}-{device}",
            )
        )

    def resume(self, person: str, *, device: str = "1", connection: str = "ws-again") -> None:
        """The same session from another WebSocket, on another node."""
        self.do(
            c.Reconnect(
                participant=person,
                secret_sha256=f"secret-{person}-{device}",
                node="other-node",
                connection=connection,
            )
        )

    def drop(self, person: str) -> None:
        """The WebSocket is gone."""
        session = self.person(person).session
        assert session
        self.do(c.Disconnect(participant=person, connection=session.connection))

    def lose(self, person: str) -> None:
        """The WebSocket is gone, for longer than the grace period."""
        self.drop(person)
        self.now += 30
        self.do(c.Lose(participant=person, grace_s=30))

    def enter(self, *people: str) -> None:
        """Join and be ready: staff are in the call then, others wait."""
        for person in people:
            self.join(person)
            self.do(c.Ready(actor=person))

    def admit(self, *people: str) -> None:
        """Enter and be admitted by the chair, who must be in the call."""
        for person in people:
            self.enter(person)
            if self.state(person) == "waiting":
                self.do(c.Admit(actor="chair", participant=person))

    def decide(self, person: str, decision: Decision, language: Language = "vi") -> None:
        """A decision on the text that is asked now."""
        self.do(
            c.GiveConsent(
                actor=person, decision=decision, text_version=TEXT_VERSION, language=language
            )
        )

    def record(self, recording: str = "rec") -> None:
        """The chair starts a recording."""
        self.do(c.StartRecording(actor="chair", recording=recording))


def in_state(state: ParticipantState, policy: RecordingPolicy = "patient") -> Bench:
    """A bench whose chair is in the call and whose patient is in `state`."""
    bench = Bench(policy)
    bench.enter("chair")
    if state != "invited":
        bench.join("patient")
    if state in ("waiting", "admitted", "held"):
        bench.do(c.Ready(actor="patient"))
    if state in ("admitted", "held"):
        bench.do(c.Admit(actor="chair", participant="patient"))
    if state == "held":
        bench.do(c.Hold(actor="chair", participant="patient"))
    if state == "left":
        bench.do(c.Leave(actor="patient"))
    if state == "removed":
        bench.do(c.Remove(actor="chair", participant="patient"))
    assert bench.state("patient") == state
    return bench
