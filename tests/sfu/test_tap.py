from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.control.messages import CloseRoom, Permit, StartTap, StopTap, TapEnded
from sfu.control.tap import (
    Record,
    RecordKind,
    SenderReport,
    TrackOpened,
    decode_track,
    parse_records,
)
from sfu.forwarder.contract import StreamHandle
from sfu.ids import PeerId, RoomId, SourceId, TapId
from sfu.rtp import rtcp
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import Goodbye, PictureLossIndication, ReceiverReport
from sfu.tap import KEEP_ENDED_NS, Budget, PacketSink, Tap, Taps
from tests.sfu.routing import ROOM, SECOND, Stage, StagePeer, picture, voice

NOW = 1_700_000_000_000_000_000
TAP = TapId("recording-1")
HANDLE = StreamHandle(5)
TRACK = TrackOpened(
    peer=PeerId("an"),
    source=SourceId("an/camera"),
    kind="audio",
    screen=False,
    codec="opus",
    clock_rate=48_000,
    channels=2,
)


def new_tap(buffer_bytes: int = 1 << 20) -> Tap:
    overflowed: list[Tap] = []

    def end(tap: Tap, now_ns: int) -> None:
        overflowed.append(tap)
        tap.end(now_ns)

    return Tap(TAP, RoomId("room"), Budget(buffer_bytes), end)


def everything(tap: Tap, after: int = 0) -> list[Record]:
    records: list[Record] = []
    while True:
        batch, after = tap.read(after, 200)
        if not batch:
            return records
        records += parse_records(batch)


def kinds(records: list[Record]) -> list[str]:
    return [record.kind.name for record in records]


# ------------------------------------------------------------------- records


def test_track__opens_with_its_first_packet() -> None:
    tap = new_tap()
    sink = tap.sink(HANDLE, TRACK)
    tap.report(HANDLE, SenderReport(1, 2), NOW)
    tap.close_track(HANDLE, NOW)
    assert everything(tap) == []
    sink(b"packet 1", NOW)
    sink(b"packet 2", NOW + 1)
    tap.report(HANDLE, SenderReport(1, 2), NOW + 2)
    tap.close_track(HANDLE, NOW + 3)
    tap.end(NOW + 4)
    records = everything(tap)
    assert kinds(records) == ["OPEN", "RTP", "RTP", "REPORT", "CLOSE", "END"]
    assert [r.sequence for r in records] == [1, 2, 3, 4, 5, 6]
    assert [r.arrival_ns - NOW for r in records] == [0, 0, 1, 2, 3, 4]
    assert decode_track(records[0].body) == TRACK
    assert [r.body for r in records[1:3]] == [b"packet 1", b"packet 2"]
    assert SenderReport.parse(records[3].body) == SenderReport(1, 2)


def test_tap_that_is_over__takes_nothing() -> None:
    tap = new_tap()
    sink = tap.sink(HANDLE, TRACK)
    tap.end(NOW)
    tap.end(NOW + 1)
    sink(b"late", NOW)
    assert kinds(everything(tap)) == ["END"]


def test_acknowledged_records__are_forgotten_and_free_their_bytes() -> None:
    tap = new_tap()
    sink = tap.sink(HANDLE, TRACK)
    for number in range(10):
        sink(b"x" * number, NOW)
    full = tap.backlog_bytes
    tap.acknowledge(5)
    assert [r.sequence for r in everything(tap)] == [6, 7, 8, 9, 10, 11]
    assert 0 < tap.backlog_bytes < full
    tap.acknowledge(3)  # an older acknowledgement changes nothing
    assert tap.acknowledged == 5
    tap.end(NOW)
    assert not tap.is_done
    tap.acknowledge(12)
    assert tap.backlog_bytes == 0
    assert tap.is_done


def test_full_buffer__ends_the_tap_with_a_readable_end() -> None:
    tap = new_tap(buffer_bytes=4000)
    sink = tap.sink(HANDLE, TRACK)
    for _ in range(30):
        sink(b"x" * 100, NOW)
    records = everything(tap)
    assert records[-1].kind is RecordKind.END
    assert 1000 < tap.backlog_bytes < 2500
    assert [r.sequence for r in records] == list(range(1, len(records) + 1))


