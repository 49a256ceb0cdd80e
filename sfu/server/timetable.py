"""What is done by the clock. Pure.

All of it goes by one beat: a wake-up costs as much as a small tick, and ticks that follow each
other find code and tables in the cache.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable

log = logging.getLogger(__name__)

#: The shortest period that anything has; all others are whole multiples of it.
BEAT_S = 0.02
#: Beats between two faults that are logged: one that comes back each time would fill the log.
_LOG_BEATS = 500


class Pace:
    """When each beat is due, by a clock in seconds. Beats that were missed are not made up for."""

    def __init__(self, now_s: float) -> None:
        self._due_s = now_s

    def next_s(self, now_s: float) -> float:
        """How long to wait for the next beat."""
        self._due_s += BEAT_S
        return max(0.0, self._due_s - now_s)

    def began(self, now_s: float) -> float:
        """The beat begins: how late it is, also when it was the one before that took so long."""
        late_s = max(0.0, now_s - self._due_s)
        if late_s >= BEAT_S:
            self._due_s = now_s
        return late_s


class Timetable:
    """`every` and `spread` say what is due how often; then call `beat` each `BEAT_S`."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, Callable[[int], None]]] = []
        self._beats = 0
        self._logged = -math.inf

    def every(self, period_s: float, work: Callable[[int], None]) -> None:
        """`work(now_ns)` each `period_s`. Raises `ValueError` for one that is not whole beats."""
        beats = round(period_s / BEAT_S)
        if beats < 1 or abs(beats * BEAT_S - period_s) > BEAT_S / 100:
            raise ValueError(f"{period_s} s is not a whole number of beats")
        # Those with the same period begin one beat after the other.
        self._rows.append((beats, len(self._rows) % beats, work))

    def spread(self, period_s: float, parts: int, work: Callable[[int, int], None]) -> None:
        """`work(now_ns, part)` for one of so many parts at a time, for each in `period_s`."""
        part = itertools.cycle(range(parts))
        self.every(period_s / parts, lambda now_ns: work(now_ns, next(part)))

    def beat(self, now_ns: int) -> None:
        """Do what is due."""
        self._beats += 1
        for beats, offset, work in self._rows:
            if self._beats % beats == offset:
                try:
                    work(now_ns)
                except Exception:  # a fault of ours in one tick must not stop the clock
                    self._log()

    def _log(self) -> None:
        if self._beats - self._logged >= _LOG_BEATS:
            self._logged = self._beats
            log.exception("a tick failed")
