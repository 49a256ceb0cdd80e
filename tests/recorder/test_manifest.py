"""The manifest says the same of the same, and reads back."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from recorder.manifest import (
    FORMAT,
    build,
    decode,
    document_file,
    documents,
    dossier_sha256,
    encode,
    enriched,
    fingerprint,
    recording_row,
    track_files,
    track_row,
)
from recorder.muxer import MuxedRecording, MuxedTrack
from tests.recorder.visits import T, visit

TRACK = MuxedTrack(
    number=1,
    peer="peer2",
    source="peer2-camera",
    kind="audio",
    screen=False,
    codec="opus",
    file="rec-1-1-audio.webm",
    content_type="audio/webm",
    start_offset_s=0.25,
    duration_s=10.0,
    packets=500,
    lost=2,
    frames=498,
    dropped=0,
)
SILENT = MuxedTrack(
    number=2,
    peer="unknown",
    source="x",
    kind="video",
    screen=True,
    codec="VP8",
    file="",
    content_type="video/webm",
    start_offset_s=0,
    duration_s=0,
    packets=3,
    lost=0,
    frames=0,
    dropped=3,
)


def test_fingerprint__size_and_hashes(tmp_path: Path) -> None:
    content = b"x" * 3_000_000
    (tmp_path / "file").write_bytes(content)
    found = fingerprint(tmp_path / "file")
    assert found.size_bytes == len(content)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    assert found.sha1_base64 == base64.b64encode(digest).decode()


def test_build__who_is_in_which_track_and_every_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"sound")
    rows = (track_row(TRACK, fingerprint(tmp_path / "file")), track_row(SILENT, None))
    muxed = MuxedRecording(recording="rec-1", origin=T, ended=True, tracks=(TRACK, SILENT))
    dossier = visit()
    row = enriched(recording_row(muxed, "stopped", "", rows), dossier)
    assert [(t.participant, t.role, t.path) for t in row.tracks] == [
        ("p2", "patient", "tracks/rec-1-1-audio.webm"),
        ("", "", ""),
    ]
    assert row.started_by == "p1"
    files = track_files(dossier, [row])
    assert [(f.path, f.recording, f.participant, f.created_at) for f in files] == [
        ("tracks/rec-1-1-audio.webm", "rec-1", "p2", T + 0.25)
    ]
    files += [document_file(dossier, name, data) for name, data in documents(dossier).items()]
    manifest = build(dossier, [row], files)
    data = encode(manifest)
    assert data == encode(build(dossier, [row], list(reversed(files))))
    assert decode(data) == manifest
    read = json.loads(data)
    assert list(read) == sorted(read)
    assert read["format"] == FORMAT
    assert {f["path"]: f["sha256"] for f in read["files"]} == {f.path: f.sha256 for f in files}


def test_dossier_hash__tells_dossiers_apart() -> None:
    assert dossier_sha256(visit()) == dossier_sha256(visit())
    assert dossier_sha256(visit()) != dossier_sha256(visit(ended=False))
