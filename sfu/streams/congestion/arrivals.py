"""Transport-wide feedback for a publisher: what arrived since the last time, ready to send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import lt

from sfu.rtp.serial import unwrap_16
from sfu.rtp.transport_cc import (
    MAX_DELTA_TICKS,
    MIN_DELTA_TICKS,
    REFERENCE_TICKS,
    TICK_NS,
    TransportFeedback,
)

#: A longer step, either way, is a sender that began anew, not a loss.
MAX_STEP = 3000
#: A report of so many packets that all arrived fits a datagram. Where numbers are missing between
#: them there are fewer: 2 bytes at most go to each arrival and 2 to each 7 numbers.
MAX_ARRIVALS = 480
#: Packets that came after they had been reported as missing; older ones are not told of.
MAX_LATE = 32

_REFERENCE_MASK = 0xFF_FFFF
_REFERENCE_NS = REFERENCE_TICKS * TICK_NS
#: No delta between two of its packets is too long for one report.
_MAX_SPREAD_NS = (MAX_DELTA_TICKS - 1) * TICK_NS

#: (number, time of arrival) of packets.
Arrivals = list[tuple[int, int]]


class FeedbackBuilder:
    """Collects the arrivals of one transport. Call `note` with what arrived, then `take`.

    Everything up to the newest packet is told of once; a packet that comes after its number was
    told to be missing gets a report of its own. `media_ssrc` is any SSRC of the publisher.
    """

    __slots__ = ("_count", "_next", "_pending", "_sender_ssrc", "media_ssrc")

    def __init__(self, sender_ssrc: int = 0, media_ssrc: int = 0) -> None:
        self._sender_ssrc = sender_ssrc
        self.media_ssrc = media_ssrc
        self._next: int | None = None  # the first number not told of, unwrapped
        self._count = 0
        self._pending: Arrivals = []

    def note(self, arrivals: Sequence[tuple[int, int]]) -> None:
        """Take in (16 bit transport-wide sequence number, now_ns) in order of arrival."""
        self._pending.extend(arrivals)

    def take(self) -> list[TransportFeedback]:
        """What to send now; nothing when nothing arrived since the last call."""
        if not self._pending:
            return []
        pending, self._pending = self._pending, []
        whole = self._whole(pending)
        if whole is not None:
            return [whole]
        start, fresh, late = _in_order(pending, self._next) or _sorted(pending, self._next)
        packets = [self._packet(run[0][0], run) for run in _runs(late)]
        for part in _parts(fresh):
            packets.append(self._packet(start, part))
            start = part[-1][0] + 1
        self._next = start
        return packets

    def _whole(self, pending: Arrivals) -> TransportFeedback | None:
        """The usual case at less cost: everything came, in order. None for others."""
        told = self._next
        if told is None or len(pending) > MAX_ARRIVALS:
            return None
        numbers, times = zip(*pending, strict=True)
        first = told & 0xFFFF
        count = len(numbers)
        if numbers != tuple(range(first, first + count)):
            return None
        if max(times) - min(times) > _MAX_SPREAD_NS:
            return None
        reference = times[0] // _REFERENCE_NS
        origin_ns = reference * _REFERENCE_NS
        self._next = told + count
        feedback_count = self._count
        self._count = feedback_count + 1 & 0xFF
        return TransportFeedback(
            self._sender_ssrc,
            self.media_ssrc,
            first,
            feedback_count,
            reference & _REFERENCE_MASK,
            count,
            tuple(range(count)),
            tuple([(now_ns - origin_ns) // TICK_NS for now_ns in times]),
        )

    def _packet(self, base: int, arrivals: Arrivals) -> TransportFeedback:
        indexes, ticks = zip(*arrivals, strict=True)
        reference = ticks[0] // REFERENCE_TICKS
        origin = reference * REFERENCE_TICKS
        count = self._count
        self._count = count + 1 & 0xFF
        return TransportFeedback(
            self._sender_ssrc,
            self.media_ssrc,
            base & 0xFFFF,
            count,
            reference & _REFERENCE_MASK,
            indexes[-1] - base + 1,
            tuple([index - base for index in indexes]),
            tuple([tick - origin for tick in ticks]),
        )


def _in_order(pending: Arrivals, told: int | None) -> tuple[int, Arrivals, Arrivals] | None:
    """What `_sorted` gives, for numbers that rise without a wrap; None for others."""
    if told is None:
        return None
    sequences = [sequence for sequence, _ in pending]
    first = sequences[0]
    index = told + ((first - told + 0x8000) & 0xFFFF) - 0x8000
    if not told <= index <= told + MAX_STEP or sequences[-1] - first > MAX_STEP:
        return None
    if not all(map(lt, sequences, sequences[1:])):
        return None
    shift = index - first
    return told, [(sequence + shift, now_ns // TICK_NS) for sequence, now_ns in pending], []


def _sorted(pending: Arrivals, told: int | None) -> tuple[int, Arrivals, Arrivals]:
    """The first number not told of, (number unwrapped, tick) from there on, and of late ones."""
    if told is None:
        # The first packets may be out of order: the smallest number begins.
        near = pending[0][0]
        told = min(unwrap_16(sequence, near) for sequence, _ in pending[:16])
    near = told
    fresh: dict[int, int] = {}
    late: dict[int, int] = {}
    for sequence, now_ns in pending:
        index = unwrap_16(sequence, near)
        if not -MAX_STEP <= index - near <= MAX_STEP:
            fresh.clear()
            late.clear()
            told = near = index
        elif index > near:
            near = index
        (fresh if index >= told else late).setdefault(index, now_ns // TICK_NS)
    return told, sorted(fresh.items()), sorted(late.items())[-MAX_LATE:]


def _runs(arrivals: Arrivals) -> list[Arrivals]:
    """Numbers that follow each other and fit into one packet."""
    runs: list[Arrivals] = []
    for index, tick in arrivals:
        if runs and index == runs[-1][-1][0] + 1 and _fits(tick - runs[-1][-1][1]):
            runs[-1].append((index, tick))
        else:
            runs.append([(index, tick)])
    return runs


def _parts(arrivals: Arrivals) -> Iterator[Arrivals]:
    """Cut where a delta or a datagram would not hold more."""
    start = 0
    if _spread(arrivals) > MAX_DELTA_TICKS or _is_too_long(arrivals, 0, len(arrivals) - 1):
        for at in range(1, len(arrivals)):
            if _is_too_long(arrivals, start, at) or not _fits(
                arrivals[at][1] - arrivals[at - 1][1]
            ):
                yield arrivals[start:at]
                start = at
    if arrivals:
        yield arrivals[start:]


def _is_too_long(arrivals: Arrivals, start: int, end: int) -> bool:
    """Whether a report of these, the last included, may be longer than a datagram."""
    if end <= start:
        return False
    numbers = arrivals[end][0] - arrivals[start][0] + 1
    return numbers + 7 * (end - start + 1) > 8 * MAX_ARRIVALS


def _spread(arrivals: Arrivals) -> int:
    ticks = [tick for _, tick in arrivals]
    return max(ticks) - min(ticks) if ticks else 0


def _fits(step: int) -> bool:
    return MIN_DELTA_TICKS <= step <= MAX_DELTA_TICKS
