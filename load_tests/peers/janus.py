"""Debian's Janus (VideoRoom over WebSocket), started with a configuration of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from asyncio.subprocess import Process
from pathlib import Path
from types import TracebackType
from typing import Self

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

JANUS = "janus"
_LIBRARIES = "/usr/lib/*/janus"
READY_WITHIN_S = 15.0
STOP_WITHIN_S = 10.0
_SUBPROTOCOL = Subprotocol("janus-protocol")


class JanusError(Exception):
    """Janus did not start or refused something; the text says what."""


def installed() -> bool:
    """Whether there is a Janus to start."""
    return shutil.which(JANUS) is not None and _libraries() is not None


def _libraries() -> Path | None:
    return next(iter(Path("/").glob(_LIBRARIES.lstrip("/"))), None)


def main_configuration(libraries: Path, folder: Path, host: str) -> str:
    """What a media server of this kind is run with: quiet, one plugin, one transport."""
    plugins = _all_but(libraries / "plugins", "libjanus_videoroom.so")
    transports = _all_but(libraries / "transports", "libjanus_websockets.so")
    return f"""
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{libraries}/plugins"
    transports_folder = "{libraries}/transports"
    events_folder = "{libraries}/events"
    loggers_folder = "{libraries}/loggers"
    debug_level = 2
    admin_secret = "unused"
    protected_folders = []
}}
media: {{
    rtp_port_range = "20000-40000"
}}
nat: {{
    ice_enforce_list = "{host}"
}}
plugins: {{
    disable = "{plugins}"
}}
transports: {{
    disable = "{transports}"
}}
"""


def _all_but(folder: Path, kept: str) -> str:
    return ",".join(sorted(path.name for path in folder.glob("*.so") if path.name != kept))


def transport_configuration(host: str, port: int) -> str:
    """The WebSocket API, on one address."""
    return f"""
general: {{
    json = "plain"
    ws = true
    ws_ip = "{host}"
    ws_port = {port}
}}
"""


class Janus:
    """The process. Enter to start it; `connect` for its API. `cores` are those it may use."""

    def __init__(self, cores: set[int], host: str) -> None:
        self.host = host
        self._cores = cores
        self._directory = tempfile.TemporaryDirectory(prefix="load-test-janus-")
        self._process: Process | None = None
        self._port = 0

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, "enter first"
        return self._process.pid

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

    def connect(self) -> connect:
        """A connection to the API."""
        return connect(f"ws://{self.host}:{self._port}", subprotocols=[_SUBPROTOCOL])

    def log(self) -> str:
        """The end of what Janus said."""
        path = Path(self._directory.name) / "log"
        return path.read_text(errors="replace")[-2_000:] if path.exists() else ""

    async def _start(self) -> None:
        libraries = _libraries()
        if libraries is None:
            raise JanusError("Janus is not installed")
        folder = Path(self._directory.name)
        self._port = _free_port(self.host)
        (folder / "janus.jcfg").write_text(main_configuration(libraries, folder, self.host))
        transport = transport_configuration(self.host, self._port)
        (folder / "janus.transport.websockets.jcfg").write_text(transport)
        (folder / "janus.plugin.videoroom.jcfg").write_text("general: {\n}\n")
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores)  # children inherit it
        try:
            with (folder / "log").open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    JANUS, "-F", folder, "-o", stdout=log, stderr=log
                )
        finally:
            os.sched_setaffinity(0, ours)
        await self._ready()

    async def _ready(self) -> None:
        deadline_s = asyncio.get_running_loop().time() + READY_WITHIN_S
        while asyncio.get_running_loop().time() < deadline_s:
            if self._process is not None and self._process.returncode is not None:
                break
            try:
                async with self.connect():
                    return
            except OSError:
                await asyncio.sleep(0.1)
        raise JanusError(f"Janus is not ready:\n{self.log()}")

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._directory.cleanup()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
