"""RTP clocks of one sender, tied together by its sender reports (RFC 3550 §6.4.1)."""

from __future__ import annotations


class Clock:
    """The RTP clock of one stream; `sender` names whose wall clock its reports tell.

    `origin` is its timestamp at the sender's NTP time 0, modulo 2^32; None before a report.
    """

    __slots__ = ("origin", "rate", "sender")

    def __init__(self, sender: int, rate: int) -> None:
        self.sender = sender
        self.rate = rate
        self.origin: int | None = None

    def shift_from(self, earlier: Clock) -> int | None:
        """How much larger `earlier` is at the same instant, None when that is not known."""
        if (
            self.origin is None
            or earlier.origin is None
            or (self.sender, self.rate) != (earlier.sender, earlier.rate)
        ):
            return None
        return earlier.origin - self.origin
