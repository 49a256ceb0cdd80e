"""Room → dossier: everything of the record is there, and no secret."""

from __future__ import annotations

import msgspec

from recorder.record import dossier as record
from signaling.dossier import dossier
from signaling.protocol.messages import Facility
from signaling.rooms import commands as c
from signaling.rooms.consent import TEXT_VERSION
from signaling.rooms.lifecycle import apply
from signaling.rooms.room import Break, Measured, Patient, Room, Spread

COMMANDS: tuple[c.Command, ...] = (
    c.AddParticipant(
        participant="doc",
        name="Bình",
        role="treating_clinician",
        licence="L1",
        facility=Facility(code="01"),
    ),
    c.AddParticipant(participant="pat", name="An", role="patient"),
    c.Invite(invitation="i1", participant="doc", expires_at=1e12),
    c.Invite(invitation="i2", participant="pat", expires_at=1e12),
    c.Connect(
        invitation="i1",
        role="treating_clinician",
        session="s1",
        secret_sha256="hash-1",
        language="vi",
        node="n",
        connection="w1",
    ),
    c.Connect(
        invitation="i2",
        role="patient",
        session="s2",
        secret_sha256="hash-2",
        language="en",
        node="n",
        connection="w2",
    ),
    c.GiveConsent(actor="pat", decision="given", text_version=TEXT_VERSION, language="vi"),
    c.Ready(actor="doc"),
    c.Ready(actor="pat"),
    c.Admit(actor="doc", participant="pat"),
    c.StartRecording(actor="doc", recording="r1"),
    c.Chat(actor="pat", id="m1", text="Chào"),
    c.End(actor="doc"),
)


def ended_room() -> Room:
    room = Room(
        id="c1",
        mode="DIRECT_TO_PATIENT",
        title="Khám",
        facility=Facility(code="01", name="A"),
        recording_policy="patient",
        created_at=1.0,
        expires_at=1e12,
        patient=Patient(identifier="079", system="cccd", name="An"),
    )
    for now, command in enumerate(COMMANDS, start=10):
        room, _ = apply(room, command, float(now))
    return room


def test_everything_of_the_record_is_there() -> None:
    told = dossier(ended_room())
    assert told.version == 0
    assert dossier(msgspec.structs.replace(ended_room(), version=7)).version == 7
    assert told.patient == record.Patient(identifier="079", system="cccd", name="An")
    assert (told.started_at, told.ended_at) == (19.0, 22.0)
    clinician, patient = told.participants
    assert clinician.facility == record.Facility(code="01")
    assert clinician.licence == "L1"
    assert patient.peer == patient.id == "pat"
    assert patient.presences == (record.Presence(start=19.0, end=22.0),)
    (consent,) = told.consents
    assert (consent.decision, consent.language, consent.channel) == ("given", "vi", "app")
    (span,) = told.recordings
    assert (span.id, span.started_at, span.stop_reason) == ("r1", 20.0, "consultation_ended")
    assert [line.text for line in told.chat] == ["Chào"]
    assert [entry.what for entry in told.timeline][-2:] == ["recording_stopped", "ended"]


def test_no_secret_session_or_invitation_is_in_it() -> None:
    text = msgspec.json.encode(dossier(ended_room())).decode()
    for hidden in ("hash-1", "hash-2", '"i1"', '"s1"', '"w1"'):
        assert hidden not in text
    assert msgspec.json.decode(text, type=record.Dossier) == dossier(ended_room())


def test_quality__what_all_processes_measured_and_what_went_wrong() -> None:
    room = ended_room()
    one = Measured(
        observer="one",
        up_loss=Spread(count=2, total=0.02, least=0.0, most=0.02),
        score=Spread(count=2, total=8.0, least=3.9, most=4.1),
        freezes=1,
        freeze_ms=250.0,
    )
    other = Measured(
        observer="other",
        up_loss=Spread(count=2, total=0.1, least=0.04, most=0.06),
        score=Spread(count=2, total=4.0, least=1.0, most=3.0),
        concealed_samples=1,
        audio_samples=8,
    )
    broken = Break(reason="uplink_blocked", start=20.0, end=21.5)
    doc, patient = room.participants
    patient = msgspec.structs.replace(patient, measured=(one, other), breaks=(broken,))
    told = dossier(msgspec.structs.replace(room, participants=(doc, patient)))
    assert told.quality == (
        record.Quality(
            participant="pat",
            measured_s=4,
            loss_up=record.Range(mean=0.03, least=0.0, most=0.06),
            freezes=1,
            freeze_s=0.25,
            concealed=0.125,
            score=record.Range(mean=3.0, least=1.0, most=4.1),
            breaks=(record.Break(reason="uplink_blocked", start=20.0, end=21.5),),
        ),
    )


def test_quality__nobody_who_was_never_measured() -> None:
    assert dossier(ended_room()).quality == ()
