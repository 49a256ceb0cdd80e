"""The way out: packets gathered for each address and sent with few system calls."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence

from sfu.forwarder.contract import Address

#: linux/udp.h: UDP generic segmentation offload; Python's socket module has no name for it.
UDP_SEGMENT = 103
_SEGMENT_SIZE = struct.Struct("=H")

#: linux/udp.h UDP_MAX_SEGMENTS.
MAX_SEGMENTS = 64
#: What fits into one UDP datagram over IPv4 or IPv6 before the kernel cuts it.
MAX_SEGMENTED_BYTES = 65_000
#: From this many packets to one address on, one segmented send costs less than single ones.
LEAST_SEGMENTS = 4

#: The kernel or the network card cannot cut datagrams: no use to try again.
_NO_SEGMENTATION = frozenset(
    {errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
)


class Batch:
    """Sends packets over one non-blocking UDP socket, which the caller opens and closes.

    A packet that the kernel does not take (full buffer, no route, an ICMP error that waited on
    the socket) is dropped and counted, as the network might have dropped it; nothing is raised.
    """

    def __init__(self, udp: socket.socket) -> None:
        self._sendto = udp.sendto
        self._sendmsg = udp.sendmsg
        self._queues: dict[Address, list[bytes]] = {}
        self._segmentation = True
        self.sent_packets = 0
        self.dropped_packets = 0

    def gather(self, data: bytes, address: Address) -> None:
        """Send with the next `flush`, in order for each address."""
        queue = self._queues.get(address)
        if queue is None:
            self._queues[address] = [data]
        else:
            queue.append(data)

    def send(self, data: bytes, address: Address) -> None:
        """Send now."""
        try:
            self._sendto(data, address)
        except OSError:
            self.dropped_packets += 1
        else:
            self.sent_packets += 1

    def flush(self) -> None:
        """Send what was gathered."""
        queues = self._queues
        if not queues:
            return
        self._queues = {}
        send = self.send
        for address, queue in queues.items():
            if len(queue) < LEAST_SEGMENTS or not self._segmentation:
                for data in queue:
                    send(data, address)
            else:
                for run in equal_runs(queue):
                    self._send_run(run, address)

    def _send_run(self, run: Sequence[bytes], address: Address) -> None:
        if len(run) >= LEAST_SEGMENTS and self._segmentation:
            size = _SEGMENT_SIZE.pack(len(run[0]))
            try:
                self._sendmsg(run, [(socket.SOL_UDP, UDP_SEGMENT, size)], 0, address)
            except (BlockingIOError, ConnectionError):
                self.dropped_packets += len(run)
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    self.dropped_packets += len(run)
                    return
                if error.errno in _NO_SEGMENTATION:
                    self._segmentation = False
            else:
                self.sent_packets += len(run)
                return
        for data in run:
            self.send(data, address)


def equal_runs(queue: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut into runs for one segmented send each: equal sizes, only the last may be shorter."""
    first = 0
    total = 0
    for at, data in enumerate(queue):
        size = len(queue[first])
        ended = at > first and len(queue[at - 1]) < size
        full = at - first >= MAX_SEGMENTS or total + len(data) > MAX_SEGMENTED_BYTES
        if at > first and (ended or full or len(data) > size):
            yield queue[first:at]
            first = at
            total = 0
        total += len(data)
    if queue:
        yield queue[first:]
