"""A viewer's network decides what its seats show: estimate, probes and allocation together."""

from __future__ import annotations

import pytest

from sfu.control.messages import Pictures
from tests.sfu.routing import Stage, StagePeer
from tests.sfu.simulcast import CAMERA, HEAR, SEE, Camera, Downlink


@pytest.fixture
async def an(stage: Stage) -> StagePeer:
    return await stage.peer("an", "mic", CAMERA).connected()


@pytest.fixture
async def binh(stage: Stage, an: StagePeer) -> StagePeer:
    return await stage.peer("binh", HEAR, SEE).connected()


def shown(stage: Stage) -> str:
    (row,) = (r for r in stage.statistics().legs if r.peer == "binh" and r.kind == "video")
    return row.rid


def states(stage: Stage) -> list[tuple[str, ...]]:
    return [e.seats for e in stage.events if isinstance(e, Pictures) and e.peer == "binh"]


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
