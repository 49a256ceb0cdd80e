"""Small consultations and recordings for the recorder's own tests."""

from __future__ import annotations

from recorder.record.dossier import (
    Break,
    ChatLine,
    Dossier,
    Facility,
    Participant,
    Presence,
    Quality,
    Range,
    RecordingSpan,
    TimelineEntry,
)
from sfu.control.tap import Record
from tests.recorder.consultation import consent
from tests.recorder.tracks import SECOND_NS, START_NS, Tape, opus_frames, vp8_frames

T = START_NS / SECOND_NS


def visit(
    consultation: str = "c-1", recordings: tuple[str, ...] = ("rec-1",), *, ended: bool = True
) -> Dossier:
    """A clinician and a citizen, a chat, a consent, and these recordings."""
    return Dossier(
        consultation=consultation,
        mode="DIRECT_TO_PATIENT",
        title="Khám từ xa",
        facility=Facility(code="60123", name="Trạm Y tế xã Đắk Hà"),
        patient=None,
        created_at=T - 60,
        started_at=T,
        ended_at=T + 30 if ended else None,
        participants=(
            Participant(
                id="p1",
                peer="peer1",
                role="treating_clinician",
                name="BS. Bình",
                presences=(Presence(start=T),),
            ),
            Participant(
                id="p2", peer="peer2", role="patient", name="Ấn", presences=(Presence(start=T),)
            ),
        ),
        consents=(consent("p2", "given", T - 1),),
        chat=(ChatLine(id="m1", participant="p2", at=T + 1, text="Chào bác sĩ ạ"),),
        recordings=tuple(
            RecordingSpan(id=name, started_at=T, started_by="p1") for name in recordings
        ),
        timeline=(TimelineEntry(at=T, what="admitted", participant="p2"),),
        quality=(
            Quality(
                participant="p2",
                measured_s=29,
                loss_up=Range(mean=0.01, least=0.0, most=0.2),
                score=Range(mean=4.1, least=1.0, most=4.4),
                breaks=(Break(reason="uplink_blocked", start=T + 3, end=T + 5),),
            ),
        ),
    )


def call(seconds: int = 2, *, end: bool = True) -> list[Record]:
    """A clinician with voice and picture and a citizen with voice, as a tap offers them."""
    tape = Tape()
    tape.open(1, "opus", "peer1")
    tape.open(2, "VP8", "peer1")
    tape.open(3, "opus", "peer2")
    tape.play(1, opus_frames(50 * seconds, 440.0), "opus", frame_s=0.02)
    tape.play(2, vp8_frames(30 * seconds), "VP8", frame_s=1 / 30)
    tape.play(3, opus_frames(50 * seconds, 880.0), "opus", frame_s=0.02)
    if end:
        tape.end(START_NS + (seconds + 1) * SECOND_NS)
    return tape.in_order_of_arrival()
