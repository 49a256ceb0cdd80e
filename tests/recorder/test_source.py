"""What a tap offers is on our disk, once and in order, before it is acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from recorder import journal, source
from recorder.errors import DiskFullError, TapLostError
from recorder.journal import Header, Journal
from recorder.metrics import Metrics
from recorder.source import Outcome, TapReader
from sfu.control.tap import Record, RecordKind, TrackOpened
from sfu.forwarder.contract import StreamHandle
from sfu.ids import PeerId, RoomId, SourceId, TapId
from sfu.server.tap_reader import TapReader as SfuTapReader
from sfu.tap import Taps
from tests.recorder.tap_server import SECRET, Tap, TapServer, tap_server
from tests.support.eventually import eventually


def records(count: int, first: int = 1, *, end: bool = False) -> list[Record]:
    made = [Record(n, n, RecordKind.RTP, 1, bytes(200)) for n in range(first, first + count)]
    if end:
        made.append(Record(first + count, 0, RecordKind.END, 0, b""))
    return made


def too_soon(stopped_s: float) -> str | None:
    """Until all time is over that a reader has after a stop at which nothing is missing."""
    passed_s = time.monotonic() - stopped_s
    return None if passed_s > 2 * source._OVERRUN_S else f"{passed_s:.2f} s since the stop"


class Reading:
    """A reader at work on a journal."""

    def __init__(self, reader: TapReader, opened: Journal, path: Path, metrics: Metrics) -> None:
        self.reader = reader
        self.journal = opened
        self.metrics = metrics
        self._path = path
        self.task = asyncio.create_task(reader.run())

    def on_disk(self) -> list[Record]:
        return list(journal.read(self._path))


@contextlib.asynccontextmanager
async def reading(
    server: TapServer, path: Path, *, secret: str = SECRET, reserve: int = 0
) -> AsyncIterator[Reading]:
    opened = Journal.open(path, Header(recording="rec-1", consultation="c-1"), reserve)
    metrics = Metrics()
    async with aiohttp.ClientSession() as session:
        reader = TapReader(session, server.url("rec-1"), secret, opened, metrics, lambda: None)
        one = Reading(reader, opened, path, metrics)
        try:
            yield one
        finally:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)
            opened.close()


def acknowledged(tap: Tap, number: int) -> str | None:
    return None if tap.acknowledged == number else f"acknowledged {tap.acknowledged}"


async def test_whole_tap__on_disk_and_acknowledged(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(records(500, end=True))
        async with reading(server, tmp_path / "j") as one:
            assert await one.task is Outcome.ENDED
            assert one.on_disk() == tap.records
            await eventually(lambda: acknowledged(tap, 501))


async def test_connections_drop__nothing_lost_and_nothing_twice(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.drop_every = 100
        tap.offer(records(600, end=True))
        async with reading(server, tmp_path / "j") as one:
            assert await one.task is Outcome.ENDED
            assert one.on_disk() == tap.records
        assert tap.connections >= 6
        assert tap.asked_after == sorted(tap.asked_after)


async def test_live_tap__acknowledged_while_it_goes_on(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        async with reading(server, tmp_path / "j") as one:
            for first in (1, 51, 101):
                tap.offer(records(50, first))
                await eventually(lambda: acknowledged(tap, len(tap.records)))
                assert len(one.on_disk()) == len(tap.records)
            assert one.reader.backlog_records == 0


async def test_sfu_comes_later__is_found(tmp_path: Path) -> None:
    async with tap_server() as server, reading(server, tmp_path / "j") as one:
        await eventually(lambda: None if server.refused >= 2 else "not yet asked twice")
        server.tap("rec-1").offer(records(5, end=True))
        assert await one.task is Outcome.ENDED
        assert len(one.on_disk()) == 6


async def test_garbage__reconnects_after_the_last_whole_record(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.garbage = bytes(records(1)[0]) + b"\x00\x01torn"
        tap.offer(records(10, end=True))
        async with reading(server, tmp_path / "j") as one:
            assert await one.task is Outcome.ENDED
            assert one.on_disk() == tap.records
            errors = one.metrics.registry.get_sample_value(
                "vtelehealth_recorder_tap_format_errors_total"
            )
            assert errors == 1


async def test_after_the_end__nothing_is_kept(tmp_path: Path) -> None:
    """Consent was withdrawn: not even an SFU that goes on sending gets a later sample stored."""
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer([*records(10, end=True), *records(30, first=12)])
        async with reading(server, tmp_path / "j") as one:
            assert await one.task is Outcome.ENDED
            assert [record.sequence for record in one.on_disk()] == list(range(1, 12))


async def test_stopped__the_rest_is_fetched_first(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(records(40))
        async with reading(server, tmp_path / "j") as one:
            await eventually(lambda: acknowledged(tap, 40))
            one.reader.stop(time.time_ns())
            tap.offer(records(40, first=41, end=True))
            assert await one.task is Outcome.ENDED
            assert len(one.on_disk()) == 81


async def test_stopped_and_the_tap_is_gone__given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_ABSENT_STOPPED_S", 0.3)
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(records(40))
        async with reading(server, tmp_path / "j") as one:
            await eventually(lambda: acknowledged(tap, 40))
            del server.taps["rec-1"]
            await server.hang_up()
            one.reader.stop(time.time_ns())
            assert await one.task is Outcome.GAVE_UP
            assert len(one.on_disk()) == 40


async def test_stopped_and_the_sfu_is_away_for_a_while__the_rest_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an SFU that answers can say that the tap is gone; silence says nothing."""
    for name in ("_ABSENT_S", "_ABSENT_STOPPED_S", "_OVERRUN_S"):
        monkeypatch.setattr(source, name, 0.0)
    refusals = 0

    async def refuse(_: web.Request) -> web.StreamResponse:
        nonlocal refusals
        refusals += 1
        if refusals <= 3:
            return web.Response(status=503)
        # From here on a moment before the first record is no reason to give up.
        monkeypatch.setattr(source, "_OVERRUN_S", 10.0)
        return await real(_)

    async with tap_server(refuse) as server:
        real = server.serve
        server.tap("rec-1").offer(records(40, end=True))
        async with reading(server, tmp_path / "j") as one:
            one.reader.stop(time.time_ns())
            assert await one.task is Outcome.ENDED
            assert len(one.on_disk()) == 41


