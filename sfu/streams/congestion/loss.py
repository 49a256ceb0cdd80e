"""The loss-based bound: what loss says about a path whose queue is too short to show in delays.

draft-ietf-rmcat-gcc-02 §6 lowers the rate above 10 % of loss, whatever the cause. Here the first
answer is to send what the path delivers. Where the queue overflowed, that ends the loss; where it
does not, the loss is the path's own (radio, a bad cable), sending less helps nobody, and the bound
is taken back: this much loss is from then on no sign of congestion.
"""

from __future__ import annotations

import math
from collections import deque

#: Less is left to repair; more is answered (§6).
THRESHOLD = 0.10
#: A share of fewer packets than this is chance; so is one that exceeds by less than its deviation.
_MIN_PACKETS = 30
_WINDOW_NS = 1_000_000_000
#: The first packets after a change were sent before it.
_SETTLE_NS = 200_000_000
#: Loss that stays above this share of what it was, at a rate that followed, is the path's own.
#: The first answer does not count: what was delivered before it was in part sent before the loss.
_UNMOVED = 0.6
_ANSWERS = 2
_MAX_INHERENT = 0.5
#: How much above its own loss a path must lose before it is overfull.
_MARGIN = 1.5
_GROWTH_A_S = 0.08
_DELIVERED_SHARE = 0.95
_VERDICT_NS = 4_000_000_000
_FORGET_NS = 30_000_000_000
_NS_PER_S = 1_000_000_000

#: For receivers without any other feedback (§6).
_LITTLE = 0.02
_REPORT_GROWTH = 1.05
_REPORT_NS = 500_000_000
_REPORTED_MAX = 2_500_000


class LossBound:
    """`bound_bps` is the most that loss allows, None without a limit.

    Call `add` with each feedback packet's counts, then `update`.
    """

    __slots__ = (
        "_answers",
        "_inherent",
        "_lost",
        "_lowered_at",
        "_lowered_ns",
        "_quiet_ns",
        "_sent",
        "_updated_ns",
        "_window",
        "bound_bps",
    )

    def __init__(self) -> None:
        self._window: deque[tuple[int, int, int]] = deque()
        self._sent = 0
        self._lost = 0
        self._inherent = 0.0
        self._answers = 0  # how often the bound was lowered, until it is known whether that helped
        self._lowered_at = 0.0  # the loss that it was lowered for last
        self._lowered_ns = 0
        self._quiet_ns = 0
        self._updated_ns = 0
        self.bound_bps: float | None = None

    @property
    def loss(self) -> float:
        """The share lost in the last second, 0 to 1."""
        return min(1.0, max(0, self._lost) / self._sent) if self._sent else 0.0

    def add(self, sent: int, lost: int, now_ns: int) -> None:
        """Of `sent` packets so many were lost; packets that came after all count as negative."""
        if now_ns < self._quiet_ns:
            return
        self._window.append((now_ns, sent, lost))
        self._sent += sent
        self._lost += lost
        while self._window and not 0 <= now_ns - self._window[0][0] <= _WINDOW_NS:
            _, old_sent, old_lost = self._window.popleft()
            self._sent -= old_sent
            self._lost -= old_lost

    def update(
        self, rate_bps: float, delivered_bps: int | None, round_trip_ns: int, now_ns: int
    ) -> bool:
        """Move the bound of a sender that would send `rate_bps` without it; was it lowered?"""
        step_ns = min(max(0, now_ns - self._updated_ns), _NS_PER_S)
        self._updated_ns = now_ns
        loss = self.loss
        limit = max(THRESHOLD, self._inherent * _MARGIN)
        calm = self._lost - limit * self._sent <= math.sqrt(max(0, self._lost))
        if self._sent < _MIN_PACKETS:
            if calm and now_ns - self._quiet_ns >= _WINDOW_NS:
                self._relax(rate_bps, step_ns)  # or who sends little would be held to it for ever
            return False
        if calm:
            # A path that got better is held to it again, within some tens of seconds.
            self._inherent += (loss - self._inherent) * min(1.0, step_ns / _FORGET_NS)
            self._relax(rate_bps, step_ns)
            return False
        if now_ns - self._lowered_ns > _VERDICT_NS:
            self._answers = 0
        unmoved = _UNMOVED * self._lowered_at <= loss <= _MAX_INHERENT
        if self._answers >= _ANSWERS and unmoved:
            self._inherent = loss
            self._answers = 0
            self.bound_bps = None
            return False
        if delivered_bps is None:
            return False
        self._answers += 1
        self._lowered_at = loss
        self._lowered_ns = now_ns
        bound = min(rate_bps, _DELIVERED_SHARE * delivered_bps)
        self.bound_bps = bound if self.bound_bps is None else min(bound, self.bound_bps)
        self._settle(now_ns + round_trip_ns + _SETTLE_NS)
        return True

    def lift(self, rate_bps: float) -> None:
        """A probe has shown that the path carries so much."""
        if self.bound_bps is not None:
            self.bound_bps = max(self.bound_bps, rate_bps)

    def _relax(self, rate_bps: float, step_ns: int) -> None:
        if self.bound_bps is not None:
            self.bound_bps *= 1 + _GROWTH_A_S * step_ns / _NS_PER_S
            if self.bound_bps > 2 * rate_bps:
                self.bound_bps = None

    def _settle(self, until_ns: int) -> None:
        self._quiet_ns = until_ns
        self._window.clear()
        self._sent = self._lost = 0


class ReportedLoss:
    """The rate for a receiver that only sends receiver reports: §6 as it stands.

    `rate_bps` moves with each report; it grows no further than a good camera picture, because
    nothing says what the path would carry.
    """

    __slots__ = ("_updated_ns", "rate_bps")

    def __init__(self, rate_bps: int) -> None:
        self.rate_bps = float(rate_bps)
        self._updated_ns: int | None = None

    def update(self, loss: float, now_ns: int) -> bool:
        """One report's share of loss, 0 to 1; whether the rate was lowered."""
        if self._updated_ns is not None and 0 <= now_ns - self._updated_ns < _REPORT_NS:
            return False
        self._updated_ns = now_ns
        if loss > THRESHOLD:
            self.rate_bps *= 1 - 0.5 * min(1.0, loss)
            return True
        if loss < _LITTLE:
            self.rate_bps = max(self.rate_bps, min(self.rate_bps * _REPORT_GROWTH, _REPORTED_MAX))
        return False
