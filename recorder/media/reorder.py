"""RTP packets in order of sequence number, each once, with the holes between them known."""

from __future__ import annotations

from typing import NamedTuple

from sfu.rtp.serial import unwrap_16

#: RFC 3550 appendix A.1 (MAX_DROPOUT): a wider jump is a restart of the numbers, not a loss.
_MAX_DROPOUT = 3000


class Packet(NamedTuple):
    """What a depacketizer needs of an RTP packet; `rtp_time` is unwrapped, `payload` unpadded."""

    rtp_time: int
    arrival_ns: int
    marker: bool
    payload: bytes


class Ordered(NamedTuple):
    """A packet in its place; `after_gap`: what comes before it is missing."""

    packet: Packet
    after_gap: bool


class Reorder:
    """Puts packets in order over a window of sequence numbers.

    Call `push` for each packet as it arrived and `flush` at the end of the track; both return
    what is in order now. A packet is given up for lost when one `window` further on has come: it
    is as long as a retransmission may take, for the journal has them where they arrived.
    """

    def __init__(self, window: int) -> None:
        self.lost = 0
        self._window = window
        self._held: dict[int, Packet] = {}
        self._next: int | None = None
        self._highest = 0

    def push(self, sequence: int, packet: Packet) -> list[Ordered]:
        """Take the packet with this 16 bit sequence number. Late ones and repeats are dropped."""
        if self._next is None:
            self._next = self._highest = sequence
            after_gap = True
            return [Ordered(packet, after_gap), *self._contiguous(sequence + 1)]
        number = unwrap_16(sequence, self._highest)
        if number < self._next or number in self._held:
            return []
        self._highest = max(self._highest, number)
        if number == self._next:
            return [Ordered(packet, False), *self._contiguous(number + 1)]
        self._held[number] = packet
        ready: list[Ordered] = []
        while self._held and self._highest - self._next >= self._window:
            ready += self._jump(self._next)
        return ready

    def flush(self) -> list[Ordered]:
        """All that is still held; the track is over."""
        ready: list[Ordered] = []
        while self._held and self._next is not None:
            ready += self._jump(self._next)
        return ready

    def _jump(self, expected: int) -> list[Ordered]:
        """Give up what is missing before the first held packet."""
        first = min(self._held)
        if first - expected <= _MAX_DROPOUT:
            self.lost += first - expected
        return [Ordered(self._held.pop(first), True), *self._contiguous(first + 1)]

    def _contiguous(self, number: int) -> list[Ordered]:
        ready: list[Ordered] = []
        while (packet := self._held.pop(number, None)) is not None:
            ready.append(Ordered(packet, False))
            number += 1
        self._next = number
        return ready
