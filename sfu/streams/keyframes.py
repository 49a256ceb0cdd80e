"""How often a sender is asked for a key frame: one costs as much as many ordinary frames."""

from __future__ import annotations

DEFAULT_INTERVAL_NS = 1_000_000_000


class KeyFrameThrottle:
    """Lets one request through in each interval and holds back one for all that came meanwhile."""

    def __init__(self, interval_ns: int = DEFAULT_INTERVAL_NS) -> None:
        self._interval_ns = interval_ns
        self._sent_ns: int | None = None
        self._held_back = False

    def request(self, now_ns: int) -> bool:
        """Somebody needs a key frame. True: ask the sender now; otherwise `due` will say when."""
        if self._free(now_ns):
            self._send(now_ns)
            return True
        self._held_back = True
        return False

    def due(self, now_ns: int) -> bool:
        """Whether a request that was held back goes to the sender now; call it at each tick."""
        if not self._held_back or not self._free(now_ns):
            return False
        self._send(now_ns)
        return True

    def arrived(self) -> None:
        """A key frame came: it serves whoever was held back."""
        self._held_back = False

    def _free(self, now_ns: int) -> bool:
        return self._sent_ns is None or now_ns - self._sent_ns >= self._interval_ns

    def _send(self, now_ns: int) -> None:
        self._sent_ns = now_ns
        self._held_back = False
