"""The server under load: a real `python -m signaling` on loopback, with its children."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from load_tests.process_usage import children

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 20.0
#: Settings of the server that somebody runs here are none of the server under load.
_SETTINGS = ("SIGNALING_", "SFU_", "RECORDER_")
_ROOT = Path(__file__).resolve().parents[1]


class ServerError(Exception):
    """The server did not start as it should; the text says what it said."""


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without any setting of our programs."""
    return {name: text for name, text in environment.items() if not name.startswith(_SETTINGS)}


class Server:
    """Starts the server on free ports of `host` and stops it. `cores` are those that it may use.

    One SFU process: it is the one whose cost is measured.
    """

    def __init__(self, cores: set[int], host: str) -> None:
        self.host = host
        self.api_key = secrets.token_urlsafe(32)
        self.url = ""
        self.pid = 0
        self.sfu_pid = 0
        self._cores = cores
        self._directory = tempfile.TemporaryDirectory(prefix="load-test-")
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores)  # children inherit it
        try:
            with (Path(self._directory.name) / "log").open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "signaling",
                    cwd=_ROOT,
                    env={**without_settings(os.environ), **self._environment()},
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                )
        finally:
            os.sched_setaffinity(0, ours)
        self.pid = self._process.pid
        ready = await self._ready(self._process)
        self.url = f"http://{self.host}:{ready['http_port']}"
        sfus = children(self.pid, "sfu")
        if len(sfus) != 1:
            raise ServerError(f"the server has {len(sfus)} SFU processes, not one")
        self.sfu_pid = sfus[0]

    def _environment(self) -> dict[str, str]:
        return {
            "SIGNALING_HTTP_HOST": self.host,
            "SIGNALING_HTTP_PORT": "0",
            "SIGNALING_API_KEYS": self.api_key,
            "SIGNALING_TOKEN_KEYS": secrets.token_urlsafe(32),
            "SIGNALING_DATA_DIR": self._directory.name,
            "SIGNALING_SFU_PROCESSES": "1",
            "SIGNALING_SFU_UDP_PORT": "0",
            # All bots have one address; a limit for each address is not what is measured.
            "SIGNALING_JOINS_PER_MINUTE": "100000",
            "SIGNALING_LOG_LEVEL": "WARNING",
            "SFU_UDP_HOST": self.host,
            "SFU_ANNOUNCED_ADDRESSES": self.host,
        }

    async def _ready(self, process: Process) -> dict[str, object]:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                async for line in process.stdout:
                    if line.startswith(b'{"ready"'):
                        ready: dict[str, object] = json.loads(line)
                        return ready
        except TimeoutError as error:
            raise ServerError(f"the server is not ready after {READY_WITHIN_S} s") from error
        raise ServerError(f"the server ended before it was ready:\n{self.log()}")

    def log(self) -> str:
        """What the server logged."""
        with contextlib.suppress(OSError):
            return (Path(self._directory.name) / "log").read_text()
        return ""

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._directory.cleanup()
