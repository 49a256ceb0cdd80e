"""The way out: packets gathered for each address and sent with few system calls."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Sequence

from sfu.forwarder.address import is_tcp
from sfu.forwarder.contract import Address

#: linux/udp.h: UDP generic segmentation offload; Python's socket module has no name for it.
UDP_SEGMENT = 103
_SEGMENT_SIZE = struct.Struct("=H")

#: linux/udp.h UDP_MAX_SEGMENTS.
MAX_SEGMENTS = 64
#: What fits into one UDP datagram over IPv4 or IPv6 before the kernel cuts it.
MAX_SEGMENTED_BYTES = 65_000
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
        self._diverted: dict[Address, Callable[[Sequence[bytes]], None]] = {}
        self._segmentation = True
        self.sent_packets = 0
        self.dropped_packets = 0

    def divert(self, address: Address, take: Callable[[Sequence[bytes]], None] | None) -> None:
        """Give packets for a TCP `address` to `take`, in order; with None they are dropped again.

        `take` gets what one burst or one `send` has, and may not raise. What it is given counts
        as sent.
        """
        if take is None:
            self._diverted.pop(address, None)
            self.dropped_packets += len(self._queues.pop(address, ()))
        else:
            self._diverted[address] = take

    def gather(self, data: bytes, address: Address) -> None:
        """Send with the next `flush`, in order for each address."""
        queue = self._queues.get(address)
        if queue is None:
            self._queues[address] = [data]
        else:
            queue.append(data)

    def send(self, data: bytes, address: Address) -> None:
        """Send now."""
        if is_tcp(address):
            take = self._diverted.get(address)
            if take is None:  # for the socket it would be a host name, to be looked up
                self.dropped_packets += 1
            else:
                self.sent_packets += 1
                take((data,))
            return
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
        if self._diverted:
            self._hand_over(queues)
        sendto = self._sendto
        sent = dropped = 0
        for address, queue in queues.items():
            if len(queue) > 1:
                for run in equal_runs(queue):
                    self._send_run(run, address)
                continue
            try:
                sendto(queue[0], address)
            except OSError:
                dropped += 1
            else:
                sent += 1
        self.sent_packets += sent
        self.dropped_packets += dropped

    def _hand_over(self, queues: dict[Address, list[bytes]]) -> None:
        diverted = self._diverted
        taken = [(diverted[a], queues.pop(a)) for a in tuple(queues) if a in diverted]
        for take, queue in taken:
            self.sent_packets += len(queue)
            take(queue)

    def _send_run(self, run: Sequence[bytes], address: Address) -> None:
        if len(run) > 1 and self._segmentation:
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
            try:
                self._sendto(data, address)
            except OSError:
                self.dropped_packets += 1
            else:
                self.sent_packets += 1


def equal_runs(queue: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Cut into runs for one segmented send each: equal sizes, only the last may be shorter."""
    count = len(queue)
    sizes = set(map(len, queue))
    if len(sizes) == 1 and count <= MAX_SEGMENTS and count * min(sizes) <= MAX_SEGMENTED_BYTES:
        return [queue]  # as the fan-out of one camera is
    runs: list[Sequence[bytes]] = []
    first = size = total = 0
    ended = True
    for at, data in enumerate(queue):
        length = len(data)
        total += length
        if ended or length > size or at - first >= MAX_SEGMENTS or total > MAX_SEGMENTED_BYTES:
            if at > first:
                runs.append(queue[first:at])
            first = at
            size = total = length
            ended = False
        elif length < size:
            ended = True
    if queue:
        runs.append(queue[first:])
    return runs
