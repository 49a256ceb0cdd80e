"""What a transport sent with transport-wide sequence numbers, for its estimator and its repairs."""

from __future__ import annotations

from array import array

from sfu.forwarder.contract import SENDS


class SendRing:
    """The `Sends` of one transport.

    `legs` and `indexes` say which packet it was: the handle of its leg (0 when it was a repeat or
    padding), and its index in the stream that the leg showed.
    """

    __slots__ = ("indexes", "legs", "moves", "next_sequence", "sizes_bytes", "times_ns")

    def __init__(self) -> None:
        self.moves = 0
        self.next_sequence = 0
        self.times_ns = array("q", bytes(8 * SENDS))
        self.sizes_bytes = array("H", bytes(2 * SENDS))
        self.legs = array("I", bytes(4 * SENDS))
        self.indexes = array("q", bytes(8 * SENDS))

    def note(self, now_ns: int, size_bytes: int, leg: int = 0, index: int = 0) -> None:
        """The packet of `next_sequence` was sent."""
        at = self.next_sequence % SENDS
        self.times_ns[at] = now_ns
        self.sizes_bytes[at] = size_bytes
        self.legs[at] = leg
        self.indexes[at] = index
        self.next_sequence += 1
