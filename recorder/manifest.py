"""The manifest of an archived consultation and the documents beside it.

``manifest.json`` says what is in the directory, who is in which track, and the SHA-256 of every
file; ``chat.json``, ``consents.json``, ``timeline.json`` and ``quality.json`` are the dossier's
rows. The same dossier and journals give the same bytes: keys are sorted, and no time is read from
a clock.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec

from recorder.muxer import MuxedRecording, MuxedTrack
from recorder.record.documents import ArchivedFile
from recorder.record.dossier import ConsentRow, Dossier, TimelineEntry

FORMAT = "vtelehealth-archive/1"
MANIFEST = "manifest.json"
TRACKS = "tracks"
_CHUNK_BYTES = 1 << 20


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Size and hashes of a file; R4's Attachment.hash is a SHA-1 in base64."""

    size_bytes: int
    sha256: str
    sha1_base64: str


class TrackRow(msgspec.Struct, frozen=True, kw_only=True):
    """One track: whose it is, its file (empty: none) and what it holds; see `MuxedTrack`.

    `participant` and `role` are empty when the dossier does not know the peer.
    """

    number: int
    participant: str
    role: str
    peer: str
    source: str
    kind: Literal["audio", "video"]
    screen: bool
    codec: str
    content_type: str
    path: str
    start_offset_s: float
    duration_s: float
    packets: int
    lost: int
    frames: int
    dropped: int
    problem: str
    bytes: int
    sha256: str
    sha1_base64: str


class RecordingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One recording; `origin` (Unix seconds) is the zero of its tracks' offsets.

    `complete` tells that the tap's END arrived; `state` and `detail` how the recorder ended it.
    """

    id: str
    state: str
    detail: str
    complete: bool
    origin: float | None
    started_at: float | None = None
    started_by: str = ""
    stopped_at: float | None = None
    stop_reason: str = ""
    problem: str = ""
    tracks: tuple[TrackRow, ...] = ()


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the archive, by its path in the consultation's directory."""

    path: str
    content_type: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``manifest.json``; times are Unix seconds."""

    format: str
    software: str
    consultation: str
    mode: str
    dossier_sha256: str
    dossier_version: int = 0
    created_at: float
    started_at: float | None
    ended_at: float | None
    recordings: tuple[RecordingRow, ...]
    consents: tuple[ConsentRow, ...]
    timeline: tuple[TimelineEntry, ...]
    chat: str
    files: tuple[FileRow, ...]


def fingerprint(path: Path) -> Fingerprint:
    """Read a file once and hash it. Raises OSError."""
    sha256 = hashlib.sha256()
    sha1 = hashlib.sha1(usedforsecurity=False)
    size_bytes = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
            sha256.update(chunk)
            sha1.update(chunk)
    return Fingerprint(
        size_bytes=size_bytes,
        sha256=sha256.hexdigest(),
        sha1_base64=base64.b64encode(sha1.digest()).decode(),
    )


def dossier_sha256(dossier: Dossier) -> str:
    """Tells one dossier from another."""
    return hashlib.sha256(msgspec.json.encode(dossier, order="sorted")).hexdigest()


def encode(value: object) -> bytes:
    """JSON as the archive holds it: sorted keys, indented, a line end."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def decode(data: bytes) -> Manifest:
    """Read a manifest. Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(data, type=Manifest)


def documents(dossier: Dossier) -> dict[str, bytes]:
    """The documents beside the manifest, by file name."""
    return {
        "chat.json": encode(dossier.chat),
        "consents.json": encode(dossier.consents),
        "timeline.json": encode(dossier.timeline),
        "quality.json": encode({"score": _SCORE_MEANS, "participants": dossier.quality}),
    }


def track_row(track: MuxedTrack, print_: Fingerprint | None) -> TrackRow:
    """A track as it was written; `enriched` adds who it is."""
    return TrackRow(
        number=track.number,
        participant="",
        role="",
        peer=track.peer,
        source=track.source,
        kind=track.kind,
        screen=track.screen,
        codec=track.codec,
        content_type=track.content_type,
        path=f"{TRACKS}/{track.file}" if print_ else "",
        start_offset_s=track.start_offset_s,
        duration_s=track.duration_s,
        packets=track.packets,
        lost=track.lost,
        frames=track.frames,
        dropped=track.dropped,
        problem=track.problem,
        bytes=print_.size_bytes if print_ else 0,
        sha256=print_.sha256 if print_ else "",
        sha1_base64=print_.sha1_base64 if print_ else "",
    )


def recording_row(
    muxed: MuxedRecording, state: str, detail: str, tracks: Iterable[TrackRow]
) -> RecordingRow:
    """A recording as it was written; `enriched` adds what the dossier knows."""
    return RecordingRow(
        id=muxed.recording,
        state=state,
        detail=detail,
        complete=muxed.ended,
        origin=muxed.origin,
        tracks=tuple(tracks),
    )


def enriched(row: RecordingRow, dossier: Dossier) -> RecordingRow:
    """The recording with its participants, roles and span as `dossier` has them."""
    people = {person.peer: person for person in dossier.participants}
    tracks = tuple(
        msgspec.structs.replace(
            track, participant=people[track.peer].id, role=people[track.peer].role
        )
        if track.peer in people
        else track
        for track in row.tracks
    )
    row = msgspec.structs.replace(row, tracks=tracks)
    for span in dossier.recordings:
        if span.id == row.id:
            return msgspec.structs.replace(
                row,
                started_at=span.started_at,
                started_by=span.started_by,
                stopped_at=span.stopped_at,
                stop_reason=span.stop_reason,
            )
    return row


def track_files(dossier: Dossier, rows: Sequence[RecordingRow]) -> list[ArchivedFile]:
    """The tracks' files, as the health record and the manifest list them."""
    files = []
    for row in rows:
        for track in row.tracks:
            if not track.path:
                continue
            begun = row.origin if row.origin is not None else dossier.created_at
            files.append(
                ArchivedFile(
                    path=track.path,
                    content_type=track.content_type,
                    size_bytes=track.bytes,
                    sha256=track.sha256,
                    sha1_base64=track.sha1_base64,
                    title=_track_title(track),
                    created_at=begun + track.start_offset_s,
                    kind=track.kind,
                    recording=row.id,
                    participant=track.participant or track.peer,
                    codec=track.codec,
                    duration_s=track.duration_s,
                    start_offset_s=track.start_offset_s,
                )
            )
    return files


