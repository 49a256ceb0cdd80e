"""The SFU and recorder processes of a product that runs on one machine.

Each child gets its settings by environment and holds the read end of a pipe from us on its standard
input, so that it exits when we die, however we die. It prints one line of JSON when it is ready.
A child that dies is started again on the same ports, so that whoever spoke to it finds it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

log = logging.getLogger(__name__)

_READY_WITHIN_S = 30.0
_FIRST_RETRY_S = 0.2
_LAST_RETRY_S = 5.0
#: A child that lived this long was well: the next restart is quick again.
_WELL_AFTER_S = 30.0


class ChildError(Exception):
    """A child could not be started; the text is one plain sentence for the operator."""


class Ready(msgspec.Struct, frozen=True):
    """What a child prints when it serves."""

    ready: bool
    control_port: int
    udp_port: int = 0


@dataclass(frozen=True, kw_only=True)
class Program:
    """How to start one child: its kind, its module and what to add to our environment."""

    kind: Literal["sfu", "recorder"]
    environment: Mapping[str, str] = field(default_factory=dict)


def sfu_program(*, secret: str, udp_port: int, log_level: str) -> Program:
    """An SFU on `udp_port` (0: any), with a control port that the system picks."""
    return Program(
        kind="sfu",
        environment={
            "SFU_CONTROL_SECRET": secret,
            "SFU_CONTROL_HOST": "127.0.0.1",
            "SFU_CONTROL_PORT": "0",
            "SFU_UDP_PORT": str(udp_port),
            "SFU_LOG_LEVEL": log_level,
            "SFU_EXIT_WITH_STDIN": "1",
        },
    )


def recorder_program(*, secret: str, directories: Mapping[str, str]) -> Program:
    """A recorder with a control port that the system picks; `directories` are its own settings."""
    return Program(
        kind="recorder",
        environment={
            "RECORDER_CONTROL_SECRET": secret,
            "RECORDER_SFU_SECRET": secret,
            "RECORDER_CONTROL_HOST": "127.0.0.1",
            "RECORDER_CONTROL_PORT": "0",
            "RECORDER_EXIT_WITH_STDIN": "1",
            **directories,
        },
    )


def check_media_port_free(port: int, host: str) -> None:
    """Raise `ChildError` when an SFU could not receive on `port`, over UDP or over TCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for name, kind in (("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)):
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:  # as the SFU: connections that just ended are no matter
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                taken = error.errno == errno.EADDRINUSE
                reason = "is in use already" if taken else "cannot be opened"
                raise ChildError(
                    f"{name} port {port} {reason}: set SIGNALING_SFU_UDP_PORT to another port."
                ) from error


class Child:
    """One child process, kept alive from `start` to `stop`.

    `control_url` is where to speak to it, the same over restarts.
    """

    def __init__(self, program: Program, on_restart: Callable[[str], None]) -> None:
        self._program = program
        self._environment = dict(program.environment)
        self._on_restart = on_restart
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self.control_url = ""

    @property
    def kind(self) -> str:
        """``sfu`` or ``recorder``."""
        return self._program.kind

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start it and wait until it serves. Raises `ChildError`."""
        try:
            process = await self._spawn()
        except OSError as error:
            raise ChildError(
                f"The {self.kind} process could not be started: {os.strerror(error.errno or 0)}."
            ) from error
        try:
            ready = await self._wait_ready(process)
        except BaseException:
            await _end(process, within_s=0)
            self._process = None
            raise
        self._keep_ports(ready)
        self._task = asyncio.create_task(self._keep_alive(process), name=f"child-{self.kind}")

    async def stop(self, within_s: float) -> None:
        """Ask it to end, wait, and kill it after `within_s`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        process, self._process = self._process, None
        if process is not None:
            await _end(process, within_s)

    async def _spawn(self) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C in the terminal reaches us, and we tell the children.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.kind,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**_inherited(), **self._environment},
            start_new_session=True,
        )
        return self._process

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> Ready:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                line = await process.stdout.readline()
            ready = msgspec.json.decode(line, type=Ready)
        except TimeoutError as error:
            raise ChildError(f"The {self.kind} process was not ready in time.") from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise ChildError(
                f"The {self.kind} process did not start: see its message above."
            ) from error
        return ready

    def _keep_ports(self, ready: Ready) -> None:
        self.control_url = f"ws://127.0.0.1:{ready.control_port}/control"
        prefix = self.kind.upper()
        self._environment[f"{prefix}_CONTROL_PORT"] = str(ready.control_port)
        if ready.udp_port:
            self._environment[f"{prefix}_UDP_PORT"] = str(ready.udp_port)

    async def _keep_alive(self, process: asyncio.subprocess.Process) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            started = time.monotonic()
            await _drain(process)
            code = await process.wait()
            log.error("child %s exited with code %d; starting it again", self.kind, code)
            self._on_restart(self.kind)
            if time.monotonic() - started > _WELL_AFTER_S:
                retry_s = _FIRST_RETRY_S
            again = None
            while again is None:
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)
                again = await self._start_again()
            process = again

    async def _start_again(self) -> asyncio.subprocess.Process | None:
        """The new process, which may have ended already; None when the system gave none."""
        try:
            process = await self._spawn()
        except OSError as error:  # no memory, process or file left (fork(2), pipe(2)): it passes
            log.error("child %s cannot be started: %s", self.kind, os.strerror(error.errno or 0))
            return None
        try:
            await self._wait_ready(process)
        except ChildError as error:
            log.error("%s", error)
            await _end(process, within_s=0)
        return process


def _inherited() -> dict[str, str]:
    """Our environment without our own settings: a child has no use for our keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SIGNALING_")}


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Read what a child prints after its first line, until it closes its output."""
    assert process.stdout is not None
    while await process.stdout.read(4_096):
        pass


async def _end(process: asyncio.subprocess.Process, within_s: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(within_s):
            await _drain(process)
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await _drain(process)
        await process.wait()
    if process.stdin is not None:
        process.stdin.close()
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()
