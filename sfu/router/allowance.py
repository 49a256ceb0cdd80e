"""How often a peer may make us do something costly. Pure."""

from __future__ import annotations

_NS_PER_S = 1_000_000_000


class Allowance:
    """A token bucket: `rate_per_s` in the long run, `burst` at once."""

    __slots__ = ("_burst", "_filled_ns", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._filled_ns = 0

    def take(self, wanted: int, now_ns: int) -> int:
        """How many of `wanted` are allowed now."""
        gained = (now_ns - self._filled_ns) * self._rate_per_s / _NS_PER_S
        self._tokens = min(self._burst, self._tokens + max(0.0, gained))
        self._filled_ns = now_ns
        granted = min(wanted, int(self._tokens))
        self._tokens -= granted
        return granted
