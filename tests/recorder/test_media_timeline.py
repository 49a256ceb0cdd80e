"""One clock from many: synthetic senders whose true capture times are known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.media.timeline import Line, Stamper, Survey, Timeline, fit, unwrapped
from sfu.control.tap import SenderReport

MS = 1_000_000
SECOND = 1_000 * MS
START = 1_780_000_000 * SECOND


@dataclass
class Sender:
    """A sender with a clock of its own: NTP off by `ntp_offset_ns`, all its clocks drifting."""

    name: str
    seed: int
    ntp_offset_ns: int = 0
    drift: float = 0.0
    delay_ns: int = 30 * MS
    jitter_ns: int = 20 * MS
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def clock(self, true_ns: int) -> int:
        return START + round((true_ns - START) * (1 + self.drift))

    def arrival(self, true_ns: int) -> int:
        return true_ns + self.delay_ns + self.rng.randrange(self.jitter_ns + 1)


@dataclass(frozen=True)
class Sent:
    """A packet: when it was truly captured, and what the recorder sees of it."""

    true_ns: int
    track: int
    timestamp: int
    arrival_ns: int


def send(
    survey: Survey,
    sender: Sender,
    track: int,
    clock_rate: int,
    *,
    seconds: float,
    frame_s: float,
    report_s: float | None = 2.0,
    first_timestamp: int = 0xFFFF_F000,
    stalls: Callable[[int], int] = lambda _: 0,
    pause: tuple[float, float] = (0.0, 0.0),
) -> list[Sent]:
    """Send a track in order of arrival; `stalls(true)` is how long the RTP clock stood still."""
    survey.opened(track, sender.name, clock_rate)

    def rtp(true_ns: int) -> int:
        running_ns = sender.clock(true_ns) - START - stalls(true_ns)
        return (first_timestamp + running_ns * clock_rate // SECOND) & 0xFFFF_FFFF

    steps: list[tuple[int, int, bool]] = []
    for number in range(round(seconds / frame_s)):
        true_ns = START + round(number * frame_s * SECOND)
        if not pause[0] <= number * frame_s < pause[1]:
            steps.append((sender.arrival(true_ns), true_ns, False))
    if report_s is not None:
        for number in range(round(seconds / report_s)):
            true_ns = START + round((number + 0.5) * report_s * SECOND)
            if not pause[0] <= (number + 0.5) * report_s < pause[1]:
                steps.append((sender.arrival(true_ns), true_ns, True))
    sent = []
    for arrival_ns, true_ns, is_report in sorted(steps):
        if is_report:
            ntp_ns = sender.clock(true_ns) + sender.ntp_offset_ns
            report = SenderReport((ntp_ns << 32) // SECOND, rtp(true_ns))
            survey.report(track, report, arrival_ns)
        else:
            sent.append(Sent(true_ns, track, rtp(true_ns), arrival_ns))
            survey.packet(track, sent[-1].timestamp, arrival_ns)
    return sent


def errors_ms(timeline: Timeline, sent: list[Sent]) -> list[float]:
    """How far each packet's time is from the truth."""
    rtp_time: int | None = None
    found = []
    for packet in sent:
        rtp_time = unwrapped(packet.timestamp, rtp_time)
        wall_ns = timeline.tracks[packet.track].wall_ns(rtp_time, packet.arrival_ns)
        found.append((wall_ns - packet.true_ns) / MS)
    return found


def spread(values: list[float]) -> float:
    return max(values) - min(values)


def test_one_sender__lips_and_voice_within_a_millisecond() -> None:
    survey = Survey()
    sender = Sender("a", seed=1, ntp_offset_ns=-3_600 * SECOND, jitter_ns=200 * MS)
    audio = send(survey, sender, 1, 48_000, seconds=60, frame_s=0.02)
    video = send(survey, sender, 2, 90_000, seconds=60, frame_s=1 / 30)
    timeline = survey.finish()
    both = errors_ms(timeline, audio) + errors_ms(timeline, video)
    assert spread(both) < 1
    assert min(both) >= 0
    assert max(both) <= 230


def test_two_senders__apart_by_their_network_delay_only() -> None:
    survey = Survey()
    near = Sender("near", seed=1, ntp_offset_ns=7 * SECOND, delay_ns=5 * MS)
    far = Sender("far", seed=2, ntp_offset_ns=-900 * SECOND, delay_ns=80 * MS)
    first = send(survey, near, 1, 90_000, seconds=60, frame_s=1 / 30)
    second = send(survey, far, 2, 90_000, seconds=60, frame_s=1 / 30)
    timeline = survey.finish()
    assert spread(errors_ms(timeline, first) + errors_ms(timeline, second)) < 80 + 20


def test_an_hour_of_drift__tracks_stay_in_step() -> None:
    survey = Survey()
    fast = Sender("fast", seed=1, drift=80e-6, ntp_offset_ns=SECOND)
    slow = Sender("slow", seed=2, drift=-80e-6)
    audio = send(survey, fast, 1, 48_000, seconds=3600, frame_s=0.5)
    video = send(survey, fast, 2, 90_000, seconds=3600, frame_s=0.5)
    other = send(survey, slow, 3, 90_000, seconds=3600, frame_s=0.5)
    timeline = survey.finish()
    lips = [
        a - v for a, v in zip(errors_ms(timeline, audio), errors_ms(timeline, video), strict=False)
    ]
    assert max(map(abs, lips)) < 40
    everything = [e for sent in (audio, video, other) for e in errors_ms(timeline, sent)]
    assert spread(everything) < 40


