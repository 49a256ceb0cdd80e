"""What comes late: a new process, a stop that was missed, dossiers out of order."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest

from recorder import journal, service, source
from recorder.control import (
    ArchiveConsultation,
    Archived,
    Done,
    Failed,
    PutDossier,
    StartRecording,
    StopRecording,
)
from recorder.record.dossier import Dossier
from recorder.workspace import RecordingFile, Workspace
from sfu.control.tap import Record, RecordKind
from tests.recorder.desk import ARCHIVED, STOPPED, desk
from tests.recorder.tap_server import tap_server
from tests.recorder.visits import call, visit
from tests.support.eventually import eventually


def of_version(number: int, *, ended: bool = True) -> Dossier:
    """A dossier whose chat tells its version."""
    dossier = visit(recordings=(), ended=ended)
    line = msgspec.structs.replace(dossier.chat[0], text=f"{number}")
    return msgspec.structs.replace(dossier, version=number, chat=(line,))


def archived_chat(root: Path) -> str:
    rows = json.loads((root / "archive/c-1/chat.json").read_text())
    return str(rows[0]["text"])


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
    monkeypatch.setattr(source, "_UNREACHABLE_S", 0.3)
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
    assert one.value("recordings_cut_total") == 1


async def test_restart_and_a_dossier_comes__is_not_an_orphan(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.recorder.handle(PutDossier(id=1, dossier=visit(recordings=(), ended=False)))
        other = visit("c-2", recordings=(), ended=False)
        await one.recorder.handle(PutDossier(id=2, dossier=other))
    async with desk(tmp_path, orphan_s=1.0) as one:
        await one.recorder.handle(PutDossier(id=1, dossier=visit(recordings=(), ended=False)))
        await one.until(Archived(consultation="c-2", directory="c-2"))
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


async def test_older_dossier__is_ignored(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.recorder.handle(PutDossier(id=1, dossier=of_version(5)))
        for older in (4, 0):
            answer = await one.recorder.handle(PutDossier(id=2, dossier=of_version(older)))
            assert answer == Done(id=2)
            assert one.workspace.dossier("c-1") == of_version(5)
        await one.recorder.handle(PutDossier(id=3, dossier=of_version(6)))
        assert one.workspace.dossier("c-1") == of_version(6)
        await one.recorder.handle(ArchiveConsultation(id=4, dossier=of_version(5)))
        await one.until(ARCHIVED)
    assert archived_chat(tmp_path) == "6"
    assert one.manifest().dossier_version == 6


async def test_older_dossier_with_a_start__recording_begins_all_the_same(tmp_path: Path) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        server.tap("rec-1").offer(call())
        await one.recorder.handle(PutDossier(id=1, dossier=of_version(5)))
        older = of_version(4, ended=False)
        command = StartRecording(
            id=2, recording="rec-1", tap_url=server.url("rec-1"), dossier=older
        )
        assert await one.recorder.handle(command) == Done(id=2)
        await one.until(STOPPED)
        assert one.workspace.dossier("c-1") == of_version(5)


@pytest.mark.parametrize("late", [5, 4, 0])
async def test_late_dossier_of_an_archived_consultation__leaves_no_trace(
    tmp_path: Path, late: int
) -> None:
    async with desk(tmp_path) as one:
        await one.recorder.handle(ArchiveConsultation(id=1, dossier=of_version(5)))
        await one.until(ARCHIVED)
        one.events.clear()
        manifest = (tmp_path / "archive/c-1/manifest.json").read_bytes()
        stale = msgspec.structs.replace(of_version(late), ended_at=None)
        assert await one.recorder.handle(PutDossier(id=2, dossier=stale)) == Done(id=2)
        assert one.workspace.consultations() == []
        if late < 5:
            command = ArchiveConsultation(id=3, dossier=stale)
            assert await one.recorder.handle(command) == Done(id=3)
            assert one.events == [ARCHIVED]
            start = StartRecording(id=4, recording="r", tap_url="ws://x/tap/r", dossier=stale)
            assert isinstance(await one.recorder.handle(start), Failed)
        assert one.workspace.consultations() == []
        assert (tmp_path / "archive/c-1/manifest.json").read_bytes() == manifest


async def test_late_dossier_of_unknown_version__leaves_the_archive_alone(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.recorder.handle(ArchiveConsultation(id=1, dossier=visit(recordings=())))
        await one.until(ARCHIVED)
        stale = visit(recordings=(), ended=False)
        await one.recorder.handle(PutDossier(id=2, dossier=stale))
        assert one.workspace.consultations() == []


async def test_newer_dossier_of_an_archived_consultation__is_taken(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        await one.recorder.handle(ArchiveConsultation(id=1, dossier=of_version(5)))
        await one.until(ARCHIVED)
        await one.recorder.handle(PutDossier(id=2, dossier=of_version(6)))
        assert one.workspace.dossier("c-1") == of_version(6)


async def test_stop_lost_while_the_recorder_was_down__what_waits_is_fetched_at_once(
    tmp_path: Path,
) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        whole = call()
        tap.offer(whole[:200])
        async with desk(tmp_path) as one:
            await one.start(server)
            await eventually(lambda: None if tap.acknowledged == 200 else "not acknowledged")
        tap.offer(whole[200:])
        async with desk(tmp_path, orphan_s=3600) as one:
            await one.recorder.handle(PutDossier(id=1, dossier=visit(ended=False)))
            await one.until(STOPPED)
            await eventually(lambda: None if tap.acknowledged == len(whole) else "not all")
            assert one.workspace.consultations() == ["c-1"]


async def test_quiet_for_a_day__archived_unless_it_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_QUIET_S", 0.3)
    monkeypatch.setattr(service, "_ORPHANS_EVERY_S", 0.05)
    async with tap_server() as server, desk(tmp_path, orphan_s=0) as one:
        server.tap("rec-1").offer(call(end=False))
        await one.start(server)
        other = visit("c-2", recordings=(), ended=False)
        await one.recorder.handle(PutDossier(id=1, dossier=other))
        await one.until(Archived(consultation="c-2", directory="c-2"))
        assert one.workspace.consultations() == ["c-1"]
        assert one.recorder.archives_pending() == 0
        server.tap("rec-1").offer(call()[-1:])
        await one.until(ARCHIVED)


async def test_after_the_stop__packets_are_acknowledged_and_not_kept(tmp_path: Path) -> None:
    async with tap_server() as server, desk(tmp_path) as one:
        tap = server.tap("rec-1")
        tap.offer(call(end=False))
        before = len(tap.records)
        await one.start(server)
        await eventually(lambda: None if tap.acknowledged == before else "not acknowledged")
        await one.recorder.handle(StopRecording(id=2, recording="rec-1"))
        now_ns, body = time.time_ns(), bytes(100)
        tap.offer([Record(before + 1, now_ns, RecordKind.RTP, 1, body)])
        late_ns = now_ns + 2_000_000_000
        tap.offer([Record(before + n, late_ns, RecordKind.RTP, 1, body) for n in (2, 3)])
        await eventually(lambda: None if tap.acknowledged == before + 3 else "not acknowledged")
    path = tmp_path / "work/consultations/c-1/rec-1.journal"
    assert [record.sequence for record in journal.read(path)] == list(range(1, before + 2))
    assert one.value("tap_missing_records_total") == 0
    # A recorder that dies now knows still when the stop came.
    async with tap_server() as server, desk(tmp_path) as one:
        tap = server.tap("rec-1")
        (row,) = one.workspace.recordings("c-1")
        assert row.stopped_ns is not None
        assert abs(row.stopped_ns - now_ns) < 1_000_000_000


async def test_restart_after_the_stop__later_packets_are_still_not_kept(tmp_path: Path) -> None:
    stopped_ns = time.time_ns() - 60_000_000_000
    async with tap_server() as server:
        row = RecordingFile(
            recording="rec-1",
            consultation="c-1",
            tap_url=server.url("rec-1"),
            stage="draining",
            stopped_ns=stopped_ns,
        )
        workspace = Workspace(tmp_path / "work")
        workspace.put_dossier(visit())
        workspace.put_recording(row)
        path = workspace.journal(row)
        workspace.close()
        opened = Record(1, stopped_ns - 9, RecordKind.OPEN, 1, b"{}")
        late = Record(2, time.time_ns(), RecordKind.RTP, 1, bytes(100))
        end = Record(3, time.time_ns(), RecordKind.END, 0, b"")
        server.tap("rec-1").offer([opened, late, end])
        async with desk(tmp_path, orphan_s=3600) as one:
            await one.until(STOPPED)
    assert [record.sequence for record in journal.read(path)] == [1, 3]
