"""Commands become recordings and archives, also with full disks and hostile names."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from recorder import archive as archive_module
from recorder import durable, service, source
from recorder.control import (
    ArchiveConsultation,
    Done,
    Failed,
    PutDossier,
    RecordingState,
    StartRecording,
    StopRecording,
)
from recorder.errors import MuxError, MuxTimeoutError
from recorder.muxer import MuxedRecording
from recorder.workspace import RecordingFile, Workspace
from tests.recorder.desk import ARCHIVED, RECORDING, STOPPED, desk
from tests.recorder.tap_server import tap_server
from tests.recorder.visits import call, visit
from tests.support.eventually import eventually
from tests.support.playback import play


async def test_start_stop_archive__files_manifest_and_bundle(tmp_path: Path) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        tap = server.tap("rec-1")
        tap.offer(call(end=False))
        assert await one.start(server) == Done(id=1)
        await one.until(RECORDING)
        assert await one.recorder.handle(StopRecording(id=2, recording="rec-1")) == Done(id=2)
        tap.offer(call()[len(tap.records) :])
        await one.until(STOPPED)
        assert await one.recorder.handle(ArchiveConsultation(id=3, dossier=visit())) == Done(id=3)
        await one.until(ARCHIVED)
        assert one.value("archive_lag_seconds_count") == 1
        assert one.workspace.consultations() == []

    directory = tmp_path / "archive" / "c-1"
    manifest = one.manifest()
    (recording,) = manifest.recordings
    assert recording.complete
    assert [(t.participant, t.role, t.kind, t.codec) for t in recording.tracks] == [
        ("p1", "treating_clinician", "audio", "opus"),
        ("p1", "treating_clinician", "video", "VP8"),
        ("p2", "patient", "audio", "opus"),
    ]
    for file in manifest.files:
        content = (directory / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    sounds = [play(directory / t.path) for t in recording.tracks if t.kind == "audio"]
    assert sounds[0].tone(440) > 0.8
    assert sounds[1].tone(880) > 0.8
    assert json.loads((directory / "chat.json").read_text())[0]["text"] == "Chào bác sĩ ạ"
    quality = json.loads((directory / "quality.json").read_text())
    assert "G.107" in quality["score"]
    (row,) = quality["participants"]
    assert (row["participant"], row["score"]["mean"]) == ("p2", 4.1)
    assert row["breaks"][0]["reason"] == "uplink_blocked"
    assert "quality.json" in {file.path for file in manifest.files}
    bundle = json.loads((directory / "bundle.json").read_text())
    named = {
        content["attachment"].get("url", "").partition("/c-1/")[2]
        for entry in bundle["entry"]
        for content in entry["resource"].get("content", ())
        if entry["resource"]["resourceType"] == "DocumentReference"
    }
    listed = {file.path for file in manifest.files} | {"manifest.json"}
    assert listed <= named
    there = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    assert there == listed | {"bundle.json"}


async def test_archive_again__same_result_and_no_duplicate(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        command = ArchiveConsultation(id=1, dossier=visit(recordings=()))
        await one.recorder.handle(command)
        await one.until(ARCHIVED)
        before = (tmp_path / "archive/c-1/manifest.json").stat().st_mtime_ns
        one.events.clear()
        assert await one.recorder.handle(command) == Done(id=1)
        assert one.events == [ARCHIVED]
        assert (tmp_path / "archive/c-1/manifest.json").stat().st_mtime_ns == before
        assert one.manifest().recordings == ()


async def test_archive_with_a_later_dossier__documents_anew_around_the_same_tracks(
    tmp_path: Path,
) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        server.tap("rec-1").offer(call())
        await one.start(server)
        await one.recorder.handle(ArchiveConsultation(id=2, dossier=visit(ended=False)))
        await one.until(ARCHIVED)
        first = one.manifest()
        one.events.clear()
        await one.recorder.handle(ArchiveConsultation(id=3, dossier=visit()))
        await one.until(ARCHIVED)
        second = one.manifest()
    assert first.ended_at is None
    assert second.ended_at is not None
    assert first.recordings[0].tracks == second.recordings[0].tracks


async def test_start_again_while_it_runs__state_is_told_again(tmp_path: Path) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        server.tap("rec-1").offer(call(end=False))
        await one.start(server)
        await one.until(RECORDING)
        one.events.clear()
        assert await one.start(server) == Done(id=1)
        assert one.events == [RECORDING]
        assert server.tap("rec-1").connections == 1


async def test_disk_at_its_reserve__start_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    async with tap_server() as server, desk(tmp_path, min_free_bytes=1 << 60) as one:
        answer = await one.start(server)
        assert isinstance(answer, Failed)
        assert answer.code == "disk_full"
        assert one.workspace.consultations() == []


async def test_disk_fills_up_in_the_middle__recording_fails_and_is_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        tap = server.tap("rec-1")
        whole = call()
        tap.offer(whole[:200])
        await one.start(server)
        await eventually(lambda: None if tap.acknowledged == 200 else "not acknowledged")
        monkeypatch.setattr("recorder.journal.free_bytes", lambda _: -1)
        tap.offer(whole[200:])
        await one.until(RecordingState(recording="rec-1", state="failed", detail="disk_full"))
        assert one.value("recording_failures_total", reason="disk_full") == 1
        monkeypatch.undo()
        await one.recorder.handle(ArchiveConsultation(id=2, dossier=visit()))
        await one.until(ARCHIVED)
        (recording,) = one.manifest().recordings
        assert (recording.state, recording.detail) == ("failed", "disk_full")
        assert recording.tracks[0].frames > 20


async def test_muxer_fails_for_good__archive_says_so_and_the_journal_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(journal: Path, directory: Path, barred: object) -> MuxedRecording:
        raise MuxError("it crashed")

    async with tap_server() as server, desk(tmp_path) as one:
        monkeypatch.setattr(archive_module, "mux_in_process", fail)
        server.tap("rec-1").offer(call())
        await one.start(server)
        await one.recorder.handle(ArchiveConsultation(id=2, dossier=visit()))
        await one.until(ARCHIVED)
        assert one.value("archive_problems_total", what="recording") == 1
        assert one.recorder.kept_consultations() == 1
    assert (tmp_path / "work/kept/c-1/rec-1.journal").stat().st_size > 10_000


async def test_disk_trouble_while_archiving__is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.service._FIRST_RETRY_S", 0.05)
    real = durable.write_file
    troubles = [OSError(28, "No space left on device")] * 3

    def write_file(path: Path, data: bytes) -> None:
        if troubles:
            raise troubles.pop()
        real(path, data)

    monkeypatch.setattr(archive_module, "write_file", write_file)
    async with desk(tmp_path) as one:
        await one.recorder.handle(ArchiveConsultation(id=1, dossier=visit(recordings=())))
        await one.until(ARCHIVED)
        assert one.value("archive_failures_total") == 3


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "x" * 101, "dossier", "a\0b"])
async def test_hostile_ids__are_refused(tmp_path: Path, name: str) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        for answer in (
            await one.start(server, name),
            await one.recorder.handle(PutDossier(id=1, dossier=visit(name))),
            await one.recorder.handle(ArchiveConsultation(id=1, dossier=visit(name))),
        ):
            assert isinstance(answer, Failed)
            assert answer.code == "bad_message"
        assert one.workspace.consultations() == []


async def test_tap_elsewhere_than_on_a_websocket__is_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        answer = await one.recorder.handle(
            StartRecording(id=1, recording="r", tap_url="file:///etc/passwd", dossier=visit())
        )
        assert isinstance(answer, Failed)
        assert answer.code == "bad_message"


async def test_unknown_recording_stopped__is_fine(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        assert await one.recorder.handle(StopRecording(id=4, recording="none")) == Done(id=4)


async def test_two_recordings__one_archive(tmp_path: Path) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        for name in ("rec-1", "rec-2"):
            server.tap(name).offer(call())
            await one.start(server, name)
        dossier = visit(recordings=("rec-1", "rec-2"))
        await one.recorder.handle(ArchiveConsultation(id=2, dossier=dossier))
        await one.until(ARCHIVED)
        assert one.value("recordings", state="stopped") == 0
    assert [row.id for row in one.manifest().recordings] == ["rec-1", "rec-2"]
    assert all(len(row.tracks) == 3 for row in one.manifest().recordings)


async def test_tap_without_its_beginning__recording_fails_at_once(tmp_path: Path) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        server.tap("rec-1").offer(call()[5:])
        await one.start(server)
        await one.until(RecordingState(recording="rec-1", state="failed", detail="tap"))
        assert one.value("recording_failures_total", reason="tap") == 1
        assert server.tap("rec-1").acknowledged == 0


async def test_tap_that_the_sfu_does_not_know__recording_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_ABSENT_S", 0.5)
    async with tap_server() as server, desk(tmp_path) as one:
        await one.start(server)
        await one.until(RecordingState(recording="rec-1", state="failed", detail="tap"))


@pytest.mark.parametrize("name", ["rec-1.json", "rec-0.journal", "rec-1.journal.tail-1"])
async def test_files_that_no_recording_accounts_for__are_kept(tmp_path: Path, name: str) -> None:
    workspace = Workspace(tmp_path / "work")
    workspace.put_dossier(visit())
    workspace.accept_archive("c-1")
    (tmp_path / "work/consultations/c-1" / name).write_bytes(b"what is this")
    workspace.close()
    async with desk(tmp_path) as one:
        await one.until(ARCHIVED)
        assert one.value("archive_problems_total", what="file") == 1
    assert (tmp_path / "work/kept/c-1" / name).read_bytes() == b"what is this"


async def test_muxer_that_hangs__is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    async def hang(path: Path, directory: Path, barred: object) -> MuxedRecording:
        runs.append(path)
        raise MuxTimeoutError("it took too long")

    async with tap_server() as server, desk(tmp_path) as one:
        monkeypatch.setattr(archive_module, "mux_in_process", hang)
        server.tap("rec-1").offer(call())
        await one.start(server)
        await one.recorder.handle(ArchiveConsultation(id=2, dossier=visit()))
        await one.until(ARCHIVED)
        assert len(runs) == one.recorder.kept_consultations() == 1


async def test_archives_disk_at_its_reserve__start_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(path: Path) -> int:
        return 7 if path.name == "archive" else 1 << 40

    monkeypatch.setattr(service, "free_bytes", free)
    async with tap_server() as server, desk(tmp_path, min_free_bytes=8) as one:
        answer = await one.start(server)
        assert isinstance(answer, Failed)
        assert answer.code == "disk_full"
        assert one.value("disk_free_bytes", directory="archive") == 7
        assert one.value("disk_free_bytes", directory="work") == 1 << 40


async def test_archive_that_waits__its_age_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_UNREACHABLE_S", 3600)
    workspace = Workspace(tmp_path / "work")
    workspace.put_dossier(visit())
    row = RecordingFile(recording="rec-1", consultation="c-1", tap_url="ws://127.0.0.1:1/tap/x")
    workspace.put_recording(row)
    workspace.accept_archive("c-1")
    marker = tmp_path / "work/consultations/c-1/archive"
    os.utime(marker, (time.time() - 500, time.time() - 500))
    workspace.close()
    async with desk(tmp_path) as one:
        assert one.value("archive_oldest_age_seconds") == pytest.approx(500, abs=60)
        await one.recorder.handle(ArchiveConsultation(id=1, dossier=visit()))
        assert one.value("archive_oldest_age_seconds") == pytest.approx(500, abs=60)