def test_a_congested_minute__moves_nothing() -> None:
    survey = Survey()
    sender = Sender("a", seed=3)
    calm = send(survey, sender, 1, 90_000, seconds=600, frame_s=0.1)
    baseline = errors_ms(survey.finish(), calm)
    survey = Survey()
    congested = Sender("a", seed=3)
    usual = congested.arrival

    def delayed(true_ns: int) -> int:
        late = 200 <= (true_ns - START) / SECOND < 260
        return usual(true_ns) + (400 * MS if late else 0)

    congested.arrival = delayed  # type: ignore[method-assign]  # the network of this test
    sent = send(survey, congested, 1, 90_000, seconds=600, frame_s=0.1)
    assert spread(errors_ms(survey.finish(), sent)) < spread(baseline) + 10


def test_before_the_first_report__the_report_that_follows_speaks() -> None:
    survey = Survey()
    sender = Sender("a", seed=4, jitter_ns=150 * MS)
    sent = send(survey, sender, 1, 48_000, seconds=20, frame_s=0.02, report_s=10)
    assert spread(errors_ms(survey.finish(), sent)) < 1


def test_no_report_at_all__arrival_speaks_without_its_jitter() -> None:
    survey = Survey()
    sender = Sender("a", seed=5, jitter_ns=150 * MS)
    sent = send(survey, sender, 1, 48_000, seconds=60, frame_s=0.02, report_s=None)
    found = errors_ms(survey.finish(), sent)
    assert spread(found) < 1
    assert 30 <= min(found) <= 60


@pytest.mark.parametrize("report_s", [2.0, None])
def test_pause__leaves_a_gap_and_no_shift(report_s: float | None) -> None:
    survey = Survey()
    sender = Sender("a", seed=6)
    sent = send(
        survey, sender, 1, 48_000, seconds=60, frame_s=0.02, report_s=report_s, pause=(20.0, 35.0)
    )
    assert spread(errors_ms(survey.finish(), sent)) < 20


@pytest.mark.parametrize("report_s", [2.0, None])
def test_pause_with_the_rtp_clock_standing_still__leaves_a_gap(report_s: float | None) -> None:
    survey = Survey()
    sender = Sender("a", seed=7)
    sent = send(
        survey,
        sender,
        1,
        48_000,
        seconds=60,
        frame_s=0.02,
        report_s=report_s,
        pause=(20.0, 35.0),
        stalls=lambda true_ns: 15 * SECOND if true_ns - START >= 35 * SECOND else 0,
    )
    assert spread(errors_ms(survey.finish(), sent)) < 30


def test_forged_reports__are_not_believed() -> None:
    survey = Survey()
    honest = Sender("a", seed=8)
    sent = send(survey, honest, 1, 48_000, seconds=30, frame_s=0.02)
    forged = [
        SenderReport(0, 0),
        SenderReport((1 << 64) - 1, 12345),
        SenderReport(((START + 900 * SECOND) << 32) // SECOND, 0),
    ]
    for number, report in enumerate(forged):
        survey.report(1, report, sent[-1].arrival_ns + (number + 1) * SECOND)
    found = errors_ms(survey.finish(), sent)
    assert spread(found) < 60


@given(
    reports=st.lists(
        st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1)), max_size=20
    ),
    packets=st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=60),
)
def test_any_reports_and_timestamps__stay_near_their_arrival(
    reports: list[tuple[int, int]], packets: list[int]
) -> None:
    survey = Survey()
    survey.opened(1, "a", 90_000)
    for number, timestamp in enumerate(packets):
        survey.packet(1, timestamp, START + number * 20 * MS)
    for number, (ntp_time, rtp_time) in enumerate(reports):
        survey.report(1, SenderReport(ntp_time, rtp_time), START + number * 300 * MS)
    timeline = survey.finish()
    assert timeline.origin_ns == START
    rtp_time_: int | None = None
    for number, timestamp in enumerate(packets):
        rtp_time_ = unwrapped(timestamp, rtp_time_)
        arrival_ns = START + number * 20 * MS
        wall_ns = timeline.tracks[1].wall_ns(rtp_time_, arrival_ns)
        assert abs(wall_ns - arrival_ns) <= 10 * SECOND


@given(
    drift=st.floats(-200e-6, 200e-6),
    delays=st.lists(st.integers(0, 300), min_size=3, max_size=200),
)
def test_fit__no_point_lies_below_the_line(drift: float, delays: list[int]) -> None:
    span = 1200 * SECOND
    points = []
    for number, delay in enumerate(delays):
        x = START + number * span // len(delays)
        points.append((x, x + round((x - START) * drift) + delay * MS))
    line = fit(points)
    assert all(y - line(x) >= -MS for x, y in points)
    assert min(y - line(x) for x, y in points) <= MS


def test_fit__few_points_give_a_level_line() -> None:
    assert fit([(0, 50), (SECOND, SECOND + 20)]) == Line(SECOND, SECOND + 20, 0.0)
    assert fit([(5, 9)]) == Line(5, 9, 0.0)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1))
def test_stamps__rise_and_are_not_negative(walls: list[int]) -> None:
    stamper = Stamper(START)
    stamps = [stamper.stamp(START + wall) for wall in walls]
    assert stamps == sorted(set(stamps))
    assert stamps[0] >= 0