def document_file(dossier: Dossier, path: str, data: bytes) -> ArchivedFile:
    """A JSON document of the archive."""
    return ArchivedFile(
        path=path,
        content_type="application/json",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        sha1_base64=base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode(),
        title=_DOCUMENT_TITLES[path],
        created_at=dossier.ended_at if dossier.ended_at is not None else dossier.created_at,
        kind="document",
    )


def build(
    dossier: Dossier, rows: Sequence[RecordingRow], files: Sequence[ArchivedFile]
) -> Manifest:
    """The manifest of these recordings and files; `rows` are enriched already."""
    return Manifest(
        format=FORMAT,
        software=_software(),
        consultation=dossier.consultation,
        mode=dossier.mode,
        dossier_sha256=dossier_sha256(dossier),
        dossier_version=dossier.version,
        created_at=dossier.created_at,
        started_at=dossier.started_at,
        ended_at=dossier.ended_at,
        recordings=tuple(rows),
        consents=dossier.consents,
        timeline=dossier.timeline,
        chat="chat.json",
        files=tuple(
            FileRow(
                path=file.path,
                content_type=file.content_type,
                bytes=file.size_bytes,
                sha256=file.sha256,
            )
            for file in sorted(files, key=lambda file: file.path)
        ),
    )


_SCORE_MEANS = (
    "1 (bad) to 5 (excellent); estimated each second from loss, delay and jitter after the E-model"
    " of ITU-T G.107; 1 in a break"
)
_DOCUMENT_TITLES = {
    "chat.json": "Nội dung trò chuyện / Chat",
    "consents.json": "Các đồng ý và từ chối / Consents",
    "timeline.json": "Diễn biến buổi khám / Timeline",
    "quality.json": "Chất lượng kết nối buổi khám / Call quality",
    MANIFEST: "Bản kê lưu trữ / Archive manifest",
}


def _track_title(track: TrackRow) -> str:
    if track.kind == "audio":
        return "Ghi âm / Audio"
    return "Ghi màn hình / Screen" if track.screen else "Ghi hình / Video"


def _software() -> str:
    try:
        return f"vtelehealth {version('vtelehealth')}"
    except PackageNotFoundError:
        return "vtelehealth"
