"""The real program: killed at any point it loses nothing; told to stop it stops in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from recorder import journal
from recorder.control import (
    ArchiveConsultation,
    Archived,
    Events,
    RecorderClient,
    StartRecording,
)
from recorder.manifest import decode
from sfu.control.tap import Record, RecordKind
from tests.recorder.tap_server import SECRET, TapServer, tap_server
from tests.recorder.visits import call, visit
from tests.support.eventually import eventually
from tests.support.playback import play
from tests.support.servers import ROOT, Program

CONTROL_SECRET = "c" * 32


def environment(root: Path) -> dict[str, str]:
    return {
        "RECORDER_CONTROL_SECRET": CONTROL_SECRET,
        "RECORDER_SFU_SECRET": SECRET,
        "RECORDER_CONTROL_PORT": "0",
        "RECORDER_WORK_DIR": str(root / "work"),
        "RECORDER_ARCHIVE_DIR": str(root / "archive"),
        "RECORDER_MIN_FREE_BYTES": "0",
    }


class Running:
    """A recorder process and a client of it."""

    def __init__(self, program: Program, client: RecorderClient, events: list[Events]) -> None:
        self.program = program
        self.client = client
        self.events = events

    async def start_recording(self, server: TapServer) -> None:
        await self.client.request(
            StartRecording(
                recording="rec-1", tap_url=server.url("rec-1"), dossier=visit(ended=False)
            )
        )


@contextlib.asynccontextmanager
async def running(root: Path, more: dict[str, str] | None = None) -> AsyncIterator[Running]:
    program = Program("recorder", environment(root) | (more or {}), root / "log")
    await program.start()
    events: list[Events] = []
    url = f"ws://127.0.0.1:{program.ready['control_port']}/control"
    client = RecorderClient(url, CONTROL_SECRET, events.append, lambda _: None)
    await client.start()
    try:
        await eventually(lambda: None if client.connected else "not connected")
        yield Running(program, client, events)
    finally:
        await client.close()
        await program.kill()


def slices(records: list[Record], parts: int) -> list[list[Record]]:
    size = len(records) // parts + 1
    return [records[at : at + size] for at in range(0, len(records), size)]


async def test_killed_again_and_again__nothing_lost_and_nothing_twice(tmp_path: Path) -> None:
    whole = call(seconds=4)
    async with tap_server() as server:
        tap = server.tap("rec-1")
        for part in slices(whole[:-1], 4):
            tap.offer(part[: len(part) // 2])
            before = tap.acknowledged
            async with running(tmp_path) as one:
                await one.start_recording(server)
                # Killed in the middle of its work: as soon as something was acknowledged.
                tap.offer(part[len(part) // 2 :])
                await eventually(lambda b=before: None if tap.acknowledged > b else "none acked")
                await one.program.kill()
            path = tmp_path / "work/consultations/c-1/rec-1.journal"
            on_disk = [record.sequence for record in journal.read(path)]
            assert on_disk == list(range(1, len(on_disk) + 1))
            assert len(on_disk) >= tap.acknowledged
        tap.offer(whole[-1:])
        async with running(tmp_path) as one:
            await one.start_recording(server)
            await one.client.request(ArchiveConsultation(dossier=visit()))
            done = Archived(consultation="c-1", directory="c-1")
            await eventually(lambda: None if done in one.events else f"{one.events}", within_s=30)
            assert await one.program.stop() == 0
    directory = tmp_path / "archive/c-1"
    (recording,) = decode((directory / "manifest.json").read_bytes()).recordings
    assert recording.complete
    packets = sum(record.kind is RecordKind.RTP for record in whole)
    assert sum(track.packets for track in recording.tracks) == packets
    assert [track.lost for track in recording.tracks] == [0, 0, 0]
    assert [track.frames for track in recording.tracks] == [200, 120, 200]
    assert play(directory / recording.tracks[1].path).frames == 120


async def test_killed_while_archiving__the_next_process_archives(tmp_path: Path) -> None:
    async with tap_server() as server:
        server.tap("rec-1").offer(call())
        async with running(tmp_path) as one:
            await one.start_recording(server)
            await one.client.request(ArchiveConsultation(dossier=visit()))
            await one.program.kill()
        async with running(tmp_path) as one:
            manifest = tmp_path / "archive/c-1/manifest.json"
            work = tmp_path / "work/consultations/c-1"
            await eventually(
                lambda: None if manifest.exists() and not work.exists() else "not archived",
                within_s=30,
            )
    (recording,) = decode(manifest.read_bytes()).recordings
    assert [track.frames for track in recording.tracks] == [100, 60, 100]


async def test_terminated_while_recording__exits_clean_and_in_time(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(call(end=False))
        async with running(tmp_path) as one:
            await one.start_recording(server)
            await eventually(lambda: None if tap.acknowledged > 100 else "not acknowledged")
            began = time.monotonic()
            assert await one.program.stop() == 0
            assert time.monotonic() - began < 5
            assert "Traceback" not in one.program.log
            for name in ("BS. Bình", "Chào", "Trạm", "Ấn", SECRET, CONTROL_SECRET):
                assert name not in one.program.log


async def test_stdin_ends__exits(tmp_path: Path) -> None:
    process = await start(environment(tmp_path) | {"RECORDER_EXIT_WITH_STDIN": "1"})
    assert process.stdout is not None
    assert process.stdin is not None
    ready = json.loads(await process.stdout.readline())
    assert ready["ready"] is True
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0
    await process.communicate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECORDER_CONTROL_SECRET", "short"),
        ("RECORDER_WORK_DIR", "/proc/nowhere"),
        ("RECORDER_ARCHIVE_DIR", "/proc/nowhere"),
        ("RECORDER_FHIR_URL", "ftp://example.org"),
        ("RECORDER_CONTROL_HOST", "192.0.2.1"),
        ("RECORDER_FHIR_SYSTEMS_FILE", "/nowhere.json"),
    ],
)
async def test_misconfigured__one_sentence_and_exit_2(
    tmp_path: Path, name: str, value: str
) -> None:
    process = await start(environment(tmp_path) | {name: value})
    async with asyncio.timeout(20):
        out, complaint = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    (sentence,) = complaint.decode().splitlines()
    assert sentence.startswith("recorder: ")
    assert name in sentence


async def test_second_recorder_on_the_same_directory__is_refused(tmp_path: Path) -> None:
    async with running(tmp_path):
        process = await start(environment(tmp_path))
        async with asyncio.timeout(20):
            _, complaint = await process.communicate()
    assert process.returncode == 2
    assert b"in use by another recorder" in complaint


async def test_outbox_dies__the_process_ends_with_an_error(tmp_path: Path) -> None:
    program = """
import sys
from recorder.record.outbox import Outbox

async def run(self):
    raise RuntimeError("BS. Bình")

Outbox.run = run
from recorder.__main__ import main
sys.exit(main())
"""
    process = await start(environment(tmp_path), "-c", program)
    async with asyncio.timeout(20):
        _, complaint = await process.communicate()
    assert process.returncode == 1
    assert b"the outbox ended by itself: RuntimeError" in complaint
    assert "BS. Bình" not in complaint.decode()


async def start(settings: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *(arguments or ("-m", "recorder")),
        cwd=ROOT,
        env={**os.environ, **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
