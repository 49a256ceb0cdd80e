"""How much a publisher is told that it may send (REMB). Pure but for the estimator it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from sfu.forwarder.contract import Arrival

#: Browsers stay at some 300 kb/s until they are told of more; this is a good camera picture.
START_BPS = 1_500_000
#: 720p at 30 frames a second needs no more; a screen with small print beside it does.
CAMERA_CAP_BPS = 2_500_000
SCREEN_CAP_BPS = 4_000_000
#: Below this there is no picture worth having; the sender's own loss control goes lower itself.
FLOOR_BPS = 200_000

#: abs-send-time counts 1/2^18 s in 24 bits; packets sent within 5 ms are one burst
#: (draft-ietf-rmcat-gcc-02 §5.2), so they cost the estimator one step.
_BURST_UNITS = (1 << 18) * 5 // 1000
_ABS_SEND_TIME_MASK = (1 << 24) - 1
_NS_PER_MS = 1_000_000


class Estimator(Protocol):
    """See `sfu.transport.aiortc_adapter.ArrivalEstimator`."""

    def add(
        self, arrival_ms: int, abs_send_time: int, size_bytes: int, ssrc: int
    ) -> int | None: ...


class UplinkBudget:
    """What one publisher may send in total.

    It starts generously and follows the estimator from the first sign of congestion until the
    estimate is above the start again: an estimator that has only seen a muted camera knows
    nothing of what the path carries.
    """

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._estimate_bps: int | None = None
        self._congested = False

    def note(self, arrivals: Sequence[Arrival]) -> None:
        """Take in what arrived since the last call, oldest first."""
        for arrival_ns, abs_send_time, size_bytes, ssrc in _bursts(arrivals):
            estimate = self._estimator.add(
                arrival_ns // _NS_PER_MS, abs_send_time, size_bytes, ssrc
            )
            if estimate is not None:
                self._follow(estimate)

    def target_bps(self, *, screen: bool) -> int:
        """What to tell the publisher now."""
        target = self._estimate_bps or START_BPS
        if not self._congested:
            target = max(target, START_BPS)
        return max(FLOOR_BPS, min(target, SCREEN_CAP_BPS if screen else CAMERA_CAP_BPS))

    def _follow(self, estimate_bps: int) -> None:
        if self._estimate_bps is not None and estimate_bps < self._estimate_bps:
            self._congested = True
        elif estimate_bps >= START_BPS:
            self._congested = False
        self._estimate_bps = estimate_bps


def _bursts(arrivals: Sequence[Arrival]) -> Iterator[tuple[int, int, int, int]]:
    """(arrival_ns, abs_send_time, size_bytes, ssrc) of packets sent together, sizes added up."""
    burst: tuple[int, int, int, int] | None = None
    started = 0
    for arrival in arrivals:
        sent = arrival.abs_send_time
        if sent is None:
            continue
        if burst is not None and (sent - started) & _ABS_SEND_TIME_MASK < _BURST_UNITS:
            burst = (arrival.now_ns, sent, burst[2] + arrival.size_bytes, arrival.ssrc)
            continue
        if burst is not None:
            yield burst
        started = sent
        burst = (arrival.now_ns, sent, arrival.size_bytes, arrival.ssrc)
    if burst is not None:
        yield burst
