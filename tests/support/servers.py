"""Real programs of ours as processes: what an operator starts, started by a test."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """One of our programs; `start` waits for its line of readiness."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        self.module = module
        self._environment = dict(environment)
        self._log = log
        self._process: Process | None = None
        self.ready: dict[str, object] = {}

    @property
    def pid(self) -> int:
        """The process id; it must have been started."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    async def start(self) -> None:
        """Start it and wait until it says that it serves."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            while True:
                line = await self._process.stdout.readline()
                assert line, f"{self.module} ended before it was ready:\n{self.log}"
                if line.startswith(b'{"ready"'):
                    self.ready = json.loads(line)
                    return

    async def stop(self) -> int:
        """Ask it to end (SIGTERM) and wait; its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Pull the plug (SIGKILL)."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(how)
        async with asyncio.timeout(20):
            code = await process.wait()
        assert process.stdin is not None
        process.stdin.close()
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()
        return code
