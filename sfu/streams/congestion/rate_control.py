"""The delay-based rate: up while the path is calm, down when a queue grows.

draft-ietf-rmcat-gcc-02 §5.5, with two changes for a sender that is often limited by what there is
to send: it grows only as far as what is delivered bears it out, and a queue that grows while
little is sent is answered with what is sent now before it is answered with less. Where no queue is
worth the name yet, what looks like its growth only stops ours.
"""

from __future__ import annotations

from sfu.streams.congestion.overuse import Usage
from sfu.streams.congestion.trendline import LONG_QUEUE_MS

#: What is left of the delivered rate after overuse (β of §5.5).
_BACK_OFF = 0.85
#: What is left while the queue is long: room for it to drain.
_DRAIN = 0.65
#: A queue this short is no harm yet, and what looks like its growth may be jitter.
_SHORT_QUEUE_MS = 25.0
#: Growth a second while the capacity is unknown (η of §5.5).
_GROWTH_A_S = 0.08
#: The rate may be so far above what is delivered (§5.5), and always so much.
_HEADROOM = 1.5
_HEADROOM_BPS = 10_000
#: Below this share of the rate the sender is limited by what there is to send.
_LIMITED = 0.6
#: Capacity was found here: grow by packets, not by shares, until well past it.
_NEAR = 1.15
_PACKET_BITS = 8 * 1200
_MIN_GROWTH_BPS_A_S = 4_000
#: An answer shows only after a round trip and the next feedback.
_RESPONSE_NS = 100_000_000
_MIN_WAIT_NS = 200_000_000
_MAX_WAIT_NS = 400_000_000
_MAX_STEP_NS = 1_000_000_000
_NS_PER_S = 1_000_000_000


class RateControl:
    """`rate_bps` follows the path. Call `update` after each feedback packet."""

    __slots__ = ("_capacity_bps", "_decreased_ns", "_spared", "_updated_ns", "rate_bps")

    def __init__(self, rate_bps: int) -> None:
        self.rate_bps = float(rate_bps)
        self._capacity_bps: float | None = None
        self._updated_ns: int | None = None
        self._decreased_ns: int | None = None
        self._spared = False

    def update(
        self,
        usage: Usage,
        *,
        delivered_bps: int | None,
        sent_bps: int | None,
        queue_ms: float,
        round_trip_ns: int,
        now_ns: int,
    ) -> bool:
        """Move the rate; whether it was lowered. Rates are None while nothing is known."""
        updated_ns, self._updated_ns = self._updated_ns, now_ns
        standing = queue_ms > LONG_QUEUE_MS
        if usage == "over" and queue_ms < _SHORT_QUEUE_MS:
            return False
        if usage == "over" or (standing and usage != "under"):
            back_off = _DRAIN if standing else _BACK_OFF
            return self._decrease(back_off, delivered_bps, sent_bps, round_trip_ns, now_ns)
        if usage == "normal" and delivered_bps is not None and updated_ns is not None:
            step_ns = min(max(0, now_ns - updated_ns), _MAX_STEP_NS)
            self._increase(delivered_bps, round_trip_ns, step_ns)
        return False

    def jump(self, rate_bps: float) -> None:
        """A probe, a receiver or a silence has said what the rate is now."""
        self.rate_bps = rate_bps
        if self._capacity_bps is not None and rate_bps > _NEAR * self._capacity_bps:
            self._capacity_bps = None

    def _decrease(
        self,
        back_off: float,
        delivered_bps: int | None,
        sent_bps: int | None,
        round_trip_ns: int,
        now_ns: int,
    ) -> bool:
        wait_ns = min(_MAX_WAIT_NS, max(_MIN_WAIT_NS, round_trip_ns + _RESPONSE_NS))
        if self._decreased_ns is not None and 0 <= now_ns - self._decreased_ns < wait_ns:
            return False
        recent = self._decreased_ns is not None and now_ns - self._decreased_ns < 5 * _NS_PER_S
        limited = sent_bps is not None and sent_bps < _LIMITED * self.rate_bps
        # What is sent may not be what fills the queue: hold it before giving it up.
        spared = limited and not recent and not self._spared
        if delivered_bps is None:
            lowered = back_off * self.rate_bps
        elif spared:
            lowered = max(delivered_bps, sent_bps or 0) * _NEAR
        else:
            lowered = back_off * delivered_bps
        if lowered >= self.rate_bps:
            return False
        self.rate_bps = lowered
        self._decreased_ns = now_ns
        if delivered_bps is not None:
            self._spared = spared
            if not spared:
                self._capacity_bps = delivered_bps
        return True

    def _increase(self, delivered_bps: int, round_trip_ns: int, step_ns: int) -> None:
        self._spared = False
        if self._capacity_bps is not None and delivered_bps > _NEAR * self._capacity_bps:
            self._capacity_bps = None
        rate = self.rate_bps
        if self._capacity_bps is not None:
            a_s = _PACKET_BITS * _NS_PER_S / (round_trip_ns + _RESPONSE_NS)
            rate += max(_MIN_GROWTH_BPS_A_S, a_s) * step_ns / _NS_PER_S
        else:
            rate += rate * _GROWTH_A_S * step_ns / _NS_PER_S
        bound = _HEADROOM * delivered_bps + _HEADROOM_BPS
        self.rate_bps = max(self.rate_bps, min(rate, bound))
