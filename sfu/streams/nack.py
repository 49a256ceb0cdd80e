"""Which lost packets to ask of a sender, when again, and when to give up (RFC 4585 §6.2.1)."""

from __future__ import annotations

_NS_PER_MS = 1_000_000

#: A packet that was only overtaken arrives within this time.
FIRST_ASK_NS = 10 * _NS_PER_MS
#: The answer to a request is here after a round trip, and half of one more for its jitter.
ROUND_TRIPS = 1.5
#: Never more often than this, however near the sender is.
LEAST_AGAIN_NS = 20 * _NS_PER_MS
#: Before the first round trip is measured: that of a mobile network, with some room.
UNKNOWN_ROUND_TRIP_NS = 100 * _NS_PER_MS
#: With a round trip of 50 ms, ten end 0.75 s after the loss: 5 % loss each way leaves nothing.
MAX_ASKS = 10
#: More at once is an outage, which a key frame repairs and repetition makes worse.
MAX_MISSING = 256


class MissingPackets:
    """The holes of one stream, by unwrapped sequence number."""

    __slots__ = ("_holes", "_keep_ns")

    def __init__(self, keep_ns: int) -> None:
        """`keep_ns`: how long after its loss a packet is still of use."""
        self._keep_ns = keep_ns
        #: index → (times asked, when to ask next, when it was lost), in order of index.
        self._holes: dict[int, tuple[int, int, int]] = {}

    def __bool__(self) -> bool:
        """Whether there is a hole."""
        return bool(self._holes)

    def lost(self, first: int, count: int, now_ns: int) -> None:
        """`count` packets from index `first` on were stepped over."""
        holes = self._holes
        if count > MAX_MISSING or len(holes) + count > MAX_MISSING:
            holes.clear()
        if count > MAX_MISSING:
            return
        hole = (0, now_ns + FIRST_ASK_NS, now_ns)
        for index in range(first, first + count):
            holes[index] = hole

    def arrived(self, index: int) -> None:
        """A late packet came, asked for or not."""
        self._holes.pop(index, None)

    def due(self, now_ns: int, round_trip_ns: int) -> list[int]:
        """Indexes to ask for now, each a few times; `round_trip_ns` is 0 when it is unknown."""
        holes = self._holes
        if not holes:
            return []
        round_trip_ns = round_trip_ns or UNKNOWN_ROUND_TRIP_NS
        again_ns = now_ns + max(int(round_trip_ns * ROUND_TRIPS), LEAST_AGAIN_NS)
        asked = []
        for index, (asks, due_ns, lost_ns) in list(holes.items()):
            if now_ns - lost_ns > self._keep_ns:
                del holes[index]
            elif now_ns >= due_ns:
                asked.append(index)
                if asks + 1 >= MAX_ASKS:
                    del holes[index]
                else:
                    holes[index] = (asks + 1, again_ns, lost_ns)
        return asked

    def clear(self) -> None:
        """Ask for nothing that was lost so far."""
        self._holes.clear()
