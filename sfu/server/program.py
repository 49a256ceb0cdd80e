"""Composition of one SFU process, and its clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial

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
from sfu.router.protection import Reading
from sfu.router.router import Router
from sfu.server.app import ControlApp
from sfu.server.sockets import open_media_sockets
from sfu.server.timetable import Pace, Timetable
from sfu.transport.table import TransportTable
from sfu.transport.tcp import TcpPort
from sfu.transport.udp import UdpPort, announced

log = logging.getLogger(__name__)

#: Goodbyes to peers take a round trip at most, and recorders a sync of their disk to have the
#: rest of their taps; whoever is slower is left.
_GOODBYE_S = 1.0
_HANG_UP_S = 0.6
#: `Load` is a sign of life: callers take three missed ones for our end.
_HOUSEKEEPING_S = 1.0
#: Silence is to be noticed within half a second.
_WATCH_S = 0.5
_CLOSE_HTTP_S = 0.2


class SfuProgram:
    """Owns the sockets, the tasks and the tables. `start`, later `close`."""

    def __init__(self, config: Config) -> None:
        """Raises `ConfigError` when the media port cannot be had. Needs a running event loop."""
        self._config = config
        self._socket, self._listener = open_media_sockets(config.udp_host, config.udp_port)
        self._batch = Batch(self._socket)
        self._transports = TransportTable(self._batch.send)
        self._engine = Engine(self._transports, self._batch)
        addresses = announced(self._socket, config.announced_addresses)
        self.router = Router(
            self._engine,
            self._transports,
            addresses,
            config.tap_buffer_bytes,
            self._emit,
            clock.wall_offset_ns,
            tcp_addresses=addresses,
        )
        self._transports.attach(self._engine, self.router)
        self._metrics = Metrics(self.router, self._transports, self._wire_counters)
        self.udp = UdpPort(self._socket, self._engine, self._metrics.sample_burst)
        self.tcp = TcpPort(self._listener, self._engine, self._batch.divert, self._transports.lose)
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
            self._close_sockets()
            raise ConfigError(
                f"SFU_CONTROL_HOST and SFU_CONTROL_PORT: cannot listen on "
                f"{self._config.control_host} port {self._config.control_port} ({error.strerror})."
            ) from error
        self.control_port = self._runner.addresses[0][1]
        self.udp.start()
        self.tcp.start()
        self._tasks.append(asyncio.create_task(self._tick(), name="ticks"))

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
        self.tcp.stop()
        await self._runner.cleanup()
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._socket.close()
        self._listener.close()

    def _timetable(self) -> Timetable:
        router, parts, table = self.router, ticks.PARTS, Timetable()
        table.every(ticks.REPAIR_S, partial(ticks.repair, router))
        table.every(ticks.SPEAKERS_S, partial(ticks.speakers, router))
        table.spread(ticks.FEEDBACK_S, parts, lambda _, part: ticks.feedback(router, part))
        table.spread(ticks.PICTURES_S, parts, partial(ticks.pictures, router))
        table.spread(ticks.BITRATE_S, parts, lambda _, part: ticks.bitrate(router, part))
        table.spread(ticks.REPORTS_S, parts, partial(ticks.reports, router))
        table.spread(ticks.FLOWS_S, parts, partial(ticks.flows, router))
        table.every(_WATCH_S, self._transports.watch)
        # One at a time: a fault in one must not keep the others from being done, `Load` above all.
        table.every(_HOUSEKEEPING_S, partial(ticks.housekeeping, router))
        table.every(_HOUSEKEEPING_S, self._close_rooms)
        table.every(_HOUSEKEEPING_S, self.tcp.watch)
        table.every(_HOUSEKEEPING_S, self._tell_load)
        return table

    async def _tick(self) -> None:
        table = self._timetable()
        loop = asyncio.get_running_loop()
        pace = Pace(loop.time())
        while True:
            await asyncio.sleep(pace.next_s(loop.time()))
            late_s = pace.began(loop.time())
            self._metrics.sample_lag(late_s)
            self._load.note_lag(late_s)
            table.beat(clock.now_ns())

    def _close_rooms(self, now_ns: int) -> None:
        self.router.close_orphans(self._app.watched, now_ns)
        self._app.forget_closed_rooms()

    def _tell_load(self, now_ns: int) -> None:
        load = self._load.read(self._received_packets() + self._batch.sent_packets)
        self.router.protect(load, now_ns)
        self._app.emit_to_all(
            Load(
                rooms=len(self.router.rooms),
                peers=sum(len(room.peers) for room in self.router.rooms.values()),
                cpu=round(load.cpu, 3),
                packets_per_s=round(load.packets_per_s, 1),
                busy=self.router.state.protection.refuses_rooms,
            )
        )

    def _emit(self, room: RoomId, event: Events) -> None:
        self._app.emit(room, event)

    def _received_packets(self) -> int:
        return self.udp.received_packets + self.tcp.received_packets

    def _wire_counters(self) -> WireCounters:
        return WireCounters(
            received_packets=self._received_packets(),
            sent_packets=self._batch.sent_packets,
            stray_packets=self._engine.stray_packets,
            refused_packets=self._engine.refused_packets,
            unsent_packets=self._batch.dropped_packets,
            faults=self.udp.faults + self.tcp.faults,
            tcp_connections=len(self.tcp),
            tcp_refused=self.tcp.refused,
            tcp_unread_packets=self.tcp.dropped_packets,
        )


class _LoadMeter:
    """How busy the process was since the last reading."""

    def __init__(self) -> None:
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._packets = 0
        self._ticks = 0
        self._late_s = 0.0

    def note_lag(self, late_s: float) -> None:
        """A tick came so late."""
        self._ticks += 1
        self._late_s += late_s

    def read(self, packets: int) -> Reading:
        """`packets` is the number of those received and sent since the start."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        elapsed_s = max(wall_s - self._wall_s, 1e-3)
        reading = Reading(
            cpu=(cpu_s - self._cpu_s) / elapsed_s,
            lag_s=self._late_s / max(1, self._ticks),
            packets_per_s=(packets - self._packets) / elapsed_s,
        )
        self._wall_s, self._cpu_s, self._packets = wall_s, cpu_s, packets
        self._ticks, self._late_s = 0, 0.0
        return reading
