"""When a key frame is asked for, and when no more, on a real engine."""

from __future__ import annotations

import pytest

from sfu.control.messages import RemovePeer, SeatView, View
from sfu.forwarder.contract import StreamCounters, StreamHandle
from sfu.ids import SourceId
from sfu.router import ticks
from sfu.rtp.rtcp import PictureLossIndication, ReceiverReport, Remb
from tests.sfu.routing import CALL, MS, ROOM, Stage, StagePeer, picture
from tests.sfu.simulcast import CAMERA, SSRCS, Camera, tick


def asked(peer: StagePeer) -> set[int]:
    """The SSRCs that a peer was asked for key frames of, since the last look."""
    return {packet.media_ssrc for packet in peer.told(PictureLossIndication)}


def asked_after(stage: Stage, peer: StagePeer, after_ms: int) -> set[int]:
    stage.now_ns += after_ms * MS
    tick(stage)
    return asked(peer)


def break_picture(viewer: StagePeer) -> None:
    """The viewer cannot decode what it is shown, and says so; then a moment passes."""
    viewer.report(ReceiverReport(1), PictureLossIndication(1, viewer.ssrc(0, "video")))
    viewer.stage.now_ns += 20 * MS


def draw(stage: Stage, viewer: StagePeer, height_px: int) -> None:
    stage.do(View(room=ROOM, peer=viewer.name, seats=(SeatView(seat=0, height_px=height_px),)))
    tick(stage)


def pin(stage: Stage, viewer: StagePeer, peer: str) -> None:
    stage.do(View(room=ROOM, peer=viewer.name, pinned=(SourceId(f"{peer}/camera"),)))


async def two_viewers(stage: Stage, height_px: int) -> tuple[Camera, StagePeer, StagePeer]:
    """A camera that was left alone for a while; binh draws it so tall, and chi small."""
    an = await stage.peer("an", "mic", CAMERA).connected()
    camera = Camera(an)
    binh = await stage.peer("binh", "hear", "see").connected()
    chi = await stage.peer("chi", "hear", "see").connected()
    draw(stage, binh, height_px)
    draw(stage, chi, 150)
    camera.run(5)
    asked(an)
    camera.asked_at.clear()
    return camera, binh, chi


async def test_layer_for_a_path_that_narrowed__is_asked_for_soon(stage: Stage) -> None:
    camera, binh, chi = await two_viewers(stage, 720)
    break_picture(chi)
    assert asked(camera.peer) == {SSRCS[0]}
    binh.report(ReceiverReport(1), Remb(1, 700_000, ()))
    assert asked_after(stage, camera.peer, 340) == {SSRCS[1]}


async def test_layer_for_a_smaller_view__can_wait(stage: Stage) -> None:
    camera, binh, chi = await two_viewers(stage, 720)
    break_picture(chi)
    assert asked(camera.peer) == {SSRCS[0]}
    draw(stage, binh, 360)
    assert asked_after(stage, camera.peer, 340) == set()
    assert SSRCS[1] in asked_after(stage, camera.peer, 680)


async def test_another_camera_in_the_seat__is_asked_for_soon(stage: Stage) -> None:
    camera, binh, chi = await two_viewers(stage, 720)
    dung = await stage.peer("dung", "mic", "cam").connected()
    dung.send(picture(1, key=True))
    pin(stage, chi, "an")
    pin(stage, binh, "dung")
    dung.send(picture(2, key=True))
    camera.run(1.5)
    asked(camera.peer)
    break_picture(chi)
    assert asked(camera.peer) == {SSRCS[0]}
    pin(stage, binh, "an")
    dung.send(picture(3))
    assert asked_after(stage, camera.peer, 340) == {SSRCS[2]}


async def test_requests_that_can_wait__go_out_with_one_that_cannot(stage: Stage) -> None:
    camera, binh, chi = await two_viewers(stage, 360)
    break_picture(binh)
    assert asked(camera.peer) == {SSRCS[1]}
    camera.frame(key=True)
    draw(stage, binh, 720)
    break_picture(chi)
    stage.now_ns += 340 * MS
    ticks.repair(stage.router, stage.now_ns)
    assert asked(camera.peer) == {SSRCS[0], SSRCS[2]}


