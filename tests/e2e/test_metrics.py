"""The three programs' metrics tell of a call, and promtool finds no fault with them."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from tests.e2e.gathering import Gathering

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def _metrics(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        assert response.status == 200
        return await response.text()


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


def _value(text: str, name: str) -> float:
    """The sum of a metric over its labels."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    assert found, f"no metric {name}"
    return sum(float(value) for value in found)


async def test_metrics_show_the_call(gathering: Gathering) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await clinician.press("record")
    await citizen.see("recording-sign")
    await citizen.frames_go_on(more=40)
    signaling = await _metrics(gathering.stack.urls[0])
    sfu = await _metrics(f"http://127.0.0.1:{gathering.stack.sfu.ready['control_port']}")
    recorder = await _metrics(f"http://127.0.0.1:{gathering.stack.recorder.ready['control_port']}")
    for text in (signaling, sfu, recorder):
        assert await _promtool(text) == ""
        assert gathering.created.id not in text
        assert gathering.citizen_id not in text
    assert _value(signaling, "vtelehealth_signaling_participants") >= 2
    assert _value(sfu, "vtelehealth_sfu_transports") >= 2
    assert _value(recorder, "vtelehealth_recorder_recordings") >= 1