async def test_stopped_and_the_sfu_stays_away__given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_UNREACHABLE_S", 0.5)

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async with tap_server(refuse) as server, reading(server, tmp_path / "j") as one:
        one.reader.stop(time.time_ns())
        assert await one.task is Outcome.GAVE_UP


@pytest.mark.parametrize("goes_on", [True, False])
async def test_stopped_and_no_end_comes__cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    monkeypatch.setattr(source, "_OVERRUN_S", 0.5)
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(records(40))
        async with reading(server, tmp_path / "j") as one:
            await eventually(lambda: acknowledged(tap, 40))
            one.reader.stop(time.time_ns())
            while goes_on and not one.task.done():
                late_ns = time.time_ns() + 2_000_000_000
                number = len(tap.records) + 1
                tap.offer([Record(number, late_ns, RecordKind.RTP, 1, bytes(200))])
                await asyncio.wait({one.task}, timeout=0.02)
            assert await one.task is Outcome.GAVE_UP
            assert len(one.on_disk()) == 40
        assert not goes_on or tap.acknowledged > 40


async def test_stopped_while_much_waits__all_of_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the disk takes: what reached the SFU before the stop is not cut."""
    monkeypatch.setattr(source, "_OVERRUN_S", 0.2)
    monkeypatch.setattr(source, "_MAX_WAITING_RECORDS", 20)
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(records(100))
        async with reading(server, tmp_path / "j") as one:
            real, disk_goes_on = one.journal.append, threading.Event()

            def stuck(batch: Sequence[Record]) -> list[Record]:
                assert disk_goes_on.wait(10)
                return real(batch)

            monkeypatch.setattr(one.journal, "append", stuck)
            one.reader.stop(time.time_ns())
            stopped_s = time.monotonic()
            await eventually(lambda: too_soon(stopped_s))
            disk_goes_on.set()
            assert await one.task is Outcome.GAVE_UP
            assert len(one.on_disk()) == 100


async def test_tap_is_gone_before_the_stop__lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_ABSENT_S", 0.5)
    async with tap_server() as server, reading(server, tmp_path / "j") as one:
        with pytest.raises(TapLostError):
            await one.task


async def test_first_record_is_not_number_one__lost_and_unacknowledged(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(records(5, first=3))
        async with reading(server, tmp_path / "j") as one:
            with pytest.raises(TapLostError):
                await one.task
            assert one.on_disk() == []
        assert tap.acknowledged == 0


async def test_tap_skips_records__they_are_counted(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer([*records(5), *records(5, first=9, end=True)])
        async with reading(server, tmp_path / "j") as one:
            assert await one.task is Outcome.ENDED
            missing = one.metrics.registry.get_sample_value(
                "vtelehealth_recorder_tap_missing_records_total"
            )
            assert missing == 3


async def test_disk_at_its_reserve__fails_unacknowledged(tmp_path: Path) -> None:
    async with tap_server() as server:
        tap = server.tap("rec-1")
        tap.offer(records(40))
        async with reading(server, tmp_path / "j", reserve=1 << 60) as one:
            with pytest.raises(DiskFullError):
                await one.task
            assert one.on_disk() == []
        assert tap.acknowledged == 0


async def test_sfu_that_started_anew__has_another_tap_of_this_name(tmp_path: Path) -> None:
    """What it gives out is not the rest of the one that was begun."""
    taps = Taps(1 << 20, lambda _: None)

    async def serve(request: web.Request) -> web.StreamResponse:
        tap = taps.start(RoomId("room"), TapId("rec-1"), 1, ())
        assert tap is not None
        if not tap.holds(int(request.query["after"])):
            raise web.HTTPConflict
        raise AssertionError("a tap that was never read holds nothing")

    opened = Journal.open(tmp_path / "j", Header(recording="rec-1", consultation="c-1"), 0)
    opened.append(records(5))
    opened.close()
    async with tap_server(serve) as server, reading(server, tmp_path / "j") as one:
        with pytest.raises(TapLostError):
            await asyncio.wait_for(one.task, 5)
        assert len(one.on_disk()) == 5


async def test_wrong_secret__is_refused_and_counted(tmp_path: Path) -> None:
    async with tap_server() as server:
        server.tap("rec-1").offer(records(5))
        async with reading(server, tmp_path / "j", secret="wrong" * 8) as one:
            await eventually(lambda: None if server.refused >= 2 else "not refused twice")
            refused = one.metrics.registry.get_sample_value(
                "vtelehealth_recorder_tap_connects_total", {"result": "refused"}
            )
            assert refused is not None
            assert refused >= 2
            assert one.on_disk() == []


async def test_the_sfus_own_tap__is_read_to_its_end_and_forgotten(tmp_path: Path) -> None:
    taps = Taps(1 << 20, lambda _: None)
    tap = taps.start(RoomId("room"), TapId("rec-1"), 1, ())
    assert tap is not None
    sockets: list[web.WebSocketResponse] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=1.0)
        await socket.prepare(request)
        sockets.append(socket)
        assert tap is not None
        await SfuTapReader(tap, socket).serve(int(request.query["after"]))
        return socket

    async with tap_server(serve) as server:
        take = tap.sink(
            StreamHandle(1),
            TrackOpened(
                peer=PeerId("p"),
                source=SourceId("s"),
                kind="audio",
                screen=False,
                codec="opus",
                clock_rate=48_000,
                channels=2,
            ),
        )
        for number in range(100):
            take(bytes(100), number)
        async with reading(server, tmp_path / "j") as one:
            await eventually(lambda: None if tap.acknowledged == 101 else f"{tap.acknowledged}")
            await sockets[0].close()
            for number in range(100):
                take(bytes(100), number)
            tap.end(200)
            assert await one.task is Outcome.ENDED
            await eventually(lambda: None if tap.is_done else "END is not acknowledged")
            assert [record.sequence for record in one.on_disk()] == list(range(1, 203))
