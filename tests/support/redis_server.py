"""A real redis-server for tests: on a port that the system picks, in a directory of its own."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.support.eventually import eventually

_STOP_S = 10.0


class RedisServer:
    """Starts and stops a server; its port and its data (an append-only file) stay the same."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it answers. Fails when redis-server is not installed."""
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed: deploy/setup/system.sh installs it"
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._directory),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        arguments = [part for key, value in settings.items() for part in (f"--{key}", value)]
        self._process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=asyncio.subprocess.DEVNULL
        )
        await eventually(self._silent)

    async def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        await asyncio.wait_for(process.wait(), _STOP_S)

    async def _silent(self) -> str | None:
        assert self._process
        assert self._process.returncode is None, "redis-server ended at once"
        client = Redis(host="127.0.0.1", port=self.port, socket_timeout=1, protocol=2)
        try:
            await client.get("anything")
        except (RedisError, OSError) as error:
            return f"redis-server does not answer: {error}"
        finally:
            await client.aclose()
        return None
