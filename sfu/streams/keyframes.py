"""How often a sender is asked for a key frame: one costs as much as many ordinary frames."""

from __future__ import annotations

DEFAULT_INTERVAL_NS = 1_000_000_000


class KeyFrameThrottle:
    """Lets one request through in each interval. Whoever is refused asks again at each tick."""

    def __init__(self, interval_ns: int = DEFAULT_INTERVAL_NS) -> None:
        self._interval_ns = interval_ns
        self._sent_ns: int | None = None

    def wait_ns(self, now_ns: int) -> int:
        """How long until the sender may be asked again."""
        if self._sent_ns is None:
            return 0
        return max(0, self._sent_ns + self._interval_ns - now_ns)

    def request(self, now_ns: int) -> bool:
        """Somebody needs a key frame. Whether to ask the sender now."""
        if self._sent_ns is not None and now_ns - self._sent_ns < self._interval_ns:
            return False
        self._sent_ns = now_ns
        return True
