"""What a viewer lost of its pictures, and what of it came again, by its feedback. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: What has not come again after so long is of no use to a player any more.
KEEP_NS = 1_000_000_000
#: A packet is repeated unasked so many times at most.
MOST_UNASKED = 3


class Packet(NamedTuple):
    """A packet as its receiver knows it."""

    ssrc: int
    sequence: int


class _Repair:
    """`numbers` are all that the packet went out with, `under_way` the repeats not told of yet."""

    __slots__ = ("began_ns", "came", "lost", "numbers", "unasked", "under_way")

    def __init__(self, now_ns: int) -> None:
        self.began_ns = now_ns
        self.lost = self.came = False
        self.numbers: list[int] = []
        self.under_way: set[int] = set()
        self.unasked = 0


class Repairs:
    """One viewer's repairs; numbers are transport-wide ones, counted from 0.

    A receiver asks for what it misses (NACK, RFC 4585 §6.2.1). When that is lost, or the answer,
    it asks again a round trip later; browsers do not for pictures that no other builds on. Its
    feedback tells of both: `due` is what to send unasked. `lost` and `repaired` count packets; one
    that was late counts as both.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.repaired = 0
        self._open: dict[Packet, _Repair] = {}  # the oldest first
        self._packets: dict[int, Packet] = {}
        self._doubtful: list[Packet] = []

    def __bool__(self) -> bool:
        """Whether anything is under repair."""
        return bool(self._open)

    def repeated(self, ssrc: int, sequences: Sequence[int], first: int, now_ns: int) -> None:
        """These were sent again, with the numbers from `first` on."""
        self._forget(now_ns)
        for number, sequence in enumerate(sequences, first):
            self._note(Packet(ssrc, sequence), number, now_ns).under_way.add(number)

    def told_lost(self, packet: Packet, number: int, now_ns: int) -> None:
        """What was sent for the first time, with this number, did not arrive."""
        repair = self._note(packet, number, now_ns)
        if not repair.lost:
            repair.lost = True
            self.lost += 1
            self.repaired += repair.came
            self._doubtful.append(packet)

    def missed(self, numbers: Iterable[int]) -> None:
        """These did not arrive, or nothing is known of them; of whatever they were."""
        for number in numbers:
            packet = self._packets.get(number)
            if packet is not None:
                self._open[packet].under_way.discard(number)
                self._doubtful.append(packet)

    def arrived(self, numbers: Iterable[int]) -> None:
        """These arrived."""
        for number in self._packets.keys() & numbers:
            repair = self._open[self._packets[number]]
            repair.under_way.discard(number)
            self.repaired += repair.lost and not repair.came
            repair.came = True

    def due(self, now_ns: int) -> dict[int, list[int]]:
        """By SSRC, the sequence numbers of what is lost and not on its way, as found since."""
        self._forget(now_ns)
        due: dict[int, list[int]] = {}
        for packet in dict.fromkeys(self._doubtful):
            repair = self._open.get(packet)
            if repair is None:
                continue
            waits = repair.lost and not repair.came and not repair.under_way
            if waits and repair.unasked < MOST_UNASKED:
                repair.unasked += 1
                due.setdefault(packet.ssrc, []).append(packet.sequence)
        self._doubtful.clear()
        return due

    def _forget(self, now_ns: int) -> None:
        """Give up what began too long ago."""
        while self._open:
            packet, repair = next(iter(self._open.items()))
            if now_ns - repair.began_ns <= KEEP_NS:
                return
            del self._open[packet]
            for number in repair.numbers:
                del self._packets[number]

    def _note(self, packet: Packet, number: int, now_ns: int) -> _Repair:
        repair = self._open.get(packet)
        if repair is None:
            repair = self._open[packet] = _Repair(now_ns)
        if number not in self._packets:
            self._packets[number] = packet
            repair.numbers.append(number)
        return repair
