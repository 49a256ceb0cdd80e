"""Room → dossier: what the recorder keeps of a consultation for the health record. Pure."""

from __future__ import annotations

from functools import reduce

from recorder.control import dossier as record
from signaling.rooms import room as rooms
from signaling.rooms.quality import joined


def dossier(room: rooms.Room) -> record.Dossier:
    """Everything of `room` that belongs in the record; no session, secret or invitation."""
    return record.Dossier(
        consultation=room.id,
        version=room.version,
        mode=room.mode,
        title=room.title,
        facility=record.Facility(code=room.facility.code, name=room.facility.name),
        patient=_patient(room.patient),
        created_at=room.created_at,
        started_at=room.started_at,
        ended_at=room.ended_at,
        participants=tuple(_participant(person) for person in room.participants),
        consents=tuple(_consent(row) for row in room.consents),
        chat=tuple(
            record.ChatLine(id=line.id, participant=line.participant, at=line.at, text=line.text)
            for line in room.chat
        ),
        recordings=tuple(_recording(span) for span in room.recordings),
        timeline=tuple(
            record.TimelineEntry(at=entry.at, what=entry.what, participant=entry.participant)
            for entry in room.timeline
        ),
        quality=tuple(
            _quality(person) for person in room.participants if person.measured or person.breaks
        ),
    )


def _patient(patient: rooms.Patient | None) -> record.Patient | None:
    if patient is None:
        return None
    return record.Patient(identifier=patient.identifier, system=patient.system, name=patient.name)


def _participant(person: rooms.Participant) -> record.Participant:
    facility = person.facility
    return record.Participant(
        id=person.id,
        peer=person.id,
        role=person.role,
        name=person.name,
        facility=record.Facility(code=facility.code, name=facility.name) if facility else None,
        licence=person.licence,
        presences=tuple(
            record.Presence(start=stay.start, end=stay.end) for stay in person.presences
        ),
    )


def _consent(row: rooms.Consent) -> record.ConsentRow:
    return record.ConsentRow(
        participant=row.participant,
        purpose=row.purpose,
        decision=row.decision,
        at=row.at,
        text_version=row.text_version,
        text_sha256=row.text_sha256,
        language=row.language,
    )


def _recording(span: rooms.Recording) -> record.RecordingSpan:
    return record.RecordingSpan(
        id=span.id,
        started_at=span.started_at,
        started_by=span.started_by,
        stopped_at=span.stopped_at,
        stop_reason=span.stop_reason,
    )


def _quality(person: rooms.Participant) -> record.Quality:
    """What all processes have measured of a person, and what went wrong for them."""
    whole = reduce(joined, person.measured, rooms.Measured(observer=""))
    heard = whole.audio_samples
    return record.Quality(
        participant=person.id,
        measured_s=whole.score.count,
        loss_up=_range(whole.up_loss, 4),
        loss_down=_range(whole.down_loss, 4),
        jitter_up_ms=_range(whole.up_jitter_ms, 1),
        jitter_down_ms=_range(whole.down_jitter_ms, 1),
        round_trip_ms=_range(whole.round_trip_ms, 1),
        bitrate_up_bps=_range(whole.up_bps, 0),
        bitrate_down_bps=_range(whole.down_bps, 0),
        freezes=whole.freezes,
        freeze_s=round(whole.freeze_ms / 1000, 3),
        concealed=round(min(1.0, whole.concealed_samples / heard), 4) if heard else None,
        score=_range(whole.score, 2),
        breaks=tuple(
            record.Break(reason=each.reason, start=each.start, end=each.end)
            for each in person.breaks
        ),
    )


def _range(spread: rooms.Spread, digits: int) -> record.Range | None:
    if not spread.count:
        return None
    return record.Range(
        mean=round(spread.total / spread.count, digits),
        least=round(spread.least, digits),
        most=round(spread.most, digits),
    )
