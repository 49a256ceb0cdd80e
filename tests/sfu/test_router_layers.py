"""Simulcast through the router: who gets which layer, and which layers are stopped."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sfu.control.messages import Layers, Pictures, SeatView, View
from sfu.rtp.rtcp import PictureLossIndication, ReceiverReport
from tests.sfu.offers import Line
from tests.sfu.routing import MS, ROOM, SECOND, Stage, StagePeer
from tests.sfu.simulcast import CAMERA, RIDS, SSRCS, Camera, tick

CALL = ("mic", CAMERA, "hear", "see")


@pytest.fixture
async def an(stage: Stage) -> StagePeer:
    return await stage.peer("an", *CALL).connected()


@pytest.fixture
async def binh(stage: Stage, an: StagePeer) -> StagePeer:
    return await stage.peer("binh", "mic", "cam", "hear", "see").connected()


def draw(stage: Stage, peer: StagePeer, height_px: int) -> None:
    stage.do(View(room=ROOM, peer=peer.name, seats=(SeatView(seat=0, height_px=height_px),)))


def shown(stage: Stage, peer: str) -> str:
    """The layer that a peer's first seat shows."""
    (row,) = (r for r in stage.statistics().legs if r.peer == peer and r.kind == "video")
    return row.rid


def told(stage: Stage) -> list[dict[str, bool]]:
    """What an's camera was told to send, each time that it was told."""
    events = [e for e in stage.events if isinstance(e, Layers) and e.peer == "an"]
    return [{layer.rid: layer.active for layer in event.layers} for event in events]


async def test_layers__are_streams_of_one_source(stage: Stage, binh: StagePeer) -> None:
    camera = Camera(stage.peers[0])
    camera.frame(key=True)
    rows = stage.statistics().streams
    assert [(row.rid, row.source) for row in rows] == [(rid, "an/camera") for rid in RIDS]
    assert [row.packets for row in rows] == [1, 2, 5]


@pytest.mark.parametrize(("height_px", "rid"), [(150, "q"), (360, "h"), (720, "f")])
async def test_view__decides_the_layer(
    stage: Stage, binh: StagePeer, height_px: int, rid: str
) -> None:
    camera = Camera(stage.peers[0])
    draw(stage, binh, height_px)
    camera.run(6)
    assert shown(stage, "binh") == rid


async def test_switch__leaves_no_gap_in_the_sequence(stage: Stage, binh: StagePeer) -> None:
    camera = Camera(stage.peers[0])
    draw(stage, binh, 150)
    camera.run(1)
    draw(stage, binh, 720)
    camera.run(6)
    assert shown(stage, "binh") == "f"
    packets = binh.received()
    numbers = [packet.sequence for packet in packets]
    assert numbers == [(numbers[0] + n) % 65_536 for n in range(len(numbers))]
    assert {packet.ssrc for packet in packets} == {binh.ssrc(0, "video")}


async def test_layers_that_nobody_takes__are_stopped_and_started_at_once(
    stage: Stage, binh: StagePeer
) -> None:
    camera = Camera(stage.peers[0])
    draw(stage, binh, 150)
    camera.run(4)
    assert told(stage)[-1] == {"q": True, "h": False, "f": False}
    camera.on = {0}
    camera.run(1)
    draw(stage, binh, 360)
    camera.run(2.5)
    assert told(stage)[-1] == {"q": True, "h": True, "f": False}
    assert shown(stage, "binh") == "q"  # until the other comes
    camera.on = {0, 1}
    camera.run(1)
    assert shown(stage, "binh") == "h"
    camera.run(3)
    assert told(stage)[-1] == {"q": False, "h": True, "f": False}


async def test_camera_that_nobody_sees__is_stopped_whole(stage: Stage, an: StagePeer) -> None:
    camera = Camera(an)
    camera.run(4)
    # First all: it may still go by what its last connection was told.
    assert told(stage) == [dict.fromkeys(RIDS, True), dict.fromkeys(RIDS, False)]


@pytest.mark.parametrize("camera", ["cam", CAMERA])
async def test_camera_that_never_sends__is_told_of_once(stage: Stage, camera: str | Line) -> None:
    peers = [
        await stage.peer("an", "mic", camera).connected(),
        await stage.peer("binh", "hear", "see").connected(),
    ]
    for _ in range(100):
        stage.now_ns += 200 * MS
        for peer in peers:
            peer.check()
        tick(stage)
    assert len([e for e in stage.events if isinstance(e, Pictures) and e.peer == "binh"]) == 1
    assert [set(sent.values()) for sent in told(stage)] == [{True}]


