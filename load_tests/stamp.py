"""The last bytes of each payload: which source sent it, which of its packets it is, and when.

A stamp crosses the SFU untouched whatever it rewrites before it, so loss is counted from end to
end, and the time on the way is measured by one clock. Pure.
"""

from __future__ import annotations

import struct

#: Source, whether decoding can begin here (1: yes), number of the packet from 0, sent at (ns).
STAMP = struct.Struct("!HHIQ")
STAMP_BYTES = STAMP.size


class Tally:
    """The packets of one source that one receiver got."""

    def __init__(self) -> None:
        self.decodable_at_ns: int | None = None
        self.packets = 0
        self._numbers: set[int] = set()

    def note(self, number: int, *, begins: int, now_ns: int) -> None:
        """One packet came; decoding can begin with it when `begins`."""
        if begins and self.decodable_at_ns is None:
            self.decodable_at_ns = now_ns
        self.packets += 1
        self._numbers.add(number)

    def forget(self) -> None:
        """Count from now on."""
        self.packets = 0
        self._numbers.clear()

    def unique(self, first: int, last: int) -> int:
        """How many of the packets `first` to `last` came, each once."""
        return sum(first <= number <= last for number in self._numbers)