@given(
    st.lists(st.binary(max_size=100), max_size=40),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 400)), max_size=20),
)
def test_readers_that_come_and_go__miss_nothing_and_get_nothing_twice(
    packets: list[bytes], readers: list[tuple[int, int, int]]
) -> None:
    tap = new_tap()
    sink = tap.sink(HANDLE, TRACK)
    kept: list[Record] = []
    todo = list(packets)
    for arrived, batches, most_bytes in readers:
        for packet in todo[:arrived]:
            sink(packet, NOW)
        todo = todo[arrived:]
        last = len(kept)
        for _ in range(batches):
            batch, last = tap.read(last, most_bytes)
            kept += parse_records(batch)
        tap.acknowledge(len(kept) // 2)
    kept += everything(tap, len(kept))
    given_in = packets[: len(packets) - len(todo)]
    assert [r.sequence for r in kept] == list(range(1, len(kept) + 1))
    assert [r.body for r in kept if r.kind is RecordKind.RTP] == given_in


def test_reader_of_another_tap_of_this_name__is_not_believed() -> None:
    tap = new_tap()
    sink = tap.sink(HANDLE, TRACK)
    for _ in range(5):
        sink(b"x", NOW)
    assert tap.holds(0)
    assert not tap.holds(3)  # it is there, and nobody was given it
    _, last = tap.read(0, 100)
    assert tap.holds(last)
    assert not tap.holds(last + 1)


# --------------------------------------------------------------------- table


def new_taps() -> Taps:
    return Taps(1 << 20, lambda tap: None)


def test_start_again__replaces_the_peers_unless_older() -> None:
    taps = new_taps()
    for version, peers in ((3, ["an"]), (2, ["an", "binh"]), (3, ["chi"])):
        taps.start(ROOM, TAP, version, [PeerId(peer) for peer in peers])
    tap = taps.get(TAP)
    assert tap is not None
    assert tap.peers == {"chi"}


def test_stopped_tap__stays_stopped() -> None:
    taps = new_taps()
    taps.start(ROOM, TAP, 1, [])
    taps.stop(TAP, NOW)
    assert taps.start(ROOM, TAP, 2, []) is None
    tap = taps.get(TAP)
    assert tap is not None
    tap.acknowledge(1)
    taps.sweep(NOW)
    assert taps.get(TAP) is None
    assert taps.start(ROOM, TAP, 3, []) is None


def test_tap_stopped_before_it_started__does_not_start() -> None:
    taps = new_taps()
    taps.stop(TAP, NOW)
    assert taps.start(ROOM, TAP, 1, []) is None


def test_tap_of_another_room__is_left_alone() -> None:
    taps = new_taps()
    taps.start(ROOM, TAP, 1, [PeerId("an")])
    assert taps.start(RoomId("other"), TAP, 2, [PeerId("binh")]) is None
    assert [tap.peers for tap in taps] == [{"an"}]


def started(taps: Taps, name: str) -> tuple[Tap, PacketSink]:
    tap = taps.start(ROOM, TapId(name), 1, [])
    assert tap is not None
    return tap, tap.sink(HANDLE, TRACK)


def test_ended_tap__is_kept_a_day_and_then_missed_loudly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taps = new_taps()
    _, sink = started(taps, TAP)
    sink(b"packet", NOW)
    taps.stop(TAP, NOW)
    taps.sweep(NOW + KEEP_ENDED_NS)
    assert KEEP_ENDED_NS == 24 * 3600 * SECOND
    assert (len(taps), taps.discarded, caplog.records) == (1, 0, [])
    taps.sweep(NOW + KEEP_ENDED_NS + 1)
    assert (len(taps), taps.discarded, taps.backlog_bytes()) == (0, 1, 0)
    (line,) = caplog.records
    assert line.levelname == "ERROR"
    assert TAP in line.getMessage()
    assert ROOM in line.getMessage()


def test_ended_tap__of_which_only_the_end_is_unread__is_not_missed() -> None:
    taps = new_taps()
    tap, sink = started(taps, TAP)
    sink(b"packet", NOW)
    taps.stop(TAP, NOW)
    tap.acknowledge(2)
    taps.sweep(NOW + KEEP_ENDED_NS + 1)
    assert (len(taps), taps.discarded) == (0, 0)


def test_memory__is_one_budget_and_the_largest_backlog_ends_first() -> None:
    overflowed: list[str] = []
    taps = Taps(100_000, lambda tap: overflowed.append(tap.id))
    large, into_large = started(taps, "large")
    small, into_small = started(taps, "small")
    for number in range(1000):
        into_large(bytes(1000), NOW)
        if number % 100 == 0:
            into_small(bytes(1000), NOW)
    assert overflowed == ["large"]
    assert (large.overflowed, small.overflowed) == (True, False)
    assert everything(large)[-1].kind is RecordKind.END
    # What counts is what Python holds, and the sum stays below the limit whatever comes.
    for name in ("a", "b", "c", "d", "e"):
        _, sink = started(taps, name)
        for _ in range(1000):
            sink(b"", NOW)
        assert taps.backlog_bytes() < 101_000
    assert taps.backlog_bytes() == sum(tap.backlog_bytes for tap in taps)
    for tap in taps:
        tap.discard()
    assert taps.backlog_bytes() == 0


def test_record__counts_with_what_python_needs_for_it() -> None:
    taps = Taps(1 << 30, lambda _: None)
    _, sink = started(taps, TAP)
    tracemalloc.start()
    try:
        for number in range(5000):
            sink(bytes(50), number)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taps.backlog_bytes() == pytest.approx(held_bytes, rel=0.35)


# -------------------------------------------------------------- in the router


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(tap_buffer_bytes=20_000)
    yield stage
    await stage.close()


def start(stage: Stage, *peers: str, version: int = 0, tap: str = TAP) -> Any:
    names = tuple(PeerId(peer) for peer in peers)
    return stage.do(StartTap(room=ROOM, tap=TapId(tap), peers=names, version=version))


def recorded(stage: Stage, tap: str = TAP) -> list[RtpPacket]:
    """The tap's RTP packets."""
    found = stage.router.taps.get(TapId(tap))
    assert found is not None
    return [RtpPacket.parse(r.body) for r in everything(found) if r.kind is RecordKind.RTP]


def said(word: bytes, sequence: int) -> RtpPacket:
    """A voice packet that can be told from others."""
    return replace(voice(sequence), payload=word)


def words(stage: Stage, tap: str = TAP) -> list[bytes]:
    """What was said into a tap."""
    return [packet.payload for packet in recorded(stage, tap)]


async def talking(stage: Stage, name: str) -> StagePeer:
    return await stage.peer(name, "mic", "cam").connected()


async def test_tap__takes_the_named_peers_and_no_other(stage: Stage) -> None:
    an, binh = await talking(stage, "an"), await talking(stage, "binh")
    start(stage, "an")
    an.send(said(b"an", 1))
    binh.send(said(b"binh", 2))
    assert words(stage) == [b"an"]


async def test_peer_left_out__has_no_packet_from_then_on(stage: Stage) -> None:
    an = await talking(stage, "an")
    start(stage, "an", version=5)
    an.send(said(b"one", 1))
    start(stage, version=6)
    an.send(said(b"two", 2))
    start(stage, "an", version=5)  # a late one
    an.send(said(b"three", 3))
    start(stage, "an", version=7)
    an.send(said(b"four", 4))
    assert words(stage) == [b"one", b"four"]
    found = stage.router.taps.get(TAP)
    assert found is not None
    assert kinds(everything(found)) == ["OPEN", "RTP", "RTP"]


async def test_peer_on_hold__is_not_recorded(stage: Stage) -> None:
    an = await talking(stage, "an")
    start(stage, "an")
    stage.do(Permit(room=ROOM, peer=PeerId("an"), version=1))
    an.send(voice(1))
    assert words(stage) == []


async def test_two_taps__each_get_every_packet(stage: Stage) -> None:
    an = await talking(stage, "an")
    start(stage, "an")
    an.send(said(b"one", 1))
    start(stage, "an", tap="second")
    an.send(said(b"two", 2))
    assert words(stage) == [b"one", b"two"]
    assert words(stage, "second") == [b"two"]


async def test_taking_a_picture__asks_for_a_key_frame(stage: Stage) -> None:
    an = await talking(stage, "an")
    an.send(picture(1, key=True))
    stage.now_ns += 2 * SECOND
    an.told()
    start(stage, "an")
    assert len(an.told(PictureLossIndication)) == 1


async def test_reports_and_ends__are_recorded(stage: Stage) -> None:
    an = await talking(stage, "an")
    start(stage, "an")
    an.send(voice(1))
    an.report(rtcp.SenderReport(11, 0xAABB, 960, 1, 4))
    an.report(rtcp.SenderReport(99, 0xAABB, 960, 1, 4))
    an.report(ReceiverReport(1), Goodbye((11,)))
    stage.do(StopTap(tap=TAP))
    an.send(voice(2))
    found = stage.router.taps.get(TAP)
    assert found is not None
    records = everything(found)
    assert kinds(records) == ["OPEN", "RTP", "REPORT", "CLOSE", "END"]
    first = RtpPacket.parse(records[1].body)
    assert SenderReport.parse(records[2].body) == SenderReport(0xAABB, first.timestamp)
    assert decode_track(records[0].body).peer == "an"


async def test_closed_room__ends_its_taps_which_stay_readable(stage: Stage) -> None:
    an = await talking(stage, "an")
    start(stage, "an")
    an.send(voice(1))
    stage.do(CloseRoom(room=ROOM))
    found = stage.router.taps.get(TAP)
    assert found is not None
    assert kinds(everything(found)) == ["OPEN", "RTP", "CLOSE", "END"]


async def test_overflow__ends_the_tap_and_tells(stage: Stage) -> None:
    an = await talking(stage, "an")
    start(stage, "an")
    for sequence in range(1000):
        an.send(voice(sequence))
    assert stage.events[-1] == TapEnded(room=ROOM, tap=TAP)
    assert sum(isinstance(event, TapEnded) for event in stage.events) == 1
    assert stage.router.taps.overflows == 1
    assert stage.statistics().streams[0].packets == 1000


async def test_overflow__is_told_to_who_comes_later(stage: Stage) -> None:
    an = await talking(stage, "an")
    start(stage, "an")
    start(stage, "an", tap="second")
    for sequence in range(1000):
        an.send(voice(sequence))
    stage.do(StopTap(tap=TapId("third")))
    ended = [TapEnded(room=ROOM, tap=TapId(tap)) for tap in (TAP, "second")]
    told = [event for event in stage.router.snapshot(ROOM) if isinstance(event, TapEnded)]
    assert told == ended
    found = stage.router.taps.get(TAP)
    assert found is not None
    found.discard()
    stage.router.taps.sweep(stage.now_ns)
    stage.events.clear()
    for tap in (TAP, "second", "third"):
        start(stage, "an", tap=tap, version=1)
    assert stage.events == ended
