"""A consultation with everything in it, for the tests of the health record."""

from __future__ import annotations

import base64
import hashlib

from recorder.record.dossier import (
    ChatLine,
    ConsentRow,
    Dossier,
    Facility,
    Participant,
    Patient,
    Presence,
    RecordingSpan,
    TimelineEntry,
)
from recorder.record.fhir import ArchivedFile

T = 1_780_000_000.0
STATION = Facility(code="60123", name="Trạm Y tế xã Đắk Hà")
HOSPITAL = Facility(code="79001", name="Bệnh viện Chợ Rẫy")
TEXT_SHA256 = hashlib.sha256("Tôi đồng ý".encode()).hexdigest()


def _person(
    number: int, role: str, name: str, facility: Facility | None = None, licence: str = ""
) -> Participant:
    return Participant(
        id=f"p{number}",
        peer=f"peer{number}",
        role=role,  # type: ignore[arg-type]  # the callers below name roles
        name=name,
        facility=facility,
        licence=licence,
        presences=(Presence(start=T + number, end=T + 600),),
    )


def consent(participant: str, decision: str, at: float) -> ConsentRow:
    """One row of the ledger."""
    return ConsentRow(
        participant=participant,
        purpose="recording",
        decision=decision,  # type: ignore[arg-type]  # the callers name decisions
        at=at,
        text_version="ghi-hinh-2026-11",
        text_sha256=TEXT_SHA256,
        language="vi",
    )


DOSSIER = Dossier(
    consultation="c-7Q2",
    mode="INTER_FACILITY_SUPPORT",
    title="Đau ngực, xin ý kiến tim mạch",
    facility=STATION,
    patient=Patient(identifier="BN-0001", name="Nguyễn Văn Ấn"),
    created_at=T - 900,
    started_at=T,
    ended_at=T + 600,
    participants=(
        _person(1, "treating_clinician", "BS. Trần Thị Bình", STATION, "001234/KT-GPHN"),
        _person(2, "patient", "Nguyễn Văn Ấn"),
        _person(3, "guardian", "Lê Thị Cúc"),
        _person(4, "consulting_clinician", "PGS. Lâm", HOSPITAL, "000001/HCM-GPHN"),
        _person(5, "interpreter", "A Thông"),
        _person(6, "nurse", "Đào Thị Hạnh", STATION),
        _person(7, "observer", "BS. Vũ", HOSPITAL, "000002/HCM-GPHN"),
    ),
    consents=(
        consent("p2", "given", T - 30),
        consent("p1", "given", T - 20),
        consent("p4", "refused", T - 10),
        consent("p2", "withdrawn", T + 300),
    ),
    chat=(
        ChatLine(id="m1", participant="p2", at=T + 10, text="Chào bác sĩ\u00a0ạ \U0001f64f\x07"),
        ChatLine(id="m2", participant="p1", at=T + 20, text="Chào anh <b>Ấn</b>"),
    ),
    recordings=(
        RecordingSpan(
            id="rec1",
            started_at=T + 5,
            started_by="p1",
            stopped_at=T + 300,
            stop_reason="consent_withdrawn",
        ),
    ),
    timeline=(
        TimelineEntry(at=T - 60, what="joined", participant="p2"),
        TimelineEntry(at=T + 1, what="admitted", participant="p2"),
        TimelineEntry(at=T + 600, what="ended"),
    ),
)


def archived(path: str, content: bytes, **more: object) -> ArchivedFile:
    """A file with these bytes; `more` overrides any field."""
    fields: dict[str, object] = {
        "path": path,
        "content_type": "application/json",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "sha1_base64": base64.b64encode(
            hashlib.sha1(content, usedforsecurity=False).digest()
        ).decode(),
        "title": "Bản kê",
        "created_at": T + 630,
        "kind": "document",
    }
    return ArchivedFile(**(fields | more))  # type: ignore[arg-type]  # checked where it is made


VIDEO_CONTENT = b"video"
FILES = (
    archived(
        "tracks/rec1-peer2-video.webm",
        VIDEO_CONTENT,
        content_type="video/webm",
        title="Hình: Nguyễn Văn Ấn",
        kind="video",
        recording="rec1",
        participant="peer2",
        codec="VP8",
        created_at=T + 5.25,
        duration_s=294.5,
        start_offset_s=0.25,
    ),
    archived(
        "tracks/rec1-peer1-video.mkv",
        b"another video",
        content_type="video/x-matroska",
        title="Hình: BS. Trần Thị Bình",
        kind="video",
        recording="rec1",
        participant="p1",
        codec="H264",
        created_at=T + 5.0,
        duration_s=295.0,
        start_offset_s=0.0,
    ),
    archived("manifest.json", b"{}"),
)
