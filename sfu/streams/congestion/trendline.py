"""Whether a queue grows: the slope of the delay over the newest bursts.

The filter of libwebrtc's trendline estimator, which took the place of the Kalman filter of
draft-ietf-rmcat-gcc-02 §5.3: a least squares line through the smoothed, accumulated delay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from operator import mul

_BURSTS = 20
#: Of the newest burst in the smoothed delay.
_WEIGHT = 0.1
#: Few bursts are weak evidence; more than this make it no stronger.
_MAX_WEIGHT = 60
_GAIN = 4.0
#: Two clocks drift: what was the shortest delay is forgotten so fast a burst.
_CREEP_MS = 0.02
#: One burst may be held up; a queue holds up all of so many.
_STANDING = 3
#: A queue this long is itself the trouble; whoever sees one sends less until it is gone.
LONG_QUEUE_MS = 150.0
#: So its least delay does not stay the same, but for the jitter, over three stretches of so long:
#: what does is a longer way, or a receiver's clock that was set, or a queue that others fill again
#: and again whatever is sent here.
_STEADY_MS = 25.0
_STEADY_TICKS = 2_000
_TICKS_PER_MS = 4
_NS_PER_MS = 1_000_000


class Trendline:
    """Call `add` with the bursts of each feedback packet."""

    __slots__ = (
        "_begin",
        "_delay_ms",
        "_delays",
        "_least_ms",
        "_newest",
        "_seen",
        "_smoothed_ms",
        "_steady",
        "_ticks",
    )

    def __init__(self) -> None:
        self._ticks: deque[int] = deque(maxlen=_BURSTS)
        self._delays: deque[float] = deque(maxlen=_BURSTS)
        self._newest: deque[float] = deque(maxlen=_STANDING)
        self._begin: int | None = None  # times are small numbers, counted from here
        self._delay_ms = 0.0
        self._smoothed_ms = 0.0
        self._least_ms = 0.0
        #: Beginning of this stretch of a long queue, least delays of those before, and of this.
        self._steady: tuple[int, tuple[float, ...], float] | None = None
        self._seen = 0

    def clear(self) -> None:
        """Begin anew: the delays before and after cannot be compared."""
        self._ticks.clear()
        self._begin = None
        self._delays.clear()
        self._newest.clear()
        self._delay_ms = self._smoothed_ms = self._least_ms = 0.0
        self._steady = None
        self._seen = 0

    def add(self, changes: Sequence[tuple[int, int]]) -> float:
        """Take in (arrival in units of 250 µs, change of delay in ns) of each new burst.

        Returns the slope (ms of delay for each ms), weighted by how much was seen: what the
        detector compares with its threshold. 0 is a steady queue.
        """
        if self._begin is None and changes:
            self._begin = changes[0][0]
        begin = self._begin or 0
        delay = self._delay_ms
        smoothed = self._smoothed_ms
        note_tick, note_delay, note_raw = (
            self._ticks.append,
            self._delays.append,
            self._newest.append,
        )
        for tick, change_ns in changes:
            delay += change_ns / _NS_PER_MS
            smoothed += (delay - smoothed) * _WEIGHT
            note_tick(tick - begin)
            note_delay(smoothed)
            note_raw(delay)
        self._delay_ms = delay
        self._smoothed_ms = smoothed
        self._least_ms = min(*self._newest, self._least_ms + len(changes) * _CREEP_MS)
        if self.queue_ms > LONG_QUEUE_MS:
            self._look_whether_steady()
        else:
            self._steady = None
        self._seen = min(self._seen + len(changes), _MAX_WEIGHT)
        return self._seen * self._slope() * _GAIN

    @property
    def queue_ms(self) -> float:
        """How much longer all of the newest packets took than when the path was last empty."""
        if len(self._newest) < _STANDING:
            return 0.0
        return min(self._newest) - self._least_ms

    def _look_whether_steady(self) -> None:
        tick, delay = self._ticks[-1], min(self._newest)
        if self._steady is None:
            self._steady = tick, (), delay
        begin, before, least = self._steady
        least = min(least, delay)
        if tick - begin < _STEADY_TICKS:
            self._steady = begin, before, least
            return
        stretches = (*before, least)
        if len(stretches) == 3 and max(stretches) - min(stretches) <= _STEADY_MS:
            self._least_ms = least
            self._steady = None
        else:
            self._steady = tick, stretches[-2:], delay

    def _slope(self) -> float:
        count = len(self._ticks)
        if count < 2:
            return 0.0
        x = self._ticks
        y = self._delays
        sum_x = sum(x)
        spread = count * sum(map(mul, x, x)) - sum_x * sum_x
        if spread <= 0:
            return 0.0
        slope: float = (count * sum(map(mul, x, y)) - sum_x * sum(y)) / spread
        return slope * _TICKS_PER_MS
