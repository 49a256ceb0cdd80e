"""Bursts of packets and how their delay changed (draft-ietf-rmcat-gcc-02 §5.2, §5.3)."""

from __future__ import annotations

from collections.abc import Sequence

#: Packets sent within so long of the first are one burst.
BURST_NS = 5_000_000
#: What arrives together although it was sent apart was held up on the way (a radio link that sends
#: in blocks): it is one burst too, unless it grows longer than this.
MAX_BURST_NS = 100_000_000
#: Arrivals are in units of 250 µs.
_TICK_NS = 250_000
_TOGETHER_TICKS = 20
#: More is a clock that was set, not a queue.
_MAX_CHANGE_NS = 3_000_000_000
#: Before the first burst.
_NEVER_NS = -(1 << 62)


class Bursts:
    """Cuts packets into bursts and gives the change of delay from each to the next.

    Call `add` with packets in the order in which they were sent.
    """

    __slots__ = ("_before_ns", "_before_tick", "_first_ns", "_last_ns", "_tick", "restarted")

    def __init__(self) -> None:
        self._first_ns = _NEVER_NS
        self._last_ns = _NEVER_NS
        self._tick = 0  # the last arrival of the burst, absolute
        self._before_ns = _NEVER_NS  # of the burst before: when it was sent and arrived
        self._before_tick = 0
        #: A clock was set since the last `add`: what was known of the delay is void.
        self.restarted = False

    def add(
        self, sent_ns: Sequence[int], ticks: Sequence[int], origin: int
    ) -> list[tuple[int, int]]:
        """(arrival in ticks, change of delay in ns) of each burst that ended.

        `sent_ns` in the sender's time; `ticks` beside it are arrivals in 250 µs after `origin`.
        """
        changes: list[tuple[int, int]] = []
        first_ns = self._first_ns
        last_ns = self._last_ns
        latest = self._tick - origin
        before_ns = self._before_ns
        before = self._before_tick - origin
        self.restarted = False
        for sent, tick in zip(sent_ns, ticks, strict=True):
            if 0 <= sent - first_ns <= BURST_NS:
                last_ns = sent
                if tick > latest:
                    latest = tick
                continue
            if (
                0 <= tick - latest <= _TOGETHER_TICKS
                and (tick - latest) * _TICK_NS < sent - last_ns
                and sent - first_ns <= MAX_BURST_NS
            ):
                last_ns = sent
                latest = tick
                continue
            if before_ns != _NEVER_NS:
                change = (latest - before) * _TICK_NS - (last_ns - before_ns)
                if -_MAX_CHANGE_NS < change < _MAX_CHANGE_NS:
                    changes.append((latest + origin, change))
                else:
                    self.restarted = True
            before_ns, before = last_ns, latest
            first_ns = last_ns = sent
            latest = tick
        self._first_ns = first_ns
        self._last_ns = last_ns
        self._tick = latest + origin
        self._before_ns = before_ns
        self._before_tick = before + origin
        return changes
