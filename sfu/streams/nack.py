"""Which lost packets to ask of a sender, when again, and when to give up (RFC 4585 §6.2.1)."""

from __future__ import annotations

_NS_PER_MS = 1_000_000

#: A packet that was only overtaken arrives within this time.
FIRST_ASK_NS = 10 * _NS_PER_MS
#: A round trip on a mobile network with some room, so that an answer under way is not asked again.
ASK_AGAIN_NS = 100 * _NS_PER_MS
#: Five asks end about 0.4 s after the loss: a later packet would be of no use in a conversation.
MAX_ASKS = 5
#: More at once is an outage, which a key frame repairs and repetition makes worse.
MAX_MISSING = 256
#: How far behind the newest packet a repetition is still of use: the video ring's size.
MAX_AGE = 512


class MissingPackets:
    """The holes of one stream, by unwrapped sequence number."""

    __slots__ = ("_holes",)

    def __init__(self) -> None:
        #: index → (times asked, when to ask next), in order of index.
        self._holes: dict[int, tuple[int, int]] = {}

    def lost(self, first: int, count: int, now_ns: int) -> None:
        """`count` packets from index `first` on were stepped over."""
        holes = self._holes
        if count > MAX_MISSING or len(holes) + count > MAX_MISSING:
            holes.clear()
        if count > MAX_MISSING:
            return
        due = (0, now_ns + FIRST_ASK_NS)
        for index in range(first, first + count):
            holes[index] = due

    def arrived(self, index: int) -> None:
        """A late packet came, asked for or not."""
        self._holes.pop(index, None)

    def due(self, highest: int, now_ns: int) -> list[int]:
        """Indexes to ask for now; `highest` is the newest received. Each is asked a few times."""
        holes = self._holes
        if not holes:
            return []
        asked = []
        for index, (asks, due_ns) in list(holes.items()):
            if index < highest - MAX_AGE:
                del holes[index]
            elif now_ns >= due_ns:
                asked.append(index)
                if asks + 1 >= MAX_ASKS:
                    del holes[index]
                else:
                    holes[index] = (asks + 1, now_ns + ASK_AGAIN_NS)
        return asked

    def clear(self) -> None:
        """Ask for nothing that was lost so far."""
        self._holes.clear()
