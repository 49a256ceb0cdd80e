"""The one UDP socket of a process: every datagram in and out, and the addresses told to clients."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Sequence

from aioice.ice import get_host_addresses

from sfu import clock
from sfu.errors import ConfigError
from sfu.forwarder.contract import Forwarder

log = logging.getLogger(__name__)

#: Datagrams read at one wake-up: enough to batch what goes out, few enough that timers run.
_MAX_BURST = 64
#: Between two readings while datagrams come densely. asyncio waits in whole milliseconds, so this
#: comes to 1 ms; with half of one, whatever else wakes the loop makes it no longer.
_INTERVAL_S = 0.0005
#: More wake-ups than this cost more than reading by the timer does.
WORTH_PER_S = 2000
#: So many above that rate begin it. It ends when the surplus, at most the second, has leaked away.
_ENOUGH, _CEILING = 16, 32
#: How often one interval's datagrams would have woken the loop, at most: it takes so long to
#: handle each that more of them would have been found waiting.
_MOST_WAKEUPS = 4
#: An Ethernet frame and some; SRTP packets over 1,500 bytes are refused anyway.
_MAX_DATAGRAM_BYTES = 2048
#: A burst of a second of 30 Mb/s; the kernel gives what its limits allow.
_SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
#: One wake-up in so many is timed.
_SAMPLED_BURSTS = 16
_FAULT_LOG_INTERVAL_S = 1.0


def open_socket(host: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket. Raises `ConfigError` when the port cannot be had."""
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        udp.bind((host, port))
    except OSError as error:
        udp.close()
        raise ConfigError(
            f"SFU_UDP_HOST and SFU_UDP_PORT: cannot receive on {host} port {port} "
            f"({error.strerror})."
        ) from error
    udp.setblocking(False)
    return udp


def announced(udp: socket.socket, configured: Sequence[str]) -> list[tuple[str, int]]:
    """The addresses to put in answers: the configured ones, or those this socket is reached at.

    Looking at the network interfaces sends nothing. The loopback comes last, for browsers on the
    same machine.
    """
    host, port = udp.getsockname()[:2]
    if configured:
        return [(address, port) for address in configured]
    if not ipaddress.ip_address(host).is_unspecified:
        return [(host, port)]
    is_v6 = udp.family == socket.AF_INET6
    found = get_host_addresses(use_ipv4=not is_v6, use_ipv6=is_v6)
    usable = [a for a in found if not ipaddress.ip_address(a).is_link_local]
    return [(address, port) for address in [*usable, "::1" if is_v6 else "127.0.0.1"]]


class Moderation:
    """Whether the loop is, or without the timer would be, woken so often that the timer pays.

    A bucket of wake-ups that leaks `WORTH_PER_S`. Pure.
    """

    def __init__(self) -> None:
        self._on = False
        self._level = 0.0
        self._noted_s = 0.0

    def note(self, wakeups: int, now_s: float) -> bool:
        """So many since the last call; whether to read by the timer from here on."""
        left = max(0.0, self._level - (now_s - self._noted_s) * WORTH_PER_S)
        self._noted_s = now_s
        self._level = min(left + wakeups, _CEILING)
        self._on = self._level >= _ENOUGH or (self._on and left > 0)
        return self._on


class UdpPort:
    """Reads the socket in bursts and hands each datagram to the forwarder.

    As network cards do, it moderates: while datagrams are few each wakes the loop, so none waits;
    while they wake it thousands of times a second the socket is read once a millisecond. A reading
    then yields several, which find code and tables in the cache and share system calls on the way
    out.

    `on_sample(seconds, datagrams)` is told what one burst in `_SAMPLED_BURSTS` took. The owner
    opened the socket and closes it after `stop`.
    """

    def __init__(
        self,
        udp: socket.socket,
        forwarder: Forwarder,
        on_sample: Callable[[float, int], None],
    ) -> None:
        self._udp = udp
        self._forwarder = forwarder
        self._on_sample = on_sample
        self._moderation = Moderation()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._bursts = 0
        self._fault_logged_s = -_FAULT_LOG_INTERVAL_S
        self.received_packets = 0
        self.faults = 0

    def start(self) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._udp, self._on_readable, self._loop)

    def stop(self) -> None:
        """Read nothing more."""
        if self._loop is not None:
            self._loop.remove_reader(self._udp)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_readable(self, loop: asyncio.AbstractEventLoop) -> None:
        self._read()
        if self._moderation.note(1, loop.time()):
            loop.remove_reader(self._udp)
            self._timer = loop.call_later(_INTERVAL_S, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        datagrams = 0
        try:
            datagrams = self._read()
        finally:
            self._go_on(datagrams, loop)

    def _go_on(self, datagrams: int, loop: asyncio.AbstractEventLoop) -> None:
        """Read again: when woken, by the timer, or at once, by what the timer has just read."""
        if not self._moderation.note(min(datagrams, _MOST_WAKEUPS), loop.time()):
            self._timer = None
            loop.add_reader(self._udp, self._on_readable, loop)
        elif datagrams < _MAX_BURST:
            self._timer = loop.call_later(_INTERVAL_S, self._on_timer, loop)
        else:
            self._timer = loop.call_soon(self._on_timer, loop)

    def _read(self) -> int:
        self._bursts += 1
        if self._bursts % _SAMPLED_BURSTS:
            return self._burst()
        began_s = time.perf_counter()
        datagrams = self._burst()
        if datagrams:
            self._on_sample(time.perf_counter() - began_s, datagrams)
        return datagrams

    def _burst(self) -> int:
        receive_from = self._udp.recvfrom
        receive = self._forwarder.receive
        now_ns = clock.now_ns
        datagrams = 0
        try:
            for _ in range(_MAX_BURST):
                data, address = receive_from(_MAX_DATAGRAM_BYTES)
                datagrams += 1
                receive(data, address, now_ns())
        except BlockingIOError:
            pass
        except OSError:
            pass  # an ICMP error of an earlier send; the next wake-up reads on
        except Exception:
            self._fault()
        self.received_packets += datagrams
        try:
            self._forwarder.flush()
        except Exception:
            self._fault()
        return datagrams

    def _fault(self) -> None:
        """A fault of ours: what it happened with is lost, all else goes on."""
        self.faults += 1
        now_s = time.monotonic()
        if now_s - self._fault_logged_s >= _FAULT_LOG_INTERVAL_S:
            self._fault_logged_s = now_s
            log.exception("a datagram was not handled, or what came of it not sent")
