"""The three programs' metrics tell of a call, and promtool finds no fault with them."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.gathering import Gathering
from tests.support.scrape import metric, scrape

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def _promtool(text: str) -> str:
    """What ``promtool check metrics`` has to complain of."""
    process = await asyncio.create_subprocess_exec(
        "promtool",
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(text.encode())
    return output.decode() if process.returncode or output else ""


async def test_metrics_show_the_call(gathering: Gathering) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await clinician.press("record")
    await citizen.see("recording-sign")
    await citizen.frames_go_on(more=40)
    signaling = await scrape(gathering.stack.urls[0])
    sfu = await scrape(f"http://127.0.0.1:{gathering.stack.sfu.ready['control_port']}")
    recorder = await scrape(f"http://127.0.0.1:{gathering.stack.recorder.ready['control_port']}")
    for text in (signaling, sfu, recorder):
        assert await _promtool(text) == ""
        assert gathering.created.id not in text
        assert gathering.citizen_id not in text
    assert metric(signaling, "vtelehealth_signaling_participants") >= 2
    assert metric(sfu, "vtelehealth_sfu_transports") >= 2
    assert metric(recorder, "vtelehealth_recorder_recordings") >= 1
