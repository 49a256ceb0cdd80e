"""Finding room above the estimate: a few packets more at once, and how fast they arrive.

What a sender does not send tells nothing, so the estimate cannot grow past it. A probe is a short
train of packets at a higher rate; the path's slowest link spreads it out on the way. A link that
lets bursts pass and then holds back (a token bucket) looks fast to a short train: where the path
was found full before, a train that says otherwise is believed only after the rate was risen to,
kept up for a while, and no queue grew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Each probe asks for twice of what is known; the first, and one that must empty a bucket, more.
_FACTOR = 2.0
_BOLD_FACTOR = 3.0
_DURATION_NS = 20_000_000
#: Less spreads too little to be measured; on 64 kbit/s it takes 150 ms.
_MIN_BYTES = 1_200
_MAX_BYTES = 25_000
#: Smaller additions to what is sent anyway are not worth a packet.
_LEAST_BYTES = 200
#: A train that arrives at this share of its rate arrived undelayed.
_UNDELAYED = 0.85
#: Of the measured rate what is taken when the train was spread out.
_TAKEN = 0.9
#: A rate is kept up for so long; a queue of more than this means that it was too much.
_KEPT_NS = 600_000_000
#: It is risen to, by what is known in so long. When the bucket is empty the rate is then not far
#: above what the path carries, so the queue is short until its feedback is here; and the larger the
#: bucket, the faster it is emptied.
_RISE_NS = 1_000_000_000
_QUEUE_TICKS = 4 * 50
#: So much of a train must have arrived to be read: some paths lose a third of all.
_READABLE = 0.5
#: Without an answer for so long there will be none.
_ANSWER_NS = 1_500_000_000
_FIRST_WAIT_NS = 1_500_000_000
_MAX_WAIT_NS = 3_000_000_000
#: On a path for voices only a probe is felt, and a picture is far away.
_NARROW_BPS = 150_000
_MAX_NARROW_WAIT_NS = 30_000_000_000
#: Probes that fail may cost this share of what the path carries. No wait for that is longer than
#: this part of the time that the path has been full, for what changed just now may change again;
#: nor than so long, for who has a wide path again sees it within 10 s.
_SHARE = 0.03
_PART = 4
_MAX_PATIENCE_NS = 6_000_000_000
#: More is wanted only when it is more than noise.
_WANTED = 1.05
#: After congestion the queue must drain first.
_CALM_NS = 1_000_000_000
_DISPROOF_NS = 2_000_000_000
_TICKS_PER_S = 4_000
_TICK_NS = 250_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Probe:
    """Send `size_bytes` more at once; `rate_bps` is what it asks of the path."""

    rate_bps: int
    size_bytes: int


@dataclass(slots=True)
class _Train:
    """Packets on their way that a rate is read from.

    They are `first` to `last`, once sent. A `kept` rate has what is sent anyway in its train;
    `due_bytes` is what of it was to be sent until `stepped_ns`.
    """

    rate_bps: float
    asked_ns: int
    size_bytes: int
    first: int | None = None
    last: int | None = None
    kept: bool = False
    begin_bps: float = 0.0
    begin_bytes: int = 0
    due_bytes: float = 0.0
    stepped_ns: int = 0
    begin_tick: int = 0
    end_tick: int = 0
    first_bytes: int = 0
    arrived_bytes: int = 0
    packets: int = 0
    #: The delay of the first packet told of and of the newest, in ticks, on no particular clock.
    first_delay: int | None = None
    delay: int = 0


class Prober:
    """When to probe and what came of it.

    `next` gives a probe, `sent` says which packets it became, `arrived` tells of their arrival
    and `told` gives the rate that was found. `congested` when a queue grew or packets were lost.
    """

    __slots__ = (
        "_due_ns",
        "_found_ns",
        "_full_bps",
        "_full_since_ns",
        "_probed",
        "_spent_bytes",
        "_train",
        "_wait_ns",
    )

    def __init__(self) -> None:
        self._train: _Train | None = None
        self._wait_ns = _FIRST_WAIT_NS
        self._due_ns = 0
        self._spent_bytes = 0  # on probes of which it is not known whether they failed
        self._found_ns: int | None = None
        self._probed = False
        self._full_bps: float | None = None  # where the path was full
        self._full_since_ns = 0  # when that began, or when a probe last showed more

    def next(
        self, known_bps: float, wanted_bps: int, sent: tuple[int, int], now_ns: int
    ) -> Probe | None:
        """The probe to send now, None when there is no need or it is too early.

        `sent` is the number of packets and of bytes sent so far, counted from 0.
        """
        train = self._train
        if train is not None:
            if self.keeps_up:
                return self._keep_up(train, sent, now_ns)
            if now_ns - train.asked_ns < _ANSWER_NS:
                return None
            self._failed(known_bps, now_ns)
        if self._found_ns is not None and now_ns - self._found_ns >= _DISPROOF_NS:
            self._full_since_ns = now_ns
            self._found_ns = None
            self._wait_ns = _FIRST_WAIT_NS
            self._spent_bytes = 0
        if now_ns < self._due_ns or wanted_bps <= _WANTED * known_bps:
            return None
        bold = not self._probed or self._full_bps is not None
        factor = _BOLD_FACTOR if bold else _FACTOR
        self._probed = True
        rate_bps = min(factor * known_bps, max(1.2 * wanted_bps, 1.3 * known_bps))
        size = int(rate_bps * _DURATION_NS / 8 / _NS_PER_S)
        size = min(_MAX_BYTES, max(_MIN_BYTES, size))
        self._train = _Train(rate_bps, now_ns, size)
        self._spent_bytes += size
        return Probe(int(rate_bps), size)

    def sent(self, first: int, last: int) -> int:
        """The probe became packets `first` to `last` (counted from 0).

        Returns how many bytes to expect a queue of; 0 for a rate that is kept up, which should
        make none.
        """
        train = self._train
        if train is None or train.kept:
            return 0
        train.first, train.last = first, last
        return train.size_bytes

    @property
    def keeps_up(self) -> bool:
        """Whether a rate is being kept up: `next` wants to be called often."""
        train = self._train
        return train is not None and train.kept and train.last is None

    @property
    def awaited(self) -> tuple[int, int | None] | None:
        """First and last packet that belong to a probe; None for the last: all that follow."""
        train = self._train
        return None if train is None or train.first is None else (train.first, train.last)

    def arrived(
        self, sent_ns: Sequence[int], sizes_bytes: Sequence[int], ticks: Sequence[int]
    ) -> None:
        """Packets of the probe arrived at these ticks (250 µs); in the order of sending."""
        train = self._train
        if train is None:
            return
        delay = ticks[-1] - sent_ns[-1] // _TICK_NS
        if train.first_delay is None:
            train.first_bytes = sizes_bytes[0]
            train.begin_tick = train.end_tick = ticks[0]
            train.first_delay = ticks[0] - sent_ns[0] // _TICK_NS
        train.delay = delay
        train.begin_tick = min(train.begin_tick, *ticks)
        train.end_tick = max(train.end_tick, *ticks)
        train.packets += len(ticks)
        train.arrived_bytes += sum(sizes_bytes)

    def untold(self, first: int, sizes_bytes: Sequence[int]) -> None:
        """The report on these packets, from `first` on, was lost.

        Those of a rate that is kept up count as arrived: what a queue does to the others tells.
        """
        train = self._train
        if train is None or not train.kept or train.first is None:
            return
        last = first + len(sizes_bytes) if train.last is None else train.last
        kept = sizes_bytes[max(0, train.first - first) : max(0, last + 1 - first)]
        train.packets += len(kept)
        train.arrived_bytes += sum(kept)

    def told(self, next_untold: int, known_bps: float, now_ns: int) -> int | None:
        """All packets before `next_untold` were told of: the rate that was found, if any."""
        train = self._train
        if train is None or train.first is None:
            return None
        first_delay = train.delay if train.first_delay is None else train.first_delay
        if train.kept and train.delay - first_delay > _QUEUE_TICKS:
            self._failed(known_bps, now_ns)
            return None
        if train.last is None or next_untold <= train.last:
            return None
        found = self._measured(train)
        if found <= _WANTED * known_bps:
            self._failed(known_bps, now_ns)
            return None
        doubted = self._full_bps is not None and found > 1.2 * self._full_bps
        if doubted and not train.kept:
            self._train = _Train(found, now_ns, 0, kept=True, begin_bps=known_bps)
            return None
        self._train = None
        if self._full_bps is not None:
            self._full_bps = max(self._full_bps, found)
        self._found_ns = self._due_ns = now_ns
        if found < train.rate_bps:
            self._due_ns = now_ns + _FIRST_WAIT_NS
        return int(found)

    def congested(self, known_bps: float, now_ns: int) -> None:
        """A queue grew or packets were lost: no probe for a while.

        A probe that was on its way has failed, and one that has just succeeded was wrong.
        """
        if self._full_bps is None or known_bps < self._full_bps / 2:
            self._full_since_ns = now_ns
        self._full_bps = known_bps
        self._probed = True
        wrong = self._found_ns is not None and now_ns - self._found_ns < _DISPROOF_NS
        if wrong or (self._train is not None and self._train.kept):
            self._failed(known_bps, now_ns)
        self._train = None
        self._found_ns = None
        self._spent_bytes = 0
        self._due_ns = max(self._due_ns, now_ns + _CALM_NS)

    def restart(self, now_ns: int) -> None:
        """The path is a new one, or back after a silence: probe as at the start."""
        self._train = None
        self._wait_ns = _FIRST_WAIT_NS
        self._due_ns = now_ns
        self._spent_bytes = 0
        self._probed = False
        self._found_ns = None
        self._full_bps = None
        self._full_since_ns = now_ns

    def _keep_up(self, train: _Train, sent: tuple[int, int], now_ns: int) -> Probe | None:
        """What is missing of the rate since it began to be risen to."""
        packets, sent_bytes = sent
        if train.first is None:
            train.first, train.begin_bytes, train.asked_ns = packets, sent_bytes, now_ns
            train.stepped_ns = now_ns
            return None
        kept_ns = now_ns - train.asked_ns
        rate_bps = min(train.rate_bps, train.begin_bps * (1 + kept_ns / _RISE_NS))
        if kept_ns >= _KEPT_NS and rate_bps >= train.rate_bps:
            train.last, train.asked_ns = packets - 1, now_ns
            return None
        train.due_bytes += rate_bps * (now_ns - train.stepped_ns) / 8 / _NS_PER_S
        train.stepped_ns = now_ns
        size = min(_MAX_BYTES, int(train.due_bytes) - (sent_bytes - train.begin_bytes))
        if size < _LEAST_BYTES:
            return None
        self._spent_bytes += size
        return Probe(int(rate_bps), size)

    def _measured(self, train: _Train) -> float:
        assert train.first is not None
        assert train.last is not None
        if train.packets < 2 or train.packets < _READABLE * (train.last - train.first + 1):
            return 0.0
        if train.kept:
            share = train.arrived_bytes / max(1, train.due_bytes)
            return train.rate_bps * (1.0 if share >= _UNDELAYED else share)
        span = max(1, train.end_tick - train.begin_tick)
        # The first packet's bytes were on the way before the clock began to run.
        found = (train.arrived_bytes - train.first_bytes) * 8 * _TICKS_PER_S / span
        return train.rate_bps if found >= _UNDELAYED * train.rate_bps else _TAKEN * found

    def _failed(self, known_bps: float, now_ns: int) -> None:
        longest_ns = _MAX_WAIT_NS if known_bps > _NARROW_BPS else _MAX_NARROW_WAIT_NS
        cost_ns = int(self._spent_bytes * 8 * _NS_PER_S / (_SHARE * max(known_bps, 1.0)))
        patience_ns = min(_MAX_PATIENCE_NS, (now_ns - self._full_since_ns) // _PART)
        wait_ns = max(min(self._wait_ns, longest_ns), min(cost_ns, max(longest_ns, patience_ns)))
        self._train = None
        self._found_ns = None
        self._spent_bytes = 0
        self._due_ns = now_ns + wait_ns
        self._wait_ns = min(2 * self._wait_ns, longest_ns)
