"""ICE over TCP, passive (RFC 6544): for networks that let no UDP through.

A peer connects to the port number that UDP has, and sends the same packets, framed (RFC 4571). Each
connection is an address of its own to the forwarder (`sfu.forwarder.address`). What goes to it
leaves the `Batch` by `divert`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence

from sfu import clock
from sfu.errors import ConfigError
from sfu.forwarder.address import tcp_address
from sfu.forwarder.contract import Address, Forwarder
from sfu.transport.framing import FrameError, frame, take_frames

log = logging.getLogger(__name__)

Take = Callable[[Sequence[bytes]], None]

#: A hospital behind one address (of IPv6: one network), a browser's spare connections included.
MAX_CONNECTIONS_PER_HOST = 256
MAX_CONNECTIONS = 4096
#: From the first byte to the first valid check, over a bad network.
UNCHECKED_NS = 10_000_000_000
#: Packets before the first valid check: a browser sends checks alone until one was answered.
UNCHECKED_PACKETS = 50
#: More in a second is a flood; a network that lets go what it held back sends half of it.
MAX_PACKETS_PER_S = 10_000
#: Browsers check each connection that they keep at least every 25 s.
UNHEARD_NS = 60_000_000_000
#: A quarter of a second of a picture; what waits longer is of no use to anybody.
MAX_WAITING_BYTES = 64 * 1024
#: Linux grants twice that, and counts its own records.
_KERNEL_BUFFER_BYTES = 128 * 1024
#: Of those, how many may be unsent: the rest is under way. More would wait before the voice.
_KERNEL_UNSENT_BYTES = 16 * 1024
#: Before a packet (RFC 4571 §2).
_LENGTH_BYTES = 2
#: Of a packet: larger ones are pictures.
_VOICE_BYTES = 400
_READ_BYTES = 16 * 1024
_BACKLOG = 128
_MAX_ACCEPTS = 16
#: Data that the peer did not take for so long: it is gone (RFC 5482).
_UNACKNOWLEDGED_MS = 15_000
_FAULT_LOG_INTERVAL_S = 1.0
_NS_PER_S = 1_000_000_000
#: RFC 7983 §7: the first byte of STUN is 0 to 3.
_LARGEST_STUN_BYTE = 3


def open_listener(host: str, port: int) -> socket.socket:
    """A bound, non-blocking listener. Raises `ConfigError` when the port cannot be had."""
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER_BYTES)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"SFU_UDP_HOST and SFU_UDP_PORT: cannot listen with TCP on {host} port {port} "
            f"({error.strerror})."
        ) from error
    listener.setblocking(False)
    return listener


def _most_connections() -> int:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, descriptors // 2)


def network_of(host: str) -> str:
    """Whose connections count together: an IPv4 address, or the /64 of an IPv6 address."""
    address = ipaddress.ip_address(host)
    if address.version == 4:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


class TcpPort:
    """Accepts connections, hands their packets to the forwarder, and takes what goes to them.

    `divert(address, take)` must lead what is sent to `address` to `take`, until it is called with
    None; `on_lost(address)` is told when a connection is gone. The owner opened the listener and
    closes it after `stop`, and calls `watch` once a second.
    """

    def __init__(
        self,
        listener: socket.socket,
        forwarder: Forwarder,
        divert: Callable[[Address, Take | None], None],
        on_lost: Callable[[Address], None],
    ) -> None:
        self._listener = listener
        self._forwarder = forwarder
        self._divert = divert
        self._on_lost = on_lost
        self._connections: dict[Address, _Connection] = {}
        self._hosts: Counter[str] = Counter()
        self._limit = _most_connections()
        self._listens = False
        self._fault_logged_s = -_FAULT_LOG_INTERVAL_S
        self.accepted = 0
        self.refused = 0
        self.received_packets = 0
        self.dropped_packets = 0
        self.faults = 0

    def __len__(self) -> int:
        return len(self._connections)

    def start(self) -> None:
        """Begin to accept."""
        self._listens = True
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept nothing more and close all connections."""
        self._pause()
        for connection in tuple(self._connections.values()):
            connection.close()

    def watch(self, now_ns: int) -> None:
        """Close connections that show no valid check or are nobody's; accept after a shortage."""
        hears = self._forwarder.hears
        for address, connection in tuple(self._connections.items()):
            # A peer has few paths; older ones, and those of a peer that is gone, are heard no more.
            if connection.is_stale(now_ns) or (connection.is_checked and not hears(address)):
                connection.close()
        if not self._listens:
            self.start()

    def receive(self, packets: Sequence[bytes], address: Address) -> None:
        """Packets of one connection, to the forwarder; a fault of ours costs one of them."""
        now_ns = clock.now_ns()
        receive = self._forwarder.receive
        for data in packets:
            try:
                receive(data, address, now_ns)
            except Exception:
                self._fault()
        self.received_packets += len(packets)
        try:
            self._forwarder.flush()
        except Exception:
            self._fault()

    def closed(self, connection: _Connection) -> None:
        """A connection has closed itself."""
        del self._connections[connection.address]
        self._hosts[connection.network] -= 1
        if not self._hosts[connection.network]:
            del self._hosts[connection.network]
        self._divert(connection.address, None)
        self._on_lost(connection.address)

    def _pause(self) -> None:
        self._listens = False
        asyncio.get_running_loop().remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(_MAX_ACCEPTS):
            try:
                accepted, remote = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # it went away while it waited
            except OSError:
                self._pause()  # out of descriptors or memory; `watch` tries again
                return
            self._welcome(accepted, remote[0], remote[1])

    def _welcome(self, accepted: socket.socket, host: str, port: int) -> None:
        address = tcp_address(host, port)
        network = network_of(host)
        if address in self._connections or not self._make_room(network):
            self.refused += 1
            accepted.close()
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _KERNEL_UNSENT_BYTES)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        self.accepted += 1
        self._hosts[network] += 1
        connection = _Connection(self, accepted, network, address)
        self._connections[address] = connection
        self._divert(address, connection.take)

    def _make_room(self, network: str) -> bool:
        """Whether there is room for one more; for it the oldest that shows no valid check goes."""
        crowded = self._hosts[network] >= MAX_CONNECTIONS_PER_HOST
        if not crowded and len(self._connections) < self._limit:
            return True
        for connection in self._connections.values():
            if not connection.is_checked and (not crowded or connection.network == network):
                self.refused += 1
                connection.close()
                return True
        return False

    def _fault(self) -> None:
        self.faults += 1
        now_s = time.monotonic()
        if now_s - self._fault_logged_s >= _FAULT_LOG_INTERVAL_S:
            self._fault_logged_s = now_s
            log.exception("a packet from TCP was not handled, or what came of it not sent")


