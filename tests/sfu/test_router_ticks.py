"""What is done by the clock, when it fails for one of those for whom it is done."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from sfu.control.messages import CloseRoom, Flows, Layers, OpenRoom, Speakers
from sfu.ids import RoomId
from sfu.router import ticks
from sfu.router.state import Home
from sfu.rtp.extensions import extension_block
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import ReceiverReport, Remb, TransportFeedback
from sfu.transport.description import TRANSPORT_CC_URI
from tests.sfu.offers import Line
from tests.sfu.routing import ROOM, SECOND, Stage, StagePeer, picture, voice

NUMBERED = Line("mic", extra=(f"a=extmap:5 {TRANSPORT_CC_URI}", "a=rtcp-fb:111 transport-cc"))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """One on which faults may happen."""
    stage = Stage()
    yield stage
    await stage.close()


def home_of(stage: Stage, peer: StagePeer) -> Home:
    return next(home for home in stage.router.homes() if home.peer.id == peer.name)


def fail(*_: object, **__: object) -> None:
    raise RuntimeError


async def numbered(stage: Stage) -> tuple[StagePeer, StagePeer]:
    """Two who number what they send, and have sent something."""
    first = await stage.peer("an", NUMBERED).connected()
    second = await stage.peer("binh", NUMBERED).connected()
    extension = extension_block([(4, b"0"), (5, b"\0\1")])[4:]
    for peer in (first, second):
        peer.send(RtpPacket(111, 1, 960, 11, b"opus", False, (), 0xBEDE, extension))
        peer.told()
    return first, second


async def test_feedback__a_fault_costs_one_peer_and_is_counted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await numbered(stage)
    monkeypatch.setattr(home_of(stage, first).connection, "uplink", None)
    with caplog.at_level(logging.ERROR):
        ticks.feedback(stage.router)
        ticks.feedback(stage.router)
    assert len(second.told(TransportFeedback)) == 1
    assert stage.router.state.faults.count == 2
    assert caplog.text.count("work by the clock failed: room room, peer an") == 1


async def test_reports__a_fault_costs_one_peer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await numbered(stage)
    with monkeypatch.context() as patch:
        patch.setattr(home_of(stage, first).connection, "publisher", None)
        ticks.reports(stage.router, stage.now_ns)
    assert first.told(ReceiverReport) == []
    assert len(second.told(ReceiverReport)) == 1
    assert stage.router.state.faults.count == 1


async def test_bitrate__a_fault_costs_one_peer(
    stage: Stage, pair: tuple[StagePeer, StagePeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for peer in pair:
        peer.send(picture(1, key=True))
    monkeypatch.setattr(home_of(stage, pair[0]).connection.uplink, "limit", fail)
    ticks.bitrate(stage.router)
    assert [len(peer.told(Remb)) for peer in pair] == [0, 1]
    assert stage.router.state.faults.count == 1


async def test_repair_and_probing__a_fault_costs_one_peer(
    stage: Stage, pair: tuple[StagePeer, StagePeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(stage, pair[0])
    handle = home.connection.transport.handle
    stage.router.state.probing[handle] = home
    monkeypatch.setattr(home.connection.downlink, "probe", fail)
    for peer in pair:
        peer.send(picture(1, key=True))
        peer.send(picture(3))
    monkeypatch.setattr(home.connection, "ssrc", "none")
    stage.now_ns += 100_000_000
    ticks.repair(stage.router, stage.now_ns)
    assert stage.router.state.feedback.nack_sent == 1
    assert stage.router.state.faults.count == 2


async def test_reports__a_stream_that_fell_silent__keeps_no_payload(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    for sequence in range(50):
        an.send(picture(sequence, key=sequence == 0))
    (stream,) = home_of(stage, an).connection.publisher
    slots = stage.engine._streams[stream.handle].inbound.history._slots
    assert len([slot for slot in slots if slot.payload]) == 50
    for _ in range(6):
        stage.now_ns += SECOND
        ticks.reports(stage.router, stage.now_ns)
    assert not any(slot.payload for slot in slots)
    binh.received()
    an.send(picture(49))  # the last one again, which went out already
    an.send(picture(50))
    assert len(binh.received()) == 1


async def test_pictures_speakers_flows__a_fault_costs_one_room(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.do(CloseRoom(room=ROOM))
    stage.do(OpenRoom(room=RoomId("broken")))
    stage.do(OpenRoom(room=ROOM))
    an = await stage.peer("an", "mic", "cam").connected()
    broken = stage.router.rooms[RoomId("broken")]
    with monkeypatch.context() as patch:
        for name in ("measure", "hear", "connections", "settle"):
            patch.setattr(broken, name, fail)
        for step in range(25):
            an.send(picture(1 + step, key=True))
            an.send(voice(1 + step, level=10))
            stage.now_ns += SECOND // 5
            stage.router.state.change(broken)
            ticks.pictures(stage.router, stage.now_ns)
            ticks.speakers(stage.router, stage.now_ns)
            ticks.flows(stage.router, stage.now_ns)
        ticks.housekeeping(stage.router, stage.now_ns)
    told = {type(event) for event in stage.events}
    assert {Layers, Speakers, Flows} <= told
    assert stage.router.rooms[ROOM].active_ns == stage.now_ns
    assert stage.router.state.faults.count == 4 * 25 + 1


async def test_permit__a_fault_while_settling__takes_all_from_the_peer_and_is_mended_soon(
    stage: Stage, pair: tuple[StagePeer, StagePeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    an.send(voice(1))
    assert len(binh.received()) == 2
    room = stage.router.rooms[ROOM]
    with monkeypatch.context() as patch:
        patch.setattr(room, "_settle_seats", fail)
        stage.permit("binh", (), receive=False, version=1)
        for step in range(2, 12):
            an.send(picture(step, key=True))
            an.send(voice(step))
            ticks.pictures(stage.router, stage.now_ns)
            ticks.repair(stage.router, stage.now_ns)
        assert stage.router.state.faults.count == 1, "not tried again at once"
        assert binh.received() == []
    stage.now_ns += SECOND // 5
    ticks.repair(stage.router, stage.now_ns)
    assert stage.router.state.faults.count == 1
    assert stage.seating("binh") == [None]
    stage.do(CloseRoom(room=ROOM))
