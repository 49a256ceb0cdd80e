"""Commands become recordings and archives, also over restarts and full disks."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder import archive as archive_module
from recorder import durable, source
from recorder.archive import Archive
from recorder.config import Config
from recorder.control import (
    ArchiveConsultation,
    Archived,
    Done,
    Events,
    Failed,
    PutDossier,
    RecordingState,
    StartRecording,
    StopRecording,
)
from recorder.errors import MuxError
from recorder.manifest import Manifest
from recorder.metrics import Metrics
from recorder.muxer import MuxedRecording
from recorder.record.outbox import Outbox
from recorder.record.systems import Systems
from recorder.service import Recorder
from recorder.workspace import Workspace
from tests.recorder.tap_server import SECRET, TapServer, tap_server
from tests.recorder.visits import call, visit
from tests.support.eventually import eventually
from tests.support.playback import play


class Desk:
    """A recorder on the directories of one test, and the events that it told."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        values: dict[str, object] = {
            "control_secret": "c" * 32,
            "sfu_secret": SECRET,
            "work_dir": root / "work",
            "archive_dir": root / "archive",
            "min_free_bytes": 0,
        }
        self.config = Config(**(values | settings))  # type: ignore[arg-type]  # named above
        self.metrics = Metrics()
        self.workspace = Workspace(self.config.work_dir)
        outbox = Outbox(self.workspace.outbox, (), self.metrics.outbox)
        self.archive = Archive(
            self.config.archive_dir, self.workspace, outbox, Systems(), self.metrics
        )
        self.events: list[Events] = []
        self.recorder = Recorder(
            self.config, self.workspace, self.archive, self.metrics, self.events.append
        )
        self.metrics.observe(self.recorder)

    async def start(self, server: TapServer, name: str = "rec-1", **more: object) -> object:
        dossier = visit(ended=False, **more)  # type: ignore[arg-type]  # names of `visit`
        return await self.recorder.handle(
            StartRecording(id=1, recording=name, tap_url=server.url(name), dossier=dossier)
        )

    def told(self, event: Events) -> str | None:
        return None if event in self.events else f"told {self.events}"

    async def until(self, event: Events) -> None:
        await eventually(lambda: self.told(event), within_s=20)

    def manifest(self) -> Manifest:
        manifest = self.archive.manifest("c-1")
        assert manifest is not None
        return manifest

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"vtelehealth_recorder_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def desk(root: Path, **settings: object) -> AsyncIterator[Desk]:
    one = Desk(root, **settings)
    await one.recorder.start()
    try:
        yield one
    finally:
        await one.recorder.close()
        one.workspace.close()


RECORDING = RecordingState(recording="rec-1", state="recording")
STOPPED = RecordingState(recording="rec-1", state="stopped")
ARCHIVED = Archived(consultation="c-1", directory="c-1")


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


async def test_restart_and_claimed__goes_on_from_the_last_record(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        whole = call()
        tap.offer(whole[:200])
        async with desk(tmp_path) as one:
            await one.start(server)
            await eventually(lambda: None if tap.acknowledged == 200 else "not acknowledged")
        tap.offer(whole[200:])
        async with desk(tmp_path) as one:
            await one.start(server)
            await one.until(STOPPED)
            await one.recorder.handle(ArchiveConsultation(id=2, dossier=visit()))
            await one.until(ARCHIVED)
        assert tap.asked_after == [0, 200]
        tracks = one.manifest().recordings[0].tracks
        assert (tracks[0].packets, tracks[0].lost) == (100, 0)
        assert tracks[1].frames == 60


async def test_restart_and_nobody_claims__archived_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_SILENCE_S", 0.3)
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(call(end=False))
        async with desk(tmp_path) as one:
            await one.start(server)
            await eventually(
                lambda: None if tap.acknowledged == len(tap.records) else "not acknowledged"
            )
    async with desk(tmp_path, orphan_s=0.1) as one:
        await one.until(ARCHIVED)
        (recording,) = one.manifest().recordings
    assert not recording.complete
    assert recording.tracks[1].frames == 60


async def test_restart_and_a_dossier_comes__is_not_an_orphan(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.recorder.handle(PutDossier(id=1, dossier=visit(recordings=(), ended=False)))
    async with desk(tmp_path, orphan_s=0.2) as one:
        await one.recorder.handle(PutDossier(id=1, dossier=visit(recordings=(), ended=False)))
        assert one.recorder._orphans is not None
        await one.recorder._orphans
        assert one.recorder.archives_pending() == 0
        assert one.workspace.consultations() == ["c-1"]


async def test_crash_after_archive_was_accepted__is_done_by_the_next_process(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path / "work")
    workspace.put_dossier(visit(recordings=()))
    workspace.accept_archive("c-1")
    workspace.close()
    async with desk(tmp_path) as one:
        await one.until(ARCHIVED)


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
    async def fail(journal: Path, directory: Path) -> MuxedRecording:
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
