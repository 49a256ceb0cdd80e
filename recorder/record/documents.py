"""The archive's files as DocumentReference and Provenance of FHIR R4. PURE."""

from __future__ import annotations

import math
from typing import Literal
from urllib.parse import quote

import msgspec

from recorder.record.dossier import Dossier
from recorder.record.elements import (
    Entries,
    Json,
    coding,
    concept,
    content_identifier,
    identifier,
    instant,
    period,
    text,
)
from recorder.record.people import People
from recorder.record.systems import Systems

Kind = Literal["audio", "video", "document"]

#: R4 `unsignedInt` ends here; a longer file's size goes into an extension.
_UNSIGNED_INT_MAX = 2**31 - 1
#: RFC 6381 names where they differ from the codec's own.
_CODEC_PARAMETER = {"h264": "avc1", "avc": "avc1"}
_KIND_DISPLAY: dict[Kind, str] = {
    "audio": "Ghi âm buổi khám từ xa",
    "video": "Ghi hình buổi khám từ xa",
    "document": "Tài liệu buổi khám từ xa",
}


def complete_at_s(dossier: Dossier) -> float:
    """The newest moment (Unix seconds) that the dossier speaks of."""
    return max(
        [
            dossier.created_at,
            dossier.started_at or 0.0,
            dossier.ended_at or 0.0,
            *(entry.at for entry in dossier.timeline),
            *(row.at for row in dossier.consents),
        ]
    )


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is whole and fsynced in the consultation's archive directory.

    `path` is relative to that directory. `sha256` is hex, `sha1_base64` what R4's Attachment.hash
    holds. `participant` is an id or peer of the dossier. `created_at` (Unix seconds) is of a track
    when its first sample was taken, of a document when it was written. `start_offset_s` places a
    track on the clock that all tracks of `recording` share. `codec` is empty for documents.
    """

    path: str
    content_type: str
    size_bytes: int
    sha256: str
    sha1_base64: str
    title: str
    created_at: float
    kind: Kind
    recording: str | None = None
    participant: str | None = None
    codec: str = ""
    duration_s: float | None = None
    start_offset_s: float | None = None


class Documents:
    """Adds one DocumentReference and one Provenance for each file to `entries`.

    `related` are the consents that recordings rest on, `device` is the recorder.
    """

    def __init__(
        self, dossier: Dossier, systems: Systems, entries: Entries, people: People, device: Json
    ) -> None:
        self._dossier = dossier
        self._systems = systems
        self._entries = entries
        self._people = people
        self._device = device
        self._spans = {span.id: span for span in dossier.recordings}

    def add(self, file: ArchivedFile, encounter: Json, consents: list[Json]) -> Json:
        """Add the file's resources; returns a Reference to its DocumentReference."""
        name = identifier(self._systems.document, f"{self._dossier.consultation}/{file.path}")
        shown = self._people.actor(file.participant or "")
        document = self._entries.put(
            "DocumentReference",
            self._dossier.consultation,
            file.path,
            resource={
                "masterIdentifier": name,
                "identifier": [name, content_identifier(file.sha256)],
                "status": "current",
                "type": concept(
                    coding(self._systems.document_kind, file.kind), says=_KIND_DISPLAY[file.kind]
                ),
                "subject": self._people.patient,
                "date": self._recorded(file),
                "author": [self._device],
                "custodian": self._people.facility,
                "description": text(file.title),
                "securityLabel": [concept(coding(self._systems.confidentiality, "R"))],
                "content": [{"attachment": self._attachment(file)}],
                "context": {
                    "encounter": [encounter],
                    "period": _period_of(file),
                    "related": [*_if_literal(shown), *(consents if file.recording else [])],
                },
            },
        )
        self._add_provenance(file, document)
        return document

    def _attachment(self, file: ArchivedFile) -> Json:
        fits = 0 <= file.size_bytes <= _UNSIGNED_INT_MAX
        extensions: list[Json] = []
        if file.duration_s is not None and math.isfinite(file.duration_s):
            duration: Json = {"url": self._systems.attachment_duration}
            extensions.append({**duration, "valueDecimal": round(max(0.0, file.duration_s), 3)})
        if not fits:
            extensions.append(
                {"url": self._systems.attachment_size, "valueDecimal": file.size_bytes}
            )
        place = f"{self._dossier.consultation}/{file.path}"
        return {
            "extension": extensions,
            "contentType": _content_type(file),
            "language": "vi",
            "url": f"{self._systems.archive.rstrip('/')}/{quote(place)}",
            "size": file.size_bytes if fits else None,
            "hash": file.sha1_base64,
            "title": text(file.title),
            "creation": instant(file.created_at),
        }

    def _recorded(self, file: ArchivedFile) -> str:
        """A file enters the record when the consultation is complete, not when it began."""
        return instant(max(file.created_at, complete_at_s(self._dossier)))

    def _add_provenance(self, file: ArchivedFile, document: Json) -> None:
        """Who made these bytes from what: the target names them by SHA-256."""
        span = self._spans.get(file.recording or "")
        agents: list[Json] = [
            {"type": self._agent("assembler"), "who": self._device},
            {"type": self._agent("custodian"), "who": self._people.facility},
        ]
        sources: list[Json] = []
        if span is not None:
            starter = self._people.actor(span.started_by)
            if starter is not None:
                agents.append({"type": self._agent("enterer"), "who": starter})
            source = identifier(self._systems.recording, span.id)
            sources.append({"role": "source", "what": {"identifier": source}})
        self._entries.put(
            "Provenance",
            self._dossier.consultation,
            file.path,
            resource={
                "target": [{**document, "identifier": content_identifier(file.sha256)}],
                "occurredPeriod": _period_of(file),
                "recorded": self._recorded(file),
                "activity": concept(coding(self._systems.data_operation, "CREATE")),
                "agent": agents,
                "entity": sources,
            },
        )

    def _agent(self, value: str) -> Json:
        return concept(coding(self._systems.provenance_agent, value))


def _period_of(file: ArchivedFile) -> Json | None:
    """When what a track holds happened."""
    if file.recording is None:
        return None
    end = None if file.duration_s is None else file.created_at + file.duration_s
    return period(file.created_at, end)


def _content_type(file: ArchivedFile) -> str:
    """The media type with its codec (RFC 6381 §3), which tells a player what it needs."""
    media_type = file.content_type.strip()
    if not file.codec or file.kind == "document" or "codecs=" in media_type:
        return media_type
    named = file.codec.lower()
    return f'{media_type};codecs="{_CODEC_PARAMETER.get(named, named)}"'


def _if_literal(reference: Json | None) -> list[Json]:
    """A person without a resource of their own cannot be pointed at."""
    return [reference] if reference is not None and "reference" in reference else []