async def test_layer_that_falls_silent__is_replaced_by_the_next_lower(
    stage: Stage, binh: StagePeer
) -> None:
    camera = Camera(stage.peers[0])
    camera.run(6)
    assert shown(stage, "binh") == "f"
    camera.on = {0, 1}
    camera.run(1.5)
    assert shown(stage, "binh") == "h"
    camera.on = {0, 1, 2}
    camera.run(1)
    assert shown(stage, "binh") == "f"


async def test_hidden_seat__gets_nothing_and_is_told_so(stage: Stage, binh: StagePeer) -> None:
    camera = Camera(stage.peers[0])
    camera.run(1)
    draw(stage, binh, 0)
    binh.received()
    camera.run(4)
    assert binh.received() == []
    states = [e.seats for e in stage.events if isinstance(e, Pictures) and e.peer == "binh"]
    assert states[-1] == ("hidden",)
    assert told(stage)[-1] == dict.fromkeys(RIDS, False)


async def test_many_joiners__are_served_by_one_request(stage: Stage, binh: StagePeer) -> None:
    an = stage.peers[0]
    camera = Camera(an)
    camera.run(3)
    an.told()
    for name in ("chi", "dung", "giang"):
        await stage.peer(name, "mic", "hear", "see").connected()
    tick(stage)
    asked = [p.media_ssrc for p in an.told(PictureLossIndication)]
    assert len(asked) == len(set(asked))
    camera.frame(key=True)
    for peer in stage.peers[2:]:
        assert len(peer.received()) == 5


async def test_waiting_person__no_layer_and_no_repair_of_it_crosses(
    stage: Stage, binh: StagePeer
) -> None:
    stage.permit("cho", (), receive=False)
    waiting = await stage.peer("cho", *CALL, permitted=False).connected()
    camera = Camera(waiting)
    for layer in range(3):
        packet = camera.packet(layer, key=True)
        waiting.send(packet)
        waiting.send(camera.repair(layer, camera.packet(layer)))
    assert binh.received() == []
    sent = {row.peer: row.rtp_sent_packets for row in stage.statistics().transports}
    assert set(sent.values()) == {0}
    stage.now_ns += SECOND
    stage.permit("cho", version=1)
    camera.run(1)
    stage.permit("cho", (), receive=False, version=2)
    for peer in stage.peers:
        peer.received()
    lost = camera.packet(1)
    camera.run(1)
    waiting.send(camera.repair(1, lost))
    assert all(peer.received() == [] for peer in stage.peers)


async def test_repair__brings_a_lost_packet_to_the_viewer(stage: Stage, binh: StagePeer) -> None:
    an = stage.peers[0]
    camera = Camera(an)
    draw(stage, binh, 150)
    camera.run(1)
    binh.received()
    lost = camera.packet(0)
    camera.run(0.2)
    an.send(camera.repair(0, lost))
    assert lost.payload in [packet.payload for packet in binh.received()]
    row = next(r for r in stage.statistics().streams if r.rid == "q")
    assert (row.repaired, row.lost) == (1, 0)
    assert {s.ssrc for _, s in stage.router.state.streams()} == {*SSRCS}


async def test_joiner__just_after_a_request__begins_with_a_layer_that_may_be_asked_now(
    stage: Stage, binh: StagePeer
) -> None:
    camera = Camera(stage.peers[0])
    camera.run(6)
    assert shown(stage, "binh") == "f"
    camera.asked_at.clear()
    binh.report(ReceiverReport(1), PictureLossIndication(1, binh.ssrc(0, "video")))
    camera.run(0.1)
    assert set(camera.asked_at) == {SSRCS[2]}
    chi = await stage.peer("chi", "mic", "hear", "see").connected()
    camera.run(0.4)
    assert chi.received() != []
    camera.run(4)
    assert shown(stage, "chi") == "f"
    for times in camera.asked_at.values():
        assert all(b - a >= 0.95 * SECOND for a, b in pairwise(times))


def outage(stage: Stage, camera: Camera, seconds: int) -> None:
    """The camera alone is heard."""
    for _ in range(seconds):
        camera.peer.check()
        stage.transports.watch(stage.now_ns)
        camera.run(1)


async def test_viewer_who_is_gone__keeps_the_lowest_layer_only_and_asks_for_nothing(
    stage: Stage, binh: StagePeer
) -> None:
    camera = Camera(stage.peers[0])
    camera.run(6)
    assert told(stage)[-1]["f"]
    stage.now_ns += SECOND
    binh.report(ReceiverReport(1), PictureLossIndication(1, binh.ssrc(0, "video")))
    outage(stage, camera, 24)
    assert shown(stage, "binh") == ""
    assert told(stage)[-1] == {"q": True, "h": False, "f": False}
    camera.asked_at.clear()
    camera.run(4)
    assert camera.asked_at == {}
    binh.check()
    camera.run(3)
    assert told(stage)[-1] == {"q": False, "h": False, "f": True}
    assert shown(stage, "binh") == "f"
