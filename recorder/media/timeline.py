"""One clock for all tracks of a recording.

A packet has an RTP time, of a clock that is the track's own. Sender reports (RFC 3550 §6.4.1) tie
it to the sender's NTP clock, which all tracks of one sender share: that keeps lips and voice
together. The NTP clocks of different senders differ by anything, so each is tied to ours by the
shortest way a report took: arrival minus NTP time, at its least. What remains between two senders
is the difference of their shortest network delays.

A track without reports is tied to ours by its own packets in the same way. Where reports are not
plausible (beyond `_PLAUSIBLE_NS` of the arrival) packets speak too: nobody can stretch a file to
years by a forged report.

Use: feed a `Survey` the whole recording, in order of arrival, then ask its `Timeline` for the time
of each frame in a second pass. All times are nanoseconds; ours is Unix time as at the SFU.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from sfu.control.tap import SenderReport
from sfu.rtp.serial import unwrap_32

_SECOND_NS = 1_000_000_000
_PLAUSIBLE_NS = 10 * _SECOND_NS
#: Two reports that differ by more do not lie on one straight clock: the RTP time has jumped.
_JUMP_NS = _SECOND_NS // 10
#: A packet this much later or earlier than the track's others: its RTP time stood still or jumped.
_BREAK_NS = _SECOND_NS
#: Bounds memory against a sender whose RTP times jump all the time.
_MAX_SEGMENTS = 10_000
#: Reports come every second or slower; more of them only cost memory.
_REPORT_INTERVAL_NS = _SECOND_NS // 5
#: Over a shorter time the jitter of the network is more than the drift of a clock.
_DRIFT_SPAN_NS = 300 * _SECOND_NS


class Line(NamedTuple):
    """Our time = `at_ns` + (x − `x_ns`) × (1 + `drift`) of another clock's time x."""

    x_ns: int
    at_ns: int
    drift: float

    def __call__(self, x_ns: int) -> int:
        past = x_ns - self.x_ns
        return self.at_ns + past + round(past * self.drift)


class _Tie(NamedTuple):
    arrival_ns: int
    rtp_time: int
    wall_ns: int


class TrackClock:
    """The mapping of one track; made by `Survey.finish`."""

    def __init__(
        self, clock_rate: int, ties: Sequence[_Tie], segments: Sequence[tuple[int, int]]
    ) -> None:
        self._clock_rate = clock_rate
        self._ties = ties
        self._tie_arrivals = [tie.arrival_ns for tie in ties]
        self._segments = segments
        self._segment_arrivals = [arrival_ns for arrival_ns, _ in segments]

    def wall_ns(self, rtp_time: int, arrival_ns: int) -> int:
        """When the frame of this unwrapped RTP time was captured, on our clock."""
        index = bisect_right(self._tie_arrivals, arrival_ns)
        before = self._ties[index - 1] if index > 0 else None
        after = self._ties[index] if index < len(self._ties) else None
        found = self._by_reports(rtp_time, arrival_ns, before, after)
        if found is not None and abs(arrival_ns - found) <= _PLAUSIBLE_NS:
            return found
        return self._by_arrival(rtp_time, arrival_ns)

    def _by_reports(
        self, rtp_time: int, arrival_ns: int, before: _Tie | None, after: _Tie | None
    ) -> int | None:
        times = [
            tie.wall_ns + self._ticks_ns(rtp_time - tie.rtp_time)
            for tie in (before, after)
            if tie is not None
        ]
        if before is None or after is None or abs(times[1] - times[0]) > _JUMP_NS:
            # The right one is near the arrival; the other is off by the pause or the jump.
            return min(times, key=lambda wall_ns: abs(arrival_ns - wall_ns), default=None)
        span = after.rtp_time - before.rtp_time
        share = (rtp_time - before.rtp_time) / span if span > 0 else 1.0
        return times[0] + round((times[1] - times[0]) * min(max(share, 0.0), 1.0))

    def _by_arrival(self, rtp_time: int, arrival_ns: int) -> int:
        index = bisect_right(self._segment_arrivals, arrival_ns)
        offset_ns = self._segments[max(index - 1, 0)][1] if self._segments else arrival_ns
        return self._ticks_ns(rtp_time) + offset_ns

    def _ticks_ns(self, ticks: int) -> int:
        return ticks * _SECOND_NS // self._clock_rate


class Timeline(NamedTuple):
    """The clocks of a recording; `origin_ns` is when its first packet came, None without one."""

    origin_ns: int | None
    tracks: dict[int, TrackClock]


