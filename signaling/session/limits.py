"""How much one connection may ask: token buckets, and how often they may be overrun."""

from __future__ import annotations

#: A person clicks a few times a second; a client that lays out a grid sends bursts of `view`.
MESSAGES_PER_S, MESSAGES_BURST = 20.0, 60.0
#: Nobody writes faster by hand.
CHAT_PER_S, CHAT_BURST = 5.0, 10.0
#: Refusals told before the connection is closed: one is an accident, a minute of them is not.
REFUSALS_PER_S, REFUSALS_BURST = 1.0, 20.0
#: `stats` are due once a second; a device that slept sends a few at once. More are overlooked.
STATS_PER_S, STATS_BURST = 1.0, 5.0
#: Malformed messages before the connection is closed.
MALFORMED_MAX = 3


class TokenBucket:
    """Lets `rate_per_s` through on average and `burst` at once. `now` is in seconds, any clock."""

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token; False when there is none. A clock that went back gives none."""
        elapsed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate_per_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def give_back(self) -> None:
        """Undo one `take`: what it was taken for counts elsewhere."""
        self._tokens = min(self._burst, self._tokens + 1.0)

    def is_full(self, now: float) -> bool:
        """Whether nothing was taken lately: such a bucket can be forgotten and made anew."""
        return self._tokens + max(0.0, now - self._at) * self._rate_per_s >= self._burst
