"""Who waits for a key frame, on a real engine."""

from __future__ import annotations

from sfu.control.messages import Permit, RemovePeer, SeatView, StartTap, StopTap, View
from sfu.ids import SourceId, TapId
from sfu.router import ticks
from sfu.rtp.rtcp import Goodbye, PictureLossIndication, ReceiverReport
from sfu.transport.lifecycle import SILENCE_NS
from tests.sfu.routing import CALL, MS, ROOM, Stage, StagePeer, picture
from tests.sfu.simulcast import CAMERA, SSRCS, Camera, tick


async def test_viewers_who_leave_before_the_key_frame__are_not_kept(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    requests = stage.router.state.key_frames
    for name in ("binh", "chi", "dung"):
        viewer = await stage.peer(name, "hear", "see").connected()
        assert len(requests._waits_for) == 1
        stage.do(RemovePeer(room=ROOM, peer=viewer.name))
        assert len(requests._waits_for) == 0
    assert requests._waiting == {}


async def test_taps_that_end_before_the_key_frame__are_not_kept(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    requests = stage.router.state.key_frames
    stage.do(StartTap(room=ROOM, tap=TapId("tap"), version=1, peers=(an.name,)))
    assert len(requests._waits_for) == 1
    stage.do(StopTap(tap=TapId("tap")))
    assert len(requests._waits_for) == 0


async def test_viewer_who_is_lost_before_the_key_frame__is_not_kept(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    await stage.peer("binh", "hear", "see").connected()
    requests = stage.router.state.key_frames
    assert len(requests._waits_for) == 1
    stage.transports.watch(stage.now_ns)
    stage.now_ns += SILENCE_NS
    an.check()
    stage.transports.watch(stage.now_ns)
    assert requests._waiting == {}


def asked(peer: StagePeer) -> list[int]:
    """The SSRCs that a peer was asked for key frames of, since the last look."""
    return [packet.media_ssrc for packet in peer.told(PictureLossIndication)]


def shown(stage: Stage, peer: str) -> str:
    (row,) = (r for r in stage.statistics().legs if r.peer == peer and r.kind == "video")
    return row.rid


def draw(stage: Stage, viewer: StagePeer, height_px: int) -> None:
    stage.do(View(room=ROOM, peer=viewer.name, seats=(SeatView(seat=0, height_px=height_px),)))
    tick(stage)


async def test_another_size__waits_until_the_source_had_its_rest(stage: Stage) -> None:
    an = await stage.peer("an", "mic", CAMERA).connected()
    camera = Camera(an)
    binh = await stage.peer("binh", "hear", "see").connected()
    chi = await stage.peer("chi", "hear", "see").connected()
    for viewer in (binh, chi):
        draw(stage, viewer, 150)
    camera.run(2)
    asked(an)
    draw(stage, binh, 360)
    assert asked(an) == [SSRCS[1]]
    stage.now_ns += 20 * MS
    draw(stage, chi, 720)
    assert asked(an) == [], "one was asked for just now, and chi has a picture"
    stage.now_ns += 1000 * MS
    tick(stage)
    assert asked(an) == [SSRCS[1], SSRCS[2]]


async def test_no_picture_yet__is_asked_for_as_soon_as_the_browser_listens(stage: Stage) -> None:
    an = await stage.peer("an", "mic", CAMERA).connected()
    camera = Camera(an)
    binh = await stage.peer("binh", "hear", "see").connected()
    draw(stage, binh, 150)
    camera.run(2)
    asked(an)
    draw(stage, binh, 360)
    assert asked(an) == [SSRCS[1]]
    stage.now_ns += 20 * MS
    await stage.peer("chi", "hear", "see").connected()
    tick(stage)
    assert asked(an) == []
    stage.now_ns += 320 * MS
    tick(stage)
    assert SSRCS[2] in asked(an)


async def test_key_frame_that_came_too_late__is_asked_for_again(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    await stage.peer("binh", "hear", "see").connected()
    tick(stage)
    assert len(asked(an)) == 1
    for sequence in range(3, 203):
        an.send(picture(sequence))
    an.send(picture(2, key=True))
    stage.now_ns += 1100 * MS
    tick(stage)
    assert len(asked(an)) == 1
    an.send(picture(203, key=True))
    stage.now_ns += 1100 * MS
    tick(stage)
    assert asked(an) == []


async def test_whoever_may_not_send__is_not_asked(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    await stage.peer("binh", "hear", "see").connected()
    tick(stage)
    asked(an)
    stage.do(Permit(room=ROOM, peer=an.name, send=(), receive=True))
    for sequence in range(2, 5):
        an.send(picture(sequence))
        stage.now_ns += 1100 * MS
        tick(stage)
    assert asked(an) == []


async def test_sender_that_was_silent__is_asked_as_soon_as_it_sends(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    tick(stage)
    for _ in range(2):
        stage.now_ns += 1000 * MS
        ticks.reports(stage.router, stage.now_ns)
    await stage.peer("binh", "hear", "see").connected()
    tick(stage)
    assert asked(an) == [], "nobody would answer"
    an.send(picture(2))
    tick(stage)
    assert len(asked(an)) == 1


async def test_viewer_whose_path_moves__is_served_by_one_key_frame(stage: Stage) -> None:
    an = await stage.peer("an", "mic", CAMERA).connected()
    camera = Camera(an)
    binh = await stage.peer("binh", "hear", "see").connected()
    draw(stage, binh, 150)
    camera.run(3)
    before = sum(map(len, camera.asked_at.values()))
    binh.address = ("192.0.2.2", 4321)
    binh.check()
    camera.run(5)
    assert sum(map(len, camera.asked_at.values())) == before + 1


async def test_layer_that_stops__the_next_is_asked_for_though_another_was_just_now(
    stage: Stage,
) -> None:
    an = await stage.peer("an", "mic", CAMERA).connected()
    camera = Camera(an)
    await stage.peer("binh", "hear", "see").connected()
    camera.run(6)
    camera.on = {0, 1}
    camera.run(0.4)
    chi = stage.peer("chi", "hear", "see")
    draw(stage, chi, 150)
    await chi.connected()
    camera.run(0.4)
    assert shown(stage, "binh") == "h"


async def waits_for_a_larger(stage: Stage) -> tuple[Camera, StagePeer]:
    """A viewer who sees the lowest layer of a camera and waits for the next."""
    an = await stage.peer("an", "mic", CAMERA).connected()
    camera = Camera(an)
    binh = await stage.peer("binh", "hear", "see").connected()
    draw(stage, binh, 150)
    camera.run(2)
    camera.answers = False
    draw(stage, binh, 360)
    camera.run(0.4)
    (leg,) = stage.router.state.key_frames._waits_for
    assert (leg.stream and leg.stream.rid, leg.shown and leg.shown.rid) == ("h", "q")
    camera.on = {0}
    binh.received()
    return camera, binh


async def test_layer_that_is_waited_for__goes__the_one_that_is_shown_goes_on(stage: Stage) -> None:
    camera, binh = await waits_for_a_larger(stage)
    camera.peer.report(ReceiverReport(SSRCS[1]), Goodbye((SSRCS[1],)))
    camera.run(1)
    assert len(binh.received()) == 30
    assert stage.router.state.key_frames._waits_for == {}


async def test_layer_that_is_waited_for__goes_while_the_viewer_is_nowhere__shown_when_it_is_back(
    stage: Stage,
) -> None:
    camera, binh = await waits_for_a_larger(stage)
    former = stage.engine.holder(binh.address)
    assert former is not None
    stage.engine.set_address(former, None)
    camera.peer.report(ReceiverReport(SSRCS[1]), Goodbye((SSRCS[1],)))
    stage.engine.set_address(former, binh.address)
    camera.frame(key=True)
    assert len(binh.received()) == 1


async def test_person_who_is_waited_for__leaves__the_one_who_is_seen_goes_on(stage: Stage) -> None:
    an = await stage.peer("an", "mic", "cam").connected()
    chi = await stage.peer("chi", "mic", "cam").connected()
    binh = await stage.peer("binh", "hear", "see").connected()
    an.send(picture(1, key=True))
    chi.send(picture(1, ssrc=22, key=True))
    stage.do(View(room=ROOM, peer=binh.name, pinned=(SourceId("chi/camera"),)))
    assert stage.seating("binh") == ["chi/camera"]
    an.send(picture(2))
    chi.send(picture(2, ssrc=22))
    assert len(binh.received()) == 2
    stage.do(RemovePeer(room=ROOM, peer=chi.name))
    assert stage.seating("binh") == ["an/camera"]
    an.send(picture(3))
    assert len(binh.received()) == 1


async def test_recorder_that_goes_back_to_what_it_takes__waits_no_more(stage: Stage) -> None:
    an = await stage.peer("an", "mic", CAMERA).connected()
    camera = Camera(an)
    stage.do(StartTap(room=ROOM, tap=TapId("tap"), version=1, peers=(an.name,)))
    camera.run(3)
    camera.on = {0, 1}
    for _ in range(18):  # until the best layer counts as stopped
        camera.frame()
        stage.now_ns += 33 * MS
    camera.answers = False
    tick(stage)
    camera.on = {0, 1, 2}
    camera.run(0.4)
    requests = stage.router.state.key_frames
    assert requests._waits_for == {}
