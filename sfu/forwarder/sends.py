"""What a transport sent with transport-wide sequence numbers, for its bandwidth estimator."""

from __future__ import annotations

from array import array

from sfu.forwarder.contract import SENDS


class SendRing:
    """The `Sends` of one transport."""

    __slots__ = ("moves", "next_sequence", "sizes_bytes", "times_ns")

    def __init__(self) -> None:
        self.moves = 0
        self.next_sequence = 0
        self.times_ns = array("q", bytes(8 * SENDS))
        self.sizes_bytes = array("H", bytes(2 * SENDS))

    def note(self, now_ns: int, size_bytes: int) -> None:
        """The packet of `next_sequence` was sent."""
        at = self.next_sequence % SENDS
        self.times_ns[at] = now_ns
        self.sizes_bytes[at] = size_bytes
        self.next_sequence += 1
