"""``python -m signaling`` as a person starts it: greeting, mistakes, and a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import stat
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.wire_client import both_inside

KEYS = {"SIGNALING_API_KEYS": "a" * 32, "SIGNALING_TOKEN_KEYS": "t" * 32}


@asynccontextmanager
async def started(directory: Path, **settings: str) -> AsyncIterator[Process]:
    environment = {key: value for key, value in os.environ.items() if "SIGNALING" not in key}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "signaling",
        stdout=PIPE,
        stderr=PIPE,
        env={
            **environment,
            "SIGNALING_DATA_DIR": str(directory),
            "SIGNALING_HTTP_PORT": "0",
            "SIGNALING_SFU_UDP_PORT": "0",
            "SIGNALING_SFU_PROCESSES": "1",
            **settings,
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def refusal(directory: Path, **settings: str) -> str:
    async with started(directory, **settings) as process:
        output, errors = await process.communicate()
        assert process.returncode == 2
        assert output == b""
        return errors.decode()


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in path.read_text().split()]


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_first_start_prints_two_links_that_lead_into_one_call(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        assert process.stdout is not None
        text = ""
        while "Ctrl+C" not in text:
            line = await process.stdout.readline()
            assert line, "it ended"
            text += line.decode()
        links = re.findall(r"http://127\.0\.0\.1:\d+/#t=\S+", text)
        assert len(links) == 2
        async with aiohttp.ClientSession() as session:
            clinician, patient = await both_inside(session, links)
            await clinician.close()
            await patient.close()
        key_file = tmp_path / "signaling" / "api-key"
        assert str(key_file) in text
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        tokens = [link.partition("#t=")[2] for link in links]
        for secret in (*tokens, key_file.read_text().strip(), "Nguyễn", "Bình"):
            assert secret not in errors.decode(), "secrets and names never go into the log"


async def test_sigterm_drains_and_leaves_no_child(tmp_path: Path) -> None:
    async with started(tmp_path, **KEYS) as process:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        children = children_of(process.pid)
        assert len(children) == 2
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"http://127.0.0.1:{ready['http_port']}/v1/ws", protocols=("vtelehealth.v1",)
            ) as socket_,
        ):
            before = time.monotonic()
            process.send_signal(signal.SIGTERM)
            message = await socket_.receive(timeout=5)
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 1001
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert time.monotonic() - before < 10
        assert not [pid for pid in children if runs(pid)]


async def test_children_end_when_the_process_is_killed(tmp_path: Path) -> None:
    async with started(tmp_path, **KEYS) as process:
        assert process.stdout is not None
        await process.stdout.readline()
        assert children_of(process.pid)
        process.kill()
        # The log is the children's too: it ends when the last of them has.
        async with asyncio.timeout(10):
            await process.communicate()


async def test_missing_keys_are_one_sentence(tmp_path: Path) -> None:
    told = await refusal(tmp_path, SIGNALING_HTTP_HOST="0.0.0.0")
    assert told.startswith("SIGNALING_TOKEN_KEYS must be set")
    assert told.count("\n") == 1


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_taken_port_is_one_sentence_that_names_the_setting(
    tmp_path: Path, kind: socket.SocketKind
) -> None:
    name = "HTTP" if kind is socket.SOCK_STREAM else "SFU_UDP"
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        told = await refusal(tmp_path, **KEYS, **{f"SIGNALING_{name}_PORT": port})
    assert told.count("\n") == 1
    assert port in told
    assert f"SIGNALING_{name}_PORT" in told


async def test_unwritable_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = await refusal(tmp_path / "file" / "below", **KEYS)
    assert told == "SIGNALING_DATA_DIR cannot be written to: Not a directory.\n"
