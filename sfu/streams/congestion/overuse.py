"""Is the path overused? The adaptive threshold of draft-ietf-rmcat-gcc-02 §5.4."""

from __future__ import annotations

import math
from typing import Literal

Usage = Literal["normal", "over", "under"]

_START = 12.5
_MIN = 6.0
_MAX = 600.0
#: Quick to trust a calm path less than slow to trust a noisy one more (K_u, K_d of §5.4), per ms.
_UP = 0.0087
_DOWN = 0.039
#: A spike this far above is no noise to get used to (§5.4).
_SPIKE = 15.0
#: Overuse is believed when it lasts so long (§5.4), and was seen twice.
_LASTS_NS = 10_000_000
_MAX_STEP_NS = 250_000_000
_NS_PER_MS = 1_000_000


class OveruseDetector:
    """Call `update` with the trend after each feedback packet that had new bursts."""

    __slots__ = ("_over_ns", "_seen", "_threshold", "_trend", "_updated_ns", "usage")

    def __init__(self) -> None:
        self._threshold = _START
        self.clear()

    def clear(self) -> None:
        """The trend begins anew; how noisy the path is stays known."""
        self._updated_ns: int | None = None
        self._over_ns = 0
        self._seen = 0
        self._trend = 0.0
        self.usage: Usage = "normal"

    def update(self, trend: float, now_ns: int) -> Usage:
        """What the path is now."""
        updated_ns = self._updated_ns
        step_ns = 0 if updated_ns is None else min(max(0, now_ns - updated_ns), _MAX_STEP_NS)
        self._updated_ns = now_ns
        if trend > self._threshold:
            self._over(trend, step_ns)
        else:
            self._over_ns = self._seen = 0
            self.usage = "under" if trend < -self._threshold else "normal"
        self._trend = trend
        self._adapt(abs(trend), step_ns)
        return self.usage

    def _over(self, trend: float, step_ns: int) -> None:
        self._over_ns += step_ns if self._seen else step_ns // 2
        self._seen += 1
        lasting = self._over_ns > _LASTS_NS and self._seen > 1
        # A queue that already shrinks needs no second answer.
        if lasting and trend >= self._trend:
            self._over_ns = 0
            self.usage = "over"
        elif self.usage == "under":
            self.usage = "normal"

    def _adapt(self, size: float, step_ns: int) -> None:
        if size > self._threshold + _SPIKE:
            return
        rate = _DOWN if size < self._threshold else _UP
        weight = 1 - math.exp(-rate * step_ns / _NS_PER_MS)
        self._threshold = min(_MAX, max(_MIN, self._threshold + weight * (size - self._threshold)))
