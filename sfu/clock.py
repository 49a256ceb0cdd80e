"""The clock of the process, read at its edges only: Unix time that is never set back or forward."""

from __future__ import annotations

import time

#: The wall clock may be set at any moment; rates, timeouts and reports must not see that.
_BASE_NS = time.time_ns() - time.monotonic_ns()


def now_ns() -> int:
    """Nanoseconds of Unix time, as the wall clock had it at the start, and going on evenly."""
    return _BASE_NS + time.monotonic_ns()


def wall_offset_ns() -> int:
    """How far the wall clock is ahead of `now_ns` by now: it was set, or the machine slept."""
    return time.time_ns() - now_ns()
