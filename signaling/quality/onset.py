"""When a bad sign becomes a fault, and when the fault is over."""

from __future__ import annotations

#: One good second is luck, what comes after it is not.
_OVER_AFTER_S = 0.8
#: One sign may get lost between two that are in a row, or come late.
_IN_A_ROW_S = 2.2
#: Without any sign for so long nothing is known any more.
_FORGOTTEN_AFTER_S = 5.0


class Onset:
    """One sign that is bad, good or unknown at each look; a fault after `after_s` of bad ones.

    Two looks at one bad second must not make it two: a sign is unknown (None) once it is old, and
    what is unknown neither begins nor ends anything. Bad signs with a gap of some seconds between
    them are not in a row.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._good_since: float | None = None
        self._known_at = 0.0
        #: When the bad signs began, also before they are a fault (Unix seconds).
        self.since: float | None = None
        self.is_fault = False

    def look(self, bad: bool | None, began: float, now: float) -> None:
        """Take a sign; `began` is when the time that it speaks of did."""
        if bad is None:
            if now - self._known_at >= _FORGOTTEN_AFTER_S:
                self.clear()
            return
        apart_s, self._known_at = now - self._known_at, now
        if bad:
            self._good_since = None
            if not self.is_fault and apart_s > _IN_A_ROW_S:
                self.since = None
            self.since = began if self.since is None else self.since
            self.is_fault = self.is_fault or now - self.since >= self._after_s
        elif not self.is_fault:
            self.clear()
        else:
            self._good_since = now if self._good_since is None else self._good_since
            if now - self._good_since >= _OVER_AFTER_S:
                self.clear()

    def clear(self) -> None:
        """Nothing is wrong, or nothing is known."""
        self.since = self._good_since = None
        self.is_fault = False
