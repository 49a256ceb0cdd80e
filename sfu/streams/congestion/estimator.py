"""What the path to one peer carries, as its feedback tells: draft-ietf-rmcat-gcc-02, sender side.

Delay gradient (`bursts`, `trendline`, `overuse`, `rate_control`), loss (`loss`), what is delivered
(`acknowledged`) and probes (`probing`) each hold one idea; here they meet. For each feedback
packet call `feedback`, and `tick` every 50 to 200 ms; then read `target_bps`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sfu.rtp.transport_cc import REFERENCE_TICKS, TICK_NS, TransportFeedback
from sfu.streams.congestion.acknowledged import RateWindow
from sfu.streams.congestion.bursts import Bursts
from sfu.streams.congestion.loss import LossBound, ReportedLoss
from sfu.streams.congestion.overuse import OveruseDetector, Usage
from sfu.streams.congestion.probing import Probe, Prober
from sfu.streams.congestion.rate_control import RateControl
from sfu.streams.congestion.trendline import Trendline

START_BPS = 1_000_000
#: A voice, and no less: below this there is no call.
FLOOR_BPS = 30_000
#: More than sixteen seats and two screens take.
CEILING_BPS = 30_000_000

ACKNOWLEDGED_NS = 2_000_000_000
_CONGESTED_NS = 1_000_000_000
#: Feedback comes at least four times a second while something arrives. Some packets may get lost
#: with nothing behind them that would tell so; not so many.
_SILENCE_NS = 500_000_000
_SILENCE_PACKETS = 10
_HALVING_NS = 500_000_000
_REMB_NS = 10_000_000_000
_START_ROUND_TRIP_NS = 200_000_000
_MAX_ROUND_TRIP_NS = 2_000_000_000
#: A probe makes a queue of its own, which is no sign of congestion until it has drained.
_PROBE_QUIET_NS = 150_000_000
_MAX_PROBE_QUIET_NS = 600_000_000
_NS_PER_S = 1_000_000_000


class SendsLike(Protocol):
    """The newest packets sent with a transport-wide sequence number, as a ring.

    Sequence numbers count from 0, not wrapped. The packet of sequence `s` is at ``s % len(...)``
    of both arrays while it is one of the newest so many. `moves` counts the addresses that they
    went to, one after the other.
    """

    @property
    def next_sequence(self) -> int: ...
    @property
    def times_ns(self) -> array[int]: ...
    @property
    def sizes_bytes(self) -> array[int]: ...
    @property
    def moves(self) -> int: ...


class Told(NamedTuple):
    """What a feedback packet tells, in numbers as `SendsLike` counts them.

    `base` is the first that it is about, `lost` those that it tells for the first time not to have
    arrived (some come after all, and are told of again). Each is told of once: `untold` are those
    that a report was about which got lost itself, as far back as sends are known.
    """

    base: int
    lost: Sequence[int]
    untold: range


class SendEstimator:
    """The send-side estimate for one transport.

    `acknowledged` says whether the peer confirmed anything in the last 2 s, `congested` whether
    the estimate was lowered in the last second; both as of the newest call.
    """

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._bursts = Bursts()
        self._trend = Trendline()
        self._detector = OveruseDetector()
        self._usage: Usage = "normal"  # as the newest feedback shows it
        self._rate = RateControl(START_BPS)
        self._loss = LossBound()
        self._reported_loss = ReportedLoss(START_BPS)
        self._prober = Prober()
        self._delivered = RateWindow()
        self._sent = RateWindow()
        self._next = 0  # the first packet that no feedback told of
        self._missing: set[int] = set()
        self._sends: SendsLike | None = None
        self._summed = (0, 0)  # packets and bytes sent, as far as they were added up
        self._reference: int | None = None
        self._round_trip_ns = _START_ROUND_TRIP_NS
        self._quiet_ns = 0
        self._fed_ns: int | None = None  # the newest transport-wide feedback
        self._confirmed_ns: int | None = None
        self._lowered_ns: int | None = None
        #: When a probe last raised the estimate.
        self.proved_ns: int | None = None
        self._halved_ns = 0
        self._silent = False
        self._unheard = 0  # packets before this one were halved for
        self._moves: int | None = None
        self._path_begin = 0  # packets before this one went to another address
        self._limit: tuple[int, int] | None = None

    # -- what it says
    @property
    def target_bps(self) -> int:
        """What may be sent in total, UDP payload."""
        rate = self._rate.rate_bps
        if self._fed_ns is None:
            rate = self._reported_loss.rate_bps
        if self._loss.bound_bps is not None:
            rate = min(rate, self._loss.bound_bps)
        if self._limit is not None and self._now_ns - self._limit[1] < _REMB_NS:
            limit = self._limit[0]
            lossy = self._fed_ns is not None or rate < START_BPS
            rate = min(rate, limit) if lossy else limit
        return int(min(CEILING_BPS, max(FLOOR_BPS, rate)))

    @property
    def round_trip_ns(self) -> int:
        """From sending a packet to hearing of it, smoothed."""
        return self._round_trip_ns

    @property
    def loss(self) -> float:
        """The share of packets lost in the last second, 0 to 1."""
        return self._loss.loss

    @property
    def acknowledged(self) -> bool:
        """Whether anything was confirmed in the last 2 s."""
        confirmed_ns = self._confirmed_ns
        return confirmed_ns is not None and self._now_ns - confirmed_ns < ACKNOWLEDGED_NS

    @property
    def congested(self) -> bool:
        """Whether the estimate was lowered in the last second."""
        return self._lowered_ns is not None and self._now_ns - self._lowered_ns < _CONGESTED_NS

    # -- what it hears
    def feedback(self, feedback: TransportFeedback, sends: SendsLike, now_ns: int) -> Told | None:
        """Transport-wide feedback; None for one that tells of packets that were never sent, or too
        long ago, which is ignored.
        """
        self._now_ns = now_ns
        self._sends = sends
        self._follow(sends)
        following = sends.next_sequence
        base = following - ((following - feedback.base_sequence) & 0xFFFF)
        end = base + feedback.status_count
        if end > following or base < max(0, following - len(sends.times_ns)):
            return None
        offsets: Sequence[int] = feedback.offsets
        ticks: Sequence[int] = feedback.ticks
        late = 0
        self._usage = "normal"
        if base < self._next:
            known = bisect_left(offsets, self._next - base)
            late = self._came_late(base, offsets[:known])
            offsets, ticks = offsets[known:], ticks[known:]
        told = max(0, end - max(base, self._next))
        if offsets:
            self._arrived(base, offsets, ticks, self._origin(feedback), sends)
        untold = range(max(self._next, following - len(sends.times_ns)), base)
        lost = self._count(base, end, told, offsets, late)
        if offsets or late:
            self._confirmed_ns = now_ns
        if told:
            self._fed_ns = now_ns
            self._resume()
            self._update()
        return Told(base, lost, untold)

    def receiver_limit(self, bps: int, now_ns: int) -> None:
        """REMB: what the receiver says that it can take."""
        self._now_ns = now_ns
        self._limit = bps, now_ns
        if self._fed_ns is None:
            self._confirmed_ns = now_ns

    def loss_report(self, fraction: float, now_ns: int) -> None:
        """A receiver report's share of loss, for a peer without transport-wide feedback."""
        self._now_ns = now_ns
        if self._fed_ns is not None:
            return
        self._confirmed_ns = now_ns
        if self._reported_loss.update(fraction, now_ns):
            self._lowered_ns = now_ns

    def tick(self, sends: SendsLike, now_ns: int) -> None:
        """Time has passed: packets that nothing was heard of halve the estimate."""
        self._now_ns = now_ns
        self._follow(sends)
        overdue_ns = now_ns - _SILENCE_NS - self._round_trip_ns
        if self._fed_ns is None or self._fed_ns > overdue_ns:
            return
        if now_ns < self._halved_ns + _HALVING_NS:
            return
        times, following = sends.times_ns, sends.next_sequence
        unheard = max(self._next, self._unheard, following - len(times))
        overdue = bisect_right(
            range(unheard, following), overdue_ns, key=lambda index: times[index % len(times)]
        )
        if overdue < _SILENCE_PACKETS:
            return
        self._unheard = unheard + overdue
        self._halved_ns = self._lowered_ns = now_ns
        self._silent = True
        self._rate.jump(max(FLOOR_BPS, self.target_bps / 2))
        self._prober.congested(self.target_bps, now_ns)

    # -- probes
    def probe(self, now_ns: int, wanted_bps: int) -> Probe | None:
        """The probe to send now when `wanted_bps` is more than the estimate and it is time."""
        if self._fed_ns is None or self._silent or self._delivered.bps is None:
            return None
        if self._limit is not None and now_ns - self._limit[1] < _REMB_NS:
            wanted_bps = min(wanted_bps, self._limit[0])
        wanted_bps = min(wanted_bps, CEILING_BPS)
        return self._prober.next(self.target_bps, wanted_bps, self._sent_in_all(), now_ns)

    @property
    def probing(self) -> bool:
        """Whether a rate is being kept up: `probe` should be called every 20 ms until it is not.

        Otherwise each `tick` is often enough.
        """
        return self._prober.keeps_up

    def probe_sent(self, first: int, last: int, now_ns: int) -> None:
        """The probe became the packets `first` to `last`, counted as `SendsLike` does."""
        size_bytes = self._prober.sent(first, last)
        if not size_bytes:
            return
        drain_ns = 2 * 8 * size_bytes * _NS_PER_S // self.target_bps
        self._quiet_ns = now_ns + min(_PROBE_QUIET_NS + drain_ns, _MAX_PROBE_QUIET_NS)

    # -- one feedback packet, step by step
    def _origin(self, feedback: TransportFeedback) -> int:
        """The feedback's reference time in ticks, unwrapped."""
        reference = feedback.reference_time
        if self._reference is not None:
            near = self._reference
            reference = near + ((reference - near + 0x80_0000) & 0xFF_FFFF) - 0x80_0000
        self._reference = reference
        return reference * REFERENCE_TICKS

    def _arrived(
        self,
        base: int,
        offsets: Sequence[int],
        ticks: Sequence[int],
        origin: int,
        sends: SendsLike,
    ) -> None:
        first = base + offsets[0]
        count = offsets[-1] - offsets[0] + 1
        times = _cut(sends.times_ns, first, count)
        sizes = _cut(sends.sizes_bytes, first, count)
        untold_bytes, sent_bytes = self._before(base, first, sends)
        self._sent.add(times[-1], sum(sizes) + sent_bytes)
        if len(offsets) != count:
            skipped = offsets[0]
            times = array("q", [times[offset - skipped] for offset in offsets])
            sizes = array("q", [sizes[offset - skipped] for offset in offsets])
        self._delivered.add((origin + max(ticks)) * TICK_NS, sum(sizes) + untold_bytes)
        sample_ns = min(_MAX_ROUND_TRIP_NS, max(0, self._now_ns - times[-1]))
        self._round_trip_ns += (sample_ns - self._round_trip_ns) // 4
        if self._prober.awaited is not None:
            self._note_probe(base, offsets, ticks, origin, times, sizes)
        if times[0] < self._quiet_ns:
            loud = bisect_left(times, self._quiet_ns)
            times, ticks = times[loud:], ticks[loud:]
        changes = self._bursts.add(times, ticks, origin)
        if self._bursts.restarted:
            self._forget_delays()
            self._delivered.clear()
        elif changes:
            self._usage = self._detector.update(self._trend.add(changes), self._now_ns)

    def _before(self, base: int, first: int, sends: SendsLike) -> tuple[int, int]:
        """Bytes sent since what was told of last: those no report tells of, and all before `first`.

        Each number is told of once, so those before `base` were told of in a report that got lost.
        They count as arrived: bytes that lack in their time would look like a path that carries
        less.
        """
        begin = max(self._next, sends.next_sequence - len(sends.times_ns))
        if not self._next or first <= begin:
            return 0, 0
        sizes = _cut(sends.sizes_bytes, begin, first - begin)
        untold = sizes[: max(0, base - begin)]
        if untold and self._prober.awaited is not None:
            self._prober.untold(begin, untold)
        return sum(untold), sum(sizes)

    def _note_probe(
        self,
        base: int,
        offsets: Sequence[int],
        ticks: Sequence[int],
        origin: int,
        times: Sequence[int],
        sizes: Sequence[int],
    ) -> None:
        awaited = self._prober.awaited
        if awaited is None:
            return
        first, last = awaited
        begin = bisect_left(offsets, first - base)
        end = len(offsets) if last is None else bisect_left(offsets, last + 1 - base)
        if begin < end:
            arrivals = [origin + tick for tick in ticks[begin:end]]
            self._prober.arrived(times[begin:end], sizes[begin:end], arrivals)

    def _sent_in_all(self) -> tuple[int, int]:
        """Packets and bytes since the first call of this."""
        assert self._sends is not None
        ring = self._sends.sizes_bytes
        following = self._sends.next_sequence
        packets, size_bytes = self._summed
        packets = max(packets, following - len(ring))
        size_bytes += sum(_cut(ring, packets, following - packets))
        self._summed = following, size_bytes
        return self._summed

    def _came_late(self, base: int, offsets: Sequence[int]) -> int:
        """How many packets that were told to be missing came after all."""
        if not self._missing:
            return 0
        came = self._missing.intersection([base + offset for offset in offsets])
        self._missing -= came
        return len(came)

    def _count(
        self, base: int, end: int, told: int, offsets: Sequence[int], late: int
    ) -> Sequence[int]:
        missing: Sequence[int] = ()
        if told > len(offsets):
            came = {base + offset for offset in offsets}
            missing = [index for index in range(max(base, self._next), end) if index not in came]
            self._missing.update(missing)
            if len(self._missing) > 1000:
                self._missing = {index for index in self._missing if index >= end - 500}
        self._next = max(self._next, end)
        if base >= self._path_begin:
            self._loss.add(told, told - len(offsets) - late, self._now_ns)
        return missing

    def _resume(self) -> None:
        if not self._silent:
            return
        self._silent = False
        self._forget_path()

    def _follow(self, sends: SendsLike) -> None:
        """To another address is another path: what was sent before says nothing of it."""
        if sends.moves == self._moves:
            return
        moved = self._moves is not None
        self._moves = sends.moves
        if moved:
            self._path_begin = sends.next_sequence
            self._quiet_ns = max(self._quiet_ns, self._now_ns)
            self._bursts = Bursts()
            self._forget_path()

    def _forget_path(self) -> None:
        self._delivered.clear()
        self._sent.clear()
        self._forget_delays()
        self._loss = LossBound()
        self._prober.restart(self._now_ns)

    def _forget_delays(self) -> None:
        self._trend.clear()
        self._detector.clear()
        self._usage = "normal"

    def _update(self) -> None:
        now_ns = self._now_ns
        delivered = self._delivered.bps
        lowered = self._rate.update(
            self._usage,
            delivered_bps=delivered,
            sent_bps=self._sent.bps,
            queue_ms=self._trend.queue_ms,
            round_trip_ns=self._round_trip_ns,
            now_ns=now_ns,
        )
        lowered |= self._loss.update(self._rate.rate_bps, delivered, self._round_trip_ns, now_ns)
        if lowered:
            self._lowered_ns = now_ns
            self._prober.congested(self.target_bps, now_ns)
        if self._prober.awaited is not None:
            found = self._prober.told(self._next, self.target_bps, now_ns)
            if found is not None:
                self.proved_ns = now_ns
                self._rate.jump(max(self._rate.rate_bps, found))
                self._loss.lift(found)
        self._rate.rate_bps = min(CEILING_BPS, max(FLOOR_BPS, self._rate.rate_bps))


def _cut(ring: array[int], first: int, count: int) -> array[int]:
    """`count` entries from that of packet `first` on."""
    size = len(ring)
    begin = first % size
    cut = ring[begin : begin + count]
    return cut if len(cut) == count else cut + ring[: count - len(cut)]
