"""A viewer's network decides what its seats show: estimate, probes and allocation together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sfu.control.messages import Pictures, SeatView, View
from sfu.rtp.rtcp import ReceiverReport, Remb
from tests.sfu.routing import MS, ROOM, Stage, StagePeer, picture
from tests.sfu.simulcast import CAMERA, HEAR, SEE, Camera, Downlink, tick


@pytest.fixture
async def an(stage: Stage) -> StagePeer:
    return await stage.peer("an", "mic", CAMERA).connected()


@pytest.fixture
async def binh(stage: Stage, an: StagePeer) -> StagePeer:
    return await stage.peer("binh", HEAR, SEE).connected()


def shown(stage: Stage) -> str:
    (row,) = (r for r in stage.statistics().legs if r.peer == "binh" and r.kind == "video")
    return row.rid


def states(stage: Stage, peer: str = "binh") -> list[tuple[str, ...]]:
    return [e.seats for e in stage.events if isinstance(e, Pictures) and e.peer == peer]


def estimate(stage: Stage) -> int:
    (row,) = (r for r in stage.statistics().transports if r.peer == "binh")
    assert row.estimate_bps is not None
    return row.estimate_bps


async def test_wide_path__gets_the_best_layer_soon(
    stage: Stage, an: StagePeer, binh: StagePeer
) -> None:
    camera, path = Camera(an, talks=True), Downlink(binh, 5_000_000)
    camera.run(8, after=path.carry)
    assert shown(stage) == "f"
    assert estimate(stage) > 1_500_000
    assert states(stage) == [("off",), ("shown",)]


async def test_path_that_narrows__steps_down_within_2_s_and_back_within_10_s(
    stage: Stage, an: StagePeer, binh: StagePeer
) -> None:
    camera, path = Camera(an, talks=True), Downlink(binh, 3_000_000)
    camera.run(10, after=path.carry)
    assert shown(stage) == "f"
    path.rate_bps = 500_000
    camera.run(2, after=path.carry)
    assert shown(stage) in ("q", "")
    assert estimate(stage) < 550_000
    camera.run(8, after=path.carry)
    assert shown(stage) == "q"
    path.rate_bps = 3_000_000
    seen = set()
    for _ in range(50):
        camera.run(0.2, after=path.carry)
        seen.add(shown(stage))
    assert "f" in seen


async def test_path_for_a_voice_only__has_its_picture_stopped_and_told_why(
    stage: Stage, an: StagePeer, binh: StagePeer
) -> None:
    camera, path = Camera(an, talks=True), Downlink(binh, 64_000)
    camera.run(8, after=path.carry)
    assert states(stage)[-1] == ("network",)
    path.rate_bps = 1_000_000
    camera.run(12, after=path.carry)
    assert states(stage)[-1] == ("shown",)


async def test_pictures_that_cost_more_than_was_thought__are_not_taken_back(stage: Stage) -> None:
    """Nothing speaks against what is sent already."""
    senders = [await stage.peer(name, "mic", "cam").connected() for name in ("an", "chi")]
    binh = await stage.peer("binh", HEAR, SEE, HEAR, SEE).connected()
    path = Downlink(binh, 8_000_000)
    for number in range(1, 601):
        for sender in senders:
            frame = replace(picture(number, key=number == 1), payload=b"\x10\x01" + bytes(1100))
            sender.send(frame)
        stage.now_ns += 7 * MS
        path.carry()
        if number % 28 == 0:
            tick(stage)
    assert states(stage)[-1] == ("shown", "shown")
    assert "network" not in {state for seats in states(stage) for state in seats}


async def test_lower_layer_that_was_stopped__fewer_frames_stand_in_for_it(
    stage: Stage, an: StagePeer, binh: StagePeer
) -> None:
    camera, path = Camera(an, talks=True, temporal=True), Downlink(binh, 3_000_000)
    camera.run(8, after=path.carry)
    assert shown(stage) == "f"
    camera.on = {2}  # nobody took the others
    path.rate_bps = 1_300_000
    seen = set()
    for _ in range(10):
        camera.run(0.2, after=path.carry)
        seen.add(shown(stage))
    assert estimate(stage) < 1_300_000
    assert seen == {"f"}


def limit(viewer: StagePeer, bps: int) -> None:
    """What a viewer without numbers says that its path carries."""
    viewer.report(ReceiverReport(1), Remb(1, bps, ()))


async def test_stand_ins__cost_together_no_more_than_there_is(stage: Stage) -> None:
    senders = [await stage.peer(name, "mic", CAMERA).connected() for name in ("an", "chi", "dung")]
    cameras = [Camera(sender, temporal=True) for sender in senders]
    binh = await stage.peer("binh", *("hear", "see") * 3).connected()
    views = tuple(SeatView(seat=seat, height_px=360) for seat in range(3))
    stage.do(View(room=ROOM, peer=binh.name, seats=views))

    def run(frames: int) -> None:
        for number in range(frames):
            for camera in cameras:
                camera.frame()
            stage.now_ns += 33 * MS
            if number % 6 == 5:
                tick(stage)

    run(120)
    for camera in cameras:
        camera.on = {1}  # nobody took the others
    run(30)
    # Three of the lowest layers, and one that has half of the frames of the next in its place.
    limit(binh, 560_000)
    binh.received()
    run(30)
    sent_bps = 8 * sum(len(bytes(packet)) for packet in binh.received()) / 0.99
    assert 200_000 < sent_bps < 560_000


async def test_stand_in_that_does_not_fit__is_stopped_and_told_why(
    stage: Stage, an: StagePeer
) -> None:
    camera = Camera(an)
    binh = await stage.peer("binh", "hear", "see").connected()
    camera.run(4)
    camera.on = {2}
    camera.run(1)
    limit(binh, 600_000)
    binh.received()
    camera.run(0.4)
    assert binh.received() == []
    assert states(stage)[-1] == ("network",)
    camera.on = {0, 2}
    camera.run(0.4)
    assert states(stage)[-1] == ("shown",)


async def test_joiner__whose_first_layer_does_not_come_yet__is_not_told_of_its_network(
    stage: Stage, an: StagePeer, binh: StagePeer
) -> None:
    camera, path = Camera(an), Downlink(binh, 5_000_000)
    camera.run(8, after=path.carry)
    camera.on = {2}
    camera.run(1, after=path.carry)
    chi = await stage.peer("chi", HEAR, SEE).connected()
    camera.run(1, after=path.carry)
    assert chi.received() == []
    camera.on = {0, 2}
    camera.run(0.4, after=path.carry)
    assert states(stage, "chi") == [("off",), ("shown",)]
