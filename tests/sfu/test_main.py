"""``python -m sfu`` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.caller import SECRET

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "SFU_CONTROL_SECRET": SECRET,
    "SFU_CONTROL_PORT": "0",
    "SFU_UDP_PORT": "0",
    "SFU_UDP_HOST": "127.0.0.1",
}


@asynccontextmanager
async def process(**settings: str) -> AsyncIterator[Process]:
    environment = {"PATH": os.environ["PATH"], **SETTINGS, **settings}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sfu",
        cwd=ROOT,
        env=environment,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()
        # asyncio closes the transport in its next turns; its child watcher must not outlive us.
        started._transport.close()  # type: ignore[attr-defined]


async def ready(started: Process) -> dict[str, object]:
    assert started.stdout is not None
    line = await asyncio.wait_for(started.stdout.readline(), 20)
    return dict(json.loads(line))


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_signal__stops_it_soon_with_0(stop: signal.Signals) -> None:
    async with process() as started:
        said = await ready(started)
        assert said["ready"] is True
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{said['control_port']}/health"
            async with session.get(url) as answer:
                assert await answer.json() == {"status": "ok"}
        began = time.monotonic()
        started.send_signal(stop)
        assert await asyncio.wait_for(started.wait(), 10) == 0
        assert time.monotonic() - began < 5


async def test_end_of_stdin__stops_it_when_told_so() -> None:
    async with process(SFU_EXIT_WITH_STDIN="1") as started:
        await ready(started)
        assert started.stdin is not None
        started.stdin.close()
        assert await asyncio.wait_for(started.wait(), 10) == 0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"SFU_CONTROL_SECRET": "short"}, "SFU_CONTROL_SECRET"),
        ({"SFU_UDP_HOST": "203.0.113.77"}, "SFU_UDP_HOST"),
        ({"SFU_CONTROL_HOST": "203.0.113.77"}, "SFU_CONTROL_HOST"),
    ],
)
async def test_bad_setting__ends_it_with_one_sentence_and_2(
    settings: dict[str, str], name: str
) -> None:
    async with process(**settings) as started:
        out, said = await asyncio.wait_for(started.communicate(), 20)
        assert started.returncode == 2
        assert out == b""
        assert said.decode().startswith(name)
        assert said.count(b"\n") == 1
