"""What nobody looks at is not sent: from the SFU within a second, from the camera within five."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sfu.control.messages import LegRow
from tests.support.eventually import eventually
from tests.support.studio import CAMERAS, Studio, studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EGRESS_ENDS_WITHIN_MS = 1000
INGRESS_ENDS_WITHIN_MS = 5000
#: How long nothing may come for it to count as nothing.
LOOK_MS = 1500
LONGEST_FREEZE_MS = 500.0
#: A camera that is asked for a layer again needs a moment to begin.
BACK_WITHIN_S = 3.0
LOW_PX, TALL_PX = 136, 544


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Studio]:
    """One camera and two who watch it whole."""
    async with studio(tmp_path) as made:
        await made.send("camera", CAMERAS[0], "VP8")
        for viewer in ("first", "second"):
            await made.watch(viewer, 1)
            await made.view(viewer, [TALL_PX])
        await sees(made, "first", TALL_PX)
        await sees(made, "second", TALL_PX)
        yield made


async def sees(stage: Studio, viewer: str, height_px: int, *, within_s: float = 30) -> None:
    """Wait until a viewer sees the camera in this size."""

    async def complaint() -> str | None:
        (seat,) = await stage.seen(viewer)
        tall = seat.is_awake and seat.size.endswith(f"x{height_px}")
        return None if tall else f"{viewer} sees {seat.size or 'nothing'}"

    await eventually(complaint, within_s=within_s)


async def leg(stage: Studio, viewer: str) -> LegRow:
    """The SFU's picture for a viewer."""
    rows = (await stage.statistics()).legs
    (row,) = (row for row in rows if row.peer == viewer and row.kind == "video")
    return row


async def arrived(stage: Studio) -> dict[str, int]:
    """Packets of each of the camera's layers that have come to the SFU."""
    rows = (await stage.statistics()).streams
    return {row.rid: row.packets for row in rows if row.kind == "video"}


async def longest_gap_ms(stage: Studio, viewer: str) -> float:
    """Between frames of a viewer, since the last look."""
    (seat,) = await stage.seen(viewer)
    return max([*seat.gaps_ms, seat.open_ms])


async def test_hidden_seat__its_egress_is_nothing_within_a_second(stage: Studio) -> None:
    await stage.seen("first")
    await stage.view("second", [0])
    await stage.pause(EGRESS_ENDS_WITHIN_MS)
    before = await leg(stage, "second")
    others = await leg(stage, "first")
    await stage.pause(LOOK_MS)
    after = await leg(stage, "second")
    assert (after.packets, after.resent) == (before.packets, before.resent)
    assert (await leg(stage, "first")).packets > others.packets, "the other goes on"
    assert await longest_gap_ms(stage, "first") < LONGEST_FREEZE_MS
    await stage.view("second", [TALL_PX])
    await sees(stage, "second", TALL_PX, within_s=BACK_WITHIN_S)


async def test_unwanted_layers__stop_at_the_camera__and_come_back_without_a_freeze(
    stage: Studio,
) -> None:
    for viewer in ("first", "second"):
        await stage.view(viewer, [LOW_PX])
    await stage.pause(INGRESS_ENDS_WITHIN_MS)
    before = await arrived(stage)
    await stage.pause(LOOK_MS)
    after = await arrived(stage)
    assert after["q"] > before["q"]
    assert (after["h"], after["f"]) == (before["h"], before["f"])
    for viewer in ("first", "second"):
        assert await longest_gap_ms(stage, viewer) < LONGEST_FREEZE_MS
    await stage.view("second", [TALL_PX])
    await sees(stage, "second", TALL_PX, within_s=BACK_WITHIN_S)
    assert (await arrived(stage))["f"] > after["f"]
    for viewer in ("first", "second"):
        assert await longest_gap_ms(stage, viewer) < LONGEST_FREEZE_MS


async def test_nobody_looks__the_camera_rests__and_wakes_at_once(stage: Studio) -> None:
    for viewer in ("first", "second"):
        await stage.view(viewer, [0])
    await stage.pause(INGRESS_ENDS_WITHIN_MS)
    before = await arrived(stage)
    await stage.pause(LOOK_MS)
    assert await arrived(stage) == before
    await stage.view("second", [TALL_PX])
    await stage.all_awake(["second"])
    (wake_ms,) = stage.wakes_ms["second"]
    assert wake_ms < BACK_WITHIN_S * 1000
