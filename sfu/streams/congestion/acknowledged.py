"""A bit rate over the newest stretch of time, from sums that come in batches."""

from __future__ import annotations

from collections import deque

#: Long enough for a key frame to average out, short enough to see a path break down.
WINDOW_NS = 500_000_000
#: Without anything for so long, what came before says nothing of now.
MAX_GAP_NS = 2_000_000_000

_NS_PER_S = 1_000_000_000


class RateWindow:
    """Bytes over time. Call `add` for each batch, then read `bps`.

    A batch's bytes belong to the time between the end of the batch before and its own end.
    """

    __slots__ = ("_batches", "_bytes", "bps")

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        self._bytes = 0  # of all batches but the oldest, which only marks the beginning
        #: None until two batches came.
        self.bps: int | None = None

    def add(self, end_ns: int, size_bytes: int) -> None:
        """A batch that ended at `end_ns`, on any clock that goes evenly."""
        batches = self._batches
        if batches and not 0 <= end_ns - batches[-1][0] <= MAX_GAP_NS:
            if -MAX_GAP_NS < end_ns - batches[-1][0] < 0:
                end_ns = batches[-1][0]  # came out of order: it is part of the newest
            else:
                self.clear()
        if batches:
            self._bytes += size_bytes
        batches.append((end_ns, size_bytes))
        while len(batches) > 2 and end_ns - batches[1][0] >= WINDOW_NS:
            batches.popleft()
            self._bytes -= batches[0][1]
        span_ns = end_ns - batches[0][0]
        if span_ns > 0:
            self.bps = self._bytes * 8 * _NS_PER_S // span_ns

    def clear(self) -> None:
        """Forget everything but the last answer."""
        self._batches.clear()
        self._bytes = 0