class _TrackSurvey:
    def __init__(self, sender: str, clock_rate: int) -> None:
        self.sender = sender
        self.clock_rate = clock_rate
        self.rtp_time: int | None = None
        self.reports: list[tuple[int, int, int]] = []
        self.segments: list[tuple[int, int]] = []

    def packet(self, timestamp: int, arrival_ns: int) -> None:
        self.rtp_time = unwrapped(timestamp, self.rtp_time)
        offset_ns = arrival_ns - self.rtp_time * _SECOND_NS // self.clock_rate
        if self.segments:
            start_ns, least_ns = self.segments[-1]
            unbroken = abs(offset_ns - least_ns) <= _BREAK_NS
            if unbroken or len(self.segments) >= _MAX_SEGMENTS:
                self.segments[-1] = (start_ns, min(offset_ns, least_ns))
                return
        self.segments.append((arrival_ns, offset_ns))

    def report(self, report: SenderReport, arrival_ns: int) -> None:
        if self.reports and arrival_ns - self.reports[-1][0] < _REPORT_INTERVAL_NS:
            return
        rtp_time = unwrapped(report.rtp_time, self.rtp_time)
        ntp_ns = (report.ntp_time * _SECOND_NS) >> 32
        self.reports.append((arrival_ns, rtp_time, ntp_ns))


class Survey:
    """What the clocks need to know; feed it every record in order of arrival, then `finish`."""

    def __init__(self) -> None:
        self._tracks: dict[int, _TrackSurvey] = {}
        self._origin_ns: int | None = None

    def opened(self, track: int, sender: str, clock_rate: int) -> None:
        """A track begins; tracks of one `sender` share an NTP clock."""
        self._tracks[track] = _TrackSurvey(sender, clock_rate)

    def packet(self, track: int, timestamp: int, arrival_ns: int) -> None:
        """A packet of an opened track, with its 32 bit RTP timestamp."""
        self._tracks[track].packet(timestamp, arrival_ns)
        if self._origin_ns is None or arrival_ns < self._origin_ns:
            self._origin_ns = arrival_ns

    def report(self, track: int, report: SenderReport, arrival_ns: int) -> None:
        """A sender report of an opened track."""
        self._tracks[track].report(report, arrival_ns)

    def finish(self) -> Timeline:
        """The clocks of all tracks."""
        points: dict[str, list[tuple[int, int]]] = {}
        for survey in self._tracks.values():
            points.setdefault(survey.sender, []).extend(
                (ntp_ns, arrival_ns) for arrival_ns, _, ntp_ns in survey.reports
            )
        senders = {sender: fit(seen) for sender, seen in points.items() if seen}
        return Timeline(
            self._origin_ns,
            {
                number: TrackClock(
                    survey.clock_rate,
                    [
                        _Tie(arrival_ns, rtp_time, senders[survey.sender](ntp_ns))
                        for arrival_ns, rtp_time, ntp_ns in survey.reports
                    ],
                    survey.segments,
                )
                for number, survey in self._tracks.items()
            },
        )


def unwrapped(timestamp: int, last: int | None) -> int:
    """A 32 bit RTP timestamp as a whole number near the track's last one."""
    return timestamp if last is None else unwrap_32(timestamp, last)


def fit(points: Sequence[tuple[int, int]]) -> Line:
    """The line below all points (a clock's time, arrival on ours) that lies closest to them.

    Over minutes two clocks drift apart, so the line has a slope: the edge of the lower convex
    hull that spans the mean is the line below all points with the least sum of distances. Over
    less it is level through the lowest point. Points far off the median are forged or broken.
    """
    middle_ns = statistics.median_low([y - x for x, y in points])
    sane = sorted((x, y) for x, y in points if abs(y - x - middle_ns) <= _PLAUSIBLE_NS)
    if sane[-1][0] - sane[0][0] < _DRIFT_SPAN_NS:
        x, y = min(sane, key=lambda point: point[1] - point[0])
        return Line(x, y, 0.0)
    hull: list[tuple[int, int]] = []
    for point in sane:
        while len(hull) > 1 and not _turns_up(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    mean_x = sum(x for x, _ in sane) // len(sane)
    right = min(max(bisect_right(hull, mean_x, key=lambda point: point[0]), 1), len(hull) - 1)
    (x0, y0), (x1, y1) = hull[right - 1], hull[right]
    return Line(x0, y0, ((y1 - y0) - (x1 - x0)) / (x1 - x0))


def _turns_up(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])


class Stamper:
    """Turns capture times into a container's timestamps: milliseconds, each above the last."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._last_ms = -1

    def stamp(self, wall_ns: int) -> int:
        """The timestamp of the next frame."""
        exact_ms = round((wall_ns - self._origin_ns) / 1_000_000)
        self._last_ms = max(exact_ms, self._last_ms + 1)
        return self._last_ms