class _Connection:
    """One connection: its bytes in and out. Closes itself when the peer or its bytes are bad."""

    def __init__(self, port: TcpPort, tcp: socket.socket, network: str, address: Address) -> None:
        self.network = network
        self.address = address
        self._port = port
        self._tcp = tcp
        self._received = bytearray()
        self._waiting = bytearray()
        self._began_ns = clock.now_ns()
        self._checked_ns: int | None = None
        self._unchecked_packets = 0
        self._second_began_ns = self._began_ns
        self._second_packets = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(tcp, self._read)

    @property
    def is_checked(self) -> bool:
        """Whether it has shown a valid check."""
        return self._checked_ns is not None

    def is_stale(self, now_ns: int) -> bool:
        """Whether it has shown no valid check for too long."""
        if self._checked_ns is None:
            return now_ns - self._began_ns > UNCHECKED_NS
        return now_ns - self._checked_ns > UNHEARD_NS

    def take(self, packets: Sequence[bytes]) -> None:
        """Send packets; the newest are dropped when the peer does not take them, pictures first."""
        if self._closed:
            return
        # Only valid checks are answered, so whoever is sent STUN has shown one.
        if packets[0][0] <= _LARGEST_STUN_BYTE:
            self._checked_ns = clock.now_ns()
        if self._waiting:
            self._wait_with(packets)
        else:
            self._send(packets)

    def close(self) -> None:
        """Close; the port is told, once."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._tcp)
        self._loop.remove_writer(self._tcp)
        self._tcp.close()
        self._port.closed(self)

    def _wait_with(self, packets: Sequence[bytes]) -> None:
        """Let those wait for which there is room."""
        fitting = []
        waiting_bytes = len(self._waiting)
        for data in packets:
            room = MAX_WAITING_BYTES if len(data) <= _VOICE_BYTES else MAX_WAITING_BYTES // 2
            if waiting_bytes + _LENGTH_BYTES + len(data) > room:
                self._port.dropped_packets += 1
                continue
            fitting.append(data)
            waiting_bytes += _LENGTH_BYTES + len(data)
        self._waiting += frame(fitting)

    def _send(self, packets: Sequence[bytes]) -> None:
        framed = frame(packets)
        try:
            sent = self._tcp.send(framed)
        except BlockingIOError:
            sent = 0
        except OSError:
            # Not within the fast path, which may be at work on this very address.
            self._loop.call_soon(self.close)
            return
        if sent == len(framed):
            return
        # The one that went out in part is gone on with; those behind it wait as any other would.
        end = begun = 0
        while end < sent:
            end += _LENGTH_BYTES + len(packets[begun])
            begun += 1
        self._waiting += memoryview(framed)[sent:end]
        self._wait_with(packets[begun:])
        self._loop.add_writer(self._tcp, self._write)

    def _write(self) -> None:
        try:
            sent = self._tcp.send(self._waiting)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        del self._waiting[:sent]
        if not self._waiting:
            self._loop.remove_writer(self._tcp)

    def _read(self) -> None:
        try:
            data = self._tcp.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        try:
            packets = take_frames(self._received)
        except FrameError:
            self.close()
            return
        if not packets:
            return
        if self._is_stranger(packets) or self._floods(len(packets)):
            self.close()
            return
        self._port.receive(packets, self.address)

    def _is_stranger(self, packets: Sequence[bytes]) -> bool:
        if self._checked_ns is not None:
            return False
        self._unchecked_packets += len(packets)
        return packets[0][0] > _LARGEST_STUN_BYTE or self._unchecked_packets > UNCHECKED_PACKETS

    def _floods(self, packets: int) -> bool:
        now_ns = clock.now_ns()
        if now_ns - self._second_began_ns >= _NS_PER_S:
            self._second_began_ns, self._second_packets = now_ns, 0
        self._second_packets += packets
        return self._second_packets > MAX_PACKETS_PER_S
