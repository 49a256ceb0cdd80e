"""A bad network in this process: a UDP relay that loses, delays and throttles by seed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

Address = tuple[str, int]
Deliver = Callable[[], None]


@dataclass(frozen=True)
class Line:
    """One direction of a link. Shares are from 0 to 1.

    Each packet takes `delay_s` and at random up to `jitter_s` more, in order, but for the share
    `reordered`, which comes after packets that were sent up to 30 ms later. A line with `rate_bps`
    carries so much and lets packets wait for at most `queue_s`.
    """

    loss: float = 0
    delay_s: float = 0
    jitter_s: float = 0
    reordered: float = 0
    rate_bps: float | None = None
    queue_s: float = 0.3


_REORDERED_BY_S = 0.03


class Schedule:
    """When each packet of a line arrives. Pure, and the same for the same seed and packets."""

    def __init__(self, line: Line, seed: int) -> None:
        self.line = line
        self._random = random.Random(seed)
        self._free_s = 0.0
        self._last_s = 0.0

    def arrival_s(self, size_bytes: int, now_s: float) -> float | None:
        """When a packet that is sent now arrives; None when it is lost."""
        line = self.line
        lost, late = self._random.random() < line.loss, self._random.random() < line.reordered
        extra_s = self._random.random() * line.jitter_s
        left_s = now_s
        if line.rate_bps is not None:
            begin_s = max(now_s, self._free_s)
            if begin_s - now_s > line.queue_s:
                return None
            left_s = self._free_s = begin_s + size_bytes * 8 / line.rate_bps
        if lost:
            return None
        arrival_s = max(left_s + line.delay_s + extra_s, self._last_s)
        if late:
            return arrival_s + _REORDERED_BY_S
        self._last_s = arrival_s
        return arrival_s


class LossyLink:
    """A relay on a port of its own to `server`; each client has a socket of its own behind it.

    `up` and `down` may be replaced at any time by `set`. Close it.
    """

    def __init__(self, server: Address, up: Line, down: Line, *, seed: int = 1) -> None:
        self._server = server
        self._seed = seed
        self._up = Schedule(up, seed)
        self._down = Schedule(down, seed + 1)
        self._timers: set[asyncio.TimerHandle] = set()
        self._backs: dict[Address, _Socket] = {}
        self._front = _Socket(self._from_client)
        self.port = self._front.port

    def set(self, up: Line, down: Line) -> None:
        """The link is now like this."""
        self._seed += 2
        self._up, self._down = Schedule(up, self._seed), Schedule(down, self._seed + 1)

    def change_address(self) -> None:
        """The server sees all clients at new addresses, and what it sends to the old is lost."""
        for client in tuple(self._backs):
            self._backs.pop(client).close()
            self._backs[client] = self._open(client)

    def close(self) -> None:
        """Relay nothing more."""
        for timer in self._timers:
            timer.cancel()
        for opened in (self._front, *self._backs.values()):
            opened.close()

    def _from_client(self, data: bytes, client: Address) -> None:
        if client not in self._backs:
            self._backs[client] = self._open(client)
        self._carry(self._up, data, lambda: self._backs[client].send(data, self._server))

    def _open(self, client: Address) -> _Socket:
        return _Socket(lambda data, _: self._from_server(client, data))

    def _from_server(self, client: Address, data: bytes) -> None:
        self._carry(self._down, data, lambda: self._front.send(data, client))

    def _carry(self, schedule: Schedule, data: bytes, deliver: Deliver) -> None:
        loop = asyncio.get_running_loop()
        arrival_s = schedule.arrival_s(len(data), loop.time())
        if arrival_s is None:
            return

        def arrive() -> None:
            self._timers.discard(timer)
            deliver()

        timer = loop.call_at(arrival_s, arrive)
        self._timers.add(timer)


class _Socket:
    """A UDP socket on the loopback address, read by the running loop."""

    def __init__(self, hear: Callable[[bytes, Address], None]) -> None:
        self._hear = hear
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        self._udp.bind(("127.0.0.1", 0))
        self.port: int = self._udp.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._udp, self._read)

    def send(self, data: bytes, address: Address) -> None:
        """Send, or lose it."""
        with contextlib.suppress(OSError):
            self._udp.sendto(data, address)

    def close(self) -> None:
        """Hear nothing more."""
        asyncio.get_running_loop().remove_reader(self._udp)
        self._udp.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing more to read, or an earlier send's echo
            while True:
                data, address = self._udp.recvfrom(2048)
                self._hear(data, address)