@pytest.mark.parametrize("height_px", [150, 0])
async def test_layer_that_nobody_waits_for_any_more__is_not_asked_for(
    stage: Stage, height_px: int
) -> None:
    camera, binh, chi = await two_viewers(stage, 150)
    break_picture(chi)
    asked(camera.peer)
    camera.frame(key=True)
    draw(stage, binh, 720)
    requests = stage.router.state.key_frames
    assert len(requests._waits_for) == 1
    draw(stage, binh, height_px)
    assert requests._waits_for == {}
    camera.run(3)
    assert camera.asked_at == {}


async def test_viewers_who_leave__have_nothing_asked_for(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    binh = await stage.peer("binh", "hear", "see").connected()
    assert asked(an) == {21}
    an.send(picture(2, key=True))
    assert asked_after(stage, an, 100) == set()
    chi = await stage.peer("chi", "hear", "see").connected()
    tick(stage)
    for viewer in (binh, chi):
        stage.do(RemovePeer(room=ROOM, peer=viewer.name))
    an.send(picture(3))
    assert asked_after(stage, an, 1100) == set()


async def test_joiner__does_not_wait_for_a_request_that_is_not_out_yet(stage: Stage) -> None:
    camera, binh, chi = await two_viewers(stage, 720)
    break_picture(binh)
    camera.run(0.1)
    assert set(camera.asked_at) == {SSRCS[2]}
    draw(stage, chi, 720)
    assert asked(camera.peer) == set()
    dung = await stage.peer("dung", "hear", "see").connected()
    camera.run(0.4)
    assert dung.received() != []


async def test_joiner__is_served_by_the_request_that_is_out(stage: Stage) -> None:
    camera, binh, _ = await two_viewers(stage, 720)
    break_picture(binh)
    assert asked(camera.peer) == {SSRCS[2]}
    stage.now_ns += 100 * MS
    dung = await stage.peer("dung", "hear", "see").connected()
    assert asked_after(stage, camera.peer, 400) == set()
    camera.frame(key=True)
    assert len(dung.received()) == 5


async def test_path_that_moves__what_is_shown_is_asked_for_though_a_better_layer_is_to_come(
    stage: Stage,
) -> None:
    camera, binh, _ = await two_viewers(stage, 360)
    camera.on = {0, 1}
    camera.run(3)
    draw(stage, binh, 1080)
    camera.run(0.4)
    camera.asked_at.clear()
    binh.address = ("192.0.2.2", 4321)
    binh.check()
    camera.run(0.4)
    assert set(camera.asked_at) == {SSRCS[1]}


async def test_path_that_moves__cannot_wait(stage: Stage) -> None:
    camera, binh, chi = await two_viewers(stage, 720)
    break_picture(chi)
    assert asked(camera.peer) == {SSRCS[0]}
    binh.address = ("192.0.2.2", 4321)
    binh.check()
    assert asked_after(stage, camera.peer, 340) == {SSRCS[2]}


async def test_counters__are_read_neither_for_each_report_nor_for_cameras_that_are_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    binh = await stage.peer("binh", "hear", "see").connected()
    tick(stage)
    for _ in range(2):
        ticks.reports(stage.router, stage.now_ns)
    an.send(picture(2))
    tick(stage)
    looked: list[StreamHandle] = []
    read = stage.engine.stream_counters

    def look(handle: StreamHandle) -> StreamCounters:
        looked.append(handle)
        return read(handle)

    monkeypatch.setattr(stage.engine, "stream_counters", look)
    binh.report(ReceiverReport(1))
    assert looked == []
    ticks.repair(stage.router, stage.now_ns)
    assert len(looked) == 1
    for _ in range(2):
        stage.now_ns += 1000 * MS
        ticks.reports(stage.router, stage.now_ns)
    looked.clear()
    ticks.repair(stage.router, stage.now_ns)
    assert looked == []
