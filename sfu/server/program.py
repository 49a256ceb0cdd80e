"""Composition of one SFU process, and its clock."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable

from aiohttp import web

from sfu import clock
from sfu.config import Config
from sfu.control.messages import Events, Load
from sfu.errors import ConfigError
from sfu.forwarder.batch import Batch
from sfu.forwarder.engine import Engine
from sfu.ids import RoomId
from sfu.metrics import Metrics, WireCounters
from sfu.router import ticks
from sfu.router.router import Router
from sfu.server.app import ControlApp
from sfu.transport.table import TransportTable
from sfu.transport.udp import UdpPort, announced, open_socket

log = logging.getLogger(__name__)

#: Goodbyes to peers take a round trip at most, and recorders a sync of their disk to have the
#: rest of their taps; whoever is slower is left.
_GOODBYE_S = 1.0
_HANG_UP_S = 0.6
#: `Load` is a sign of life: callers take three missed ones for our end.
_HOUSEKEEPING_S = 1.0
_CLOSE_HTTP_S = 0.2


class SfuProgram:
    """Owns the sockets, the tasks and the tables. `start`, later `close`."""

    def __init__(self, config: Config) -> None:
        """Raises `ConfigError` when the UDP port cannot be had. Needs a running event loop."""
        self._config = config
        self._socket = open_socket(config.udp_host, config.udp_port)
        self._batch = Batch(self._socket)
        self._transports = TransportTable(self._batch.send)
        self._engine = Engine(self._transports, self._batch)
        self.router = Router(
            self._engine,
            self._transports,
            announced(self._socket, config.announced_addresses),
            config.tap_buffer_bytes,
            self._emit,
            clock.wall_offset_ns,
        )
        self._transports.attach(self._engine, self.router)
        self._metrics = Metrics(self.router, self._transports, self._wire_counters)
        self.udp = UdpPort(self._socket, self._engine, self._metrics.sample_burst)
        self._app = ControlApp(config.control_secret, self.router, self._metrics)
        self._runner = web.AppRunner(self._app.app, access_log=None, shutdown_timeout=_CLOSE_HTTP_S)
        self._tasks: list[asyncio.Task[None]] = []
        self._load = _LoadMeter()
        self.udp_port: int = self._socket.getsockname()[1]
        self.control_port = 0

    async def start(self) -> None:
        """Serve. Raises `ConfigError` when the control port cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._config.control_host, self._config.control_port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._socket.close()
            raise ConfigError(
                f"SFU_CONTROL_HOST and SFU_CONTROL_PORT: cannot listen on "
                f"{self._config.control_host} port {self._config.control_port} ({error.strerror})."
            ) from error
        self.control_port = self._runner.addresses[0][1]
        self.udp.start()
        router = self.router
        self._every(ticks.REPAIR_S, lambda now_ns: ticks.repair(router, now_ns), lag=True)
        self._every(ticks.SPEAKERS_S, lambda now_ns: ticks.speakers(router, now_ns))
        parts = ticks.PARTS
        turn = itertools.cycle(range(parts))
        self._every(ticks.BITRATE_S / parts, lambda _: ticks.bitrate(router, next(turn), parts))
        report = itertools.cycle(range(parts))
        self._every(
            ticks.REPORTS_S / parts,
            lambda now_ns: ticks.reports(router, now_ns, next(report), parts),
        )
        self._every(_HOUSEKEEPING_S, self._each_second)

    async def close(self) -> None:
        """Say goodbye to everybody and end all tasks and sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self.router.close(clock.now_ns())
                await self._app.taps_read()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HANG_UP_S):
                await self._app.close()
                await self.router.close(clock.now_ns())  # what a caller opened meanwhile
        self.udp.stop()
        await self._runner.cleanup()
        self._socket.close()

    def _every(self, period_s: float, tick: Callable[[int], None], *, lag: bool = False) -> None:
        async def run() -> None:
            loop = asyncio.get_running_loop()
            due_s = loop.time()
            while True:
                due_s = max(due_s + period_s, loop.time())
                await asyncio.sleep(due_s - loop.time())
                if lag:
                    self._metrics.sample_lag(max(0.0, loop.time() - due_s))
                try:
                    tick(clock.now_ns())
                except Exception:  # a fault of ours in one tick must not stop the clock
                    log.exception("a tick failed")

        self._tasks.append(asyncio.create_task(run(), name=f"tick-{period_s}"))

    def _each_second(self, now_ns: int) -> None:
        ticks.housekeeping(self.router, now_ns)
        self.router.close_orphans(self._app.watched, now_ns)
        self._app.forget_closed_rooms()
        cpu, packets_per_s = self._load.read(self.udp.received_packets + self._batch.sent_packets)
        self._app.emit_to_all(
            Load(
                rooms=len(self.router.rooms),
                peers=sum(len(room.peers) for room in self.router.rooms.values()),
                cpu=cpu,
                packets_per_s=packets_per_s,
            )
        )

    def _emit(self, room: RoomId, event: Events) -> None:
        self._app.emit(room, event)

    def _wire_counters(self) -> WireCounters:
        return WireCounters(
            received_packets=self.udp.received_packets,
            sent_packets=self._batch.sent_packets,
            stray_packets=self._engine.stray_packets,
            refused_packets=self._engine.refused_packets,
            unsent_packets=self._batch.dropped_packets,
            faults=self.udp.faults,
        )


class _LoadMeter:
    """CPU, as a share of one core, and packets a second since the last reading."""

    def __init__(self) -> None:
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._packets = 0

    def read(self, packets: int) -> tuple[float, float]:
        wall_s, cpu_s = time.monotonic(), time.process_time()
        elapsed_s = max(wall_s - self._wall_s, 1e-3)
        cpu = (cpu_s - self._cpu_s) / elapsed_s
        packets_per_s = (packets - self._packets) / elapsed_s
        self._wall_s, self._cpu_s, self._packets = wall_s, cpu_s, packets
        return round(cpu, 3), round(packets_per_s, 1)
