"""Traces over the simulated link: how the estimate follows it. Rates in b/s, time in seconds."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.rtp.rtcp import RtcpFormatError, TransportFeedback, parse_compound
from sfu.streams.congestion.arrivals import FeedbackBuilder
from sfu.streams.congestion.estimator import FLOOR_BPS, START_BPS, SendEstimator, Told
from tests.support.link_model import MS, RING, START_NS, Call, Link, Ring, S, Sample, steady, steps

SEEDS = [1, 2, 3]


def mean(samples: list[Sample]) -> float:
    return sum(s.target_bps for s in samples) / len(samples)


def share(samples: list[Sample], holds: Callable[[Sample], bool]) -> float:
    return sum(map(holds, samples)) / len(samples)


@pytest.mark.parametrize("seed", SEEDS)
def test_steady_link__found_fast_and_held(seed: int) -> None:
    call = Call(Link(steady(2e6)), seed=seed)
    assert max(s.target_bps for s in call.run(3)) > 1.6e6
    rest = call.run(27)
    assert 1.5e6 < mean(rest) < 2.1e6
    assert share(rest, lambda s: s.queue_ms < 150) > 0.97


@pytest.mark.parametrize("seed", SEEDS)
def test_fast_link__wish_met_within_two_seconds(seed: int) -> None:
    call = Call(Link(steady(20e6)), seed=seed)
    call.run(2)
    assert call.estimator.proved_ns is not None
    assert all(s.target_bps > 4e6 for s in call.run(10))


@pytest.mark.parametrize("queue_bytes", [8_000, 12_500, 31_250])
@pytest.mark.parametrize("bucket_bytes", [1_500, 10_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_steps_down_and_up__below_in_2_s_back_in_10_s(
    queue_bytes: float, bucket_bytes: float, seed: int
) -> None:
    rate = steps((0, 3e6), (15, 0.5e6), (35, 3e6))
    link = Link(rate, queue_bytes=steady(queue_bytes), bucket_bytes=bucket_bytes)
    call = Call(link, seed=seed, wanted_bps=2.6e6)
    call.run(15)
    assert min(s.target_bps for s in call.run(2)) < 0.5e6
    low = call.run(18)
    assert share(low, lambda s: s.target_bps < 0.65e6) > 0.9
    assert 0.3e6 < mean(low) < 0.6e6
    back = call.run(10)
    assert max(s.target_bps for s in back) > 2.2e6
    assert mean(call.run(5)) > 2.2e6


@pytest.mark.parametrize("seed", SEEDS)
def test_deep_queue__emptied_soon(seed: int) -> None:
    link = Link(steps((0, 3e6), (10, 0.5e6)), queue_bytes=steady(100_000))
    call = Call(link, seed=seed, wanted_bps=2.6e6)
    call.run(19)
    assert share(call.run(10), lambda s: s.queue_ms < 300) > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_random_loss_of_5_percent__no_collapse(seed: int) -> None:
    call = Call(Link(steady(3e6), loss=steady(0.05)), seed=seed)
    call.run(5)
    assert mean(call.run(30)) > 2.2e6
    assert 0.01 < call.estimator.loss < 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_random_loss_of_20_percent__taken_for_the_paths_own(seed: int) -> None:
    call = Call(Link(steady(3e6), loss=steady(0.2)), seed=seed)
    call.run(15)
    assert mean(call.run(20)) > 1.5e6


@pytest.mark.parametrize("seed", SEEDS)
def test_mobile_network_with_jitter__holds_a_good_rate(seed: int) -> None:
    link = Link(steady(4e6), jitter_ms=steady(15), delay_ms=steady(40))
    call = Call(link, seed=seed, wanted_bps=2.5e6)
    call.run(5)
    assert mean(call.run(30)) > 1.5e6


@pytest.mark.parametrize("seed", SEEDS)
def test_reordering__no_collapse(seed: int) -> None:
    link = Link(steady(4e6), jitter_ms=steady(3), reorders=True)
    call = Call(link, seed=seed, wanted_bps=2.5e6)
    call.run(5)
    assert mean(call.run(20)) > 1.5e6


def camera(_: float, target_bps: int) -> float:
    """As much as fits, and no more than a camera has."""
    return min(1.7e6, max(0, target_bps - 40e3))


@pytest.mark.parametrize(("queue_bytes", "bucket_bytes"), [(-300, 5000), (1000, 5000)])
@pytest.mark.parametrize("seed", SEEDS)
def test_path_that_drops_what_is_too_much__not_taken_for_lossy(
    queue_bytes: float, bucket_bytes: float, seed: int
) -> None:
    link = Link(
        steps((0, 4e6), (6, 0.3e6)), queue_bytes=steady(queue_bytes), bucket_bytes=bucket_bytes
    )
    call = Call(link, seed=seed, wanted_bps=3.6e6)
    call.run(11)
    assert mean(call.run(7)) < 2 * 0.3e6


@pytest.mark.parametrize("feedback_loss", [0.3, 0.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_reports_get_lost__down_and_up_all_the_same(feedback_loss: float, seed: int) -> None:
    link = Link(
        steps((0, 4e6), (10, 0.5e6), (20, 4e6)),
        jitter_ms=steady(2),
        feedback_ms=100,
        feedback_loss=steady(feedback_loss),
    )
    call = Call(link, seed=seed, wanted_bps=1.9e6)
    call.run(12)
    low = call.run(8)
    assert 0.25e6 < mean(low) < 0.7e6
    call.run(25)
    assert mean(call.run(15)) > 1.5e6


@pytest.mark.parametrize("loss", [0.25, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_much_loss_of_its_own__up_again_after_a_dip(loss: float, seed: int) -> None:
    rate = steps((0, 4e6), (10, 0.4e6), (15, 4e6))
    link = Link(rate, loss=steady(loss), delay_ms=steady(40), feedback_ms=100)
    call = Call(link, seed=seed, media_bps=camera, wanted_bps=1.9e6)
    call.run(20)
    assert mean(call.run(25)) > 1.3e6


@pytest.mark.parametrize("seed", SEEDS)
def test_jitter_on_a_fast_link__is_no_queue(seed: int) -> None:
    rate = steps((0, 20e6), (6, 0.3e6), (10, 20e6))
    link = Link(rate, jitter_ms=steady(15), delay_ms=steady(40), feedback_ms=100)
    call = Call(link, seed=seed, media_bps=camera, wanted_bps=1.9e6)
    call.run(15)
    assert share(call.run(45), lambda s: s.target_bps > 1.74e6) > 0.85


@pytest.mark.parametrize("seed", SEEDS)
def test_others_fill_the_queue_again_and_again__not_taken_for_ours(seed: int) -> None:
    def delay_ms(second: float) -> float:
        return 20 + (120 + 130 * (second % 6) / 6 if second >= 10 else 0)

    link = Link(steady(4e6), delay_ms=delay_ms, feedback_ms=100)
    call = Call(link, seed=seed, media_bps=camera)
    call.run(20)
    assert share(call.run(40), lambda s: s.target_bps > 0.5e6) > 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_competing_flow__gives_way_and_comes_back(seed: int) -> None:
    call = Call(Link(steady(3e6), cross_bps=steps((0, 0), (10, 1.5e6), (30, 0))), seed=seed)
    call.run(13)
    beside = call.run(17)
    assert 1.0e6 < mean(beside) < 1.7e6
    call.run(10)
    assert mean(call.run(10)) > 2.3e6


@pytest.mark.parametrize("seed", SEEDS)
def test_on_and_off__keeps_what_it_knows_and_grows_no_further(seed: int) -> None:
    call = Call(
        Link(steady(3e6)),
        seed=seed,
        media_bps=lambda second, target: min(target, 2e6) if int(second) % 10 < 5 else 0,
        wanted_bps=2e6,
    )
    call.run(3)
    assert all(1.8e6 < s.target_bps < 3.5e6 for s in call.run(40))


@pytest.mark.parametrize("seed", SEEDS)
def test_little_to_send__no_blind_growth_and_no_probes(seed: int) -> None:
    link = Link(steady(5e6), jitter_ms=steady(5))
    call = Call(link, seed=seed, media_bps=lambda _, __: 260e3, wanted_bps=300e3)
    call.run(30)
    assert call.estimator.target_bps <= START_BPS
    assert call.probes == 0


@pytest.mark.parametrize("queue_bytes", [6_000, 20_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_64_kbit__room_for_the_voice_only_and_short_queues(queue_bytes: float, seed: int) -> None:
    call = Call(
        Link(steady(64e3), queue_bytes=steady(queue_bytes)),
        seed=seed,
        media_bps=lambda _, target: target - 40e3 if target > 190e3 else 0,
        wanted_bps=1.5e6,
    )
    call.run(25)
    rest = call.run(35)
    assert all(s.target_bps < 190e3 for s in rest)
    assert share(rest, lambda s: s.queue_ms < 200) > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_satellite_delay__found_and_held(seed: int) -> None:
    link = Link(steady(2e6), delay_ms=steady(150), queue_bytes=steady(100_000))
    call = Call(link, seed=seed, wanted_bps=3e6)
    call.run(6)
    assert 1.5e6 < mean(call.run(30)) < 2.1e6


@pytest.mark.parametrize("seed", SEEDS)
def test_blocked_downlink__halves_says_so_and_recovers(seed: int) -> None:
    link = Link(steady(3e6), loss=steps((0, 0), (10, 1.0), (16, 0)))
    call = Call(link, seed=seed, wanted_bps=2.5e6)
    before = call.run(10)[-1]
    assert before.acknowledged
    blocked = call.run(6)
    assert blocked[15].target_bps < before.target_bps / 2
    assert blocked[25].target_bps < before.target_bps / 8
    assert not blocked[25].acknowledged
    assert call.estimator.congested
    after = call.run(5)
    assert after[10].acknowledged
    assert after[-1].target_bps > 2e6


@pytest.mark.parametrize("jump_s", [-3600.0, -5.0, 5.0, 86_400.0])
def test_receivers_clock_is_set__nothing_happens(jump_s: float) -> None:
    call = Call(Link(steady(2e6)), seed=1, clock_jump=steps((0, 0), (10, jump_s)))
    call.run(10)
    assert 1.4e6 < mean(call.run(5)) < 2.2e6


@pytest.mark.parametrize("jump_s", [0.2, 1.0, 2.5])
def test_receivers_clock_is_set_by_little__a_dip_at_most(jump_s: float) -> None:
    call = Call(
        Link(steady(5e6)),
        seed=1,
        media_bps=lambda _, target: min(2e6, max(0, target - 40e3)),
        wanted_bps=2.5e6,
        clock_jump=steps((0, 0), (10, jump_s)),
    )
    call.run(10)
    assert share(call.run(10), lambda s: s.target_bps < 0.3e6) < 0.65
    assert mean(call.run(20)) > 2e6


@pytest.mark.parametrize("jitter_ms", [2, 15])
@pytest.mark.parametrize("longer_ms", [160, 250, 600])
def test_path_becomes_longer__a_dip_at_most(longer_ms: float, jitter_ms: float) -> None:
    delay_ms = steps((0, 20), (10, 20 + longer_ms))
    call = Call(
        Link(steady(5e6), delay_ms=delay_ms, jitter_ms=steady(jitter_ms)),
        seed=1,
        media_bps=lambda _, target: min(2e6, max(0, target - 40e3)),
        wanted_bps=2.5e6,
    )
    call.run(10)
    assert share(call.run(10), lambda s: s.target_bps < 0.3e6) < 0.3
    assert mean(call.run(20)) > 1.2e6


def test_address_moves_to_a_longer_path__kept() -> None:
    link = Link(steady(5e6), delay_ms=steps((0, 20), (10, 620)))
    call = Call(
        link,
        seed=1,
        media_bps=lambda _, target: min(2e6, max(0, target - 40e3)),
        wanted_bps=2.5e6,
    )
    call.run(10)
    call.sends.moves += 1
    assert min(s.target_bps for s in call.run(10)) > 1.5e6


@pytest.mark.parametrize("seed", SEEDS)
def test_address_moves_after_an_outage__what_was_lost_before_is_not_counted(seed: int) -> None:
    link = Link(
        steady(5e6),
        delay_ms=steady(40),
        loss=steps((0, 0), (10, 1.0), (10.4, 0)),
        feedback_ms=100,
    )
    call = Call(link, seed=seed, wanted_bps=1.9e6)
    call.run(10)
    call.run(0.4)
    call.sends.moves += 1
    assert min(s.target_bps for s in call.run(5)) > 1.6e6


def comfort_noise(loss: float, seconds: int) -> SendEstimator:
    """A packet each 400 ms, and reports of those that came."""
    chance = random.Random(1)
    estimator, sends, builder = SendEstimator(START_NS), Ring(), FeedbackBuilder()
    for n in range(seconds * 5):
        now_ns = START_NS + n * 200 * MS
        if n % 2 == 0:
            sequence = sends.add(now_ns, 80)
            if chance.random() >= loss:
                builder.note([(sequence & 0xFFFF, now_ns + 50 * MS)])
        else:
            for packet in builder.take():
                estimator.feedback(packet, sends, now_ns)
        estimator.tick(sends, now_ns)
    return estimator


def test_little_is_sent_and_some_of_it_lost__no_halving() -> None:
    estimator = comfort_noise(0.05, 600)
    assert estimator.target_bps == START_BPS
    assert not estimator.congested


def test_last_packet_is_lost__no_halving() -> None:
    estimator, sends = SendEstimator(START_NS), Ring()
    for n in range(50):
        sends.add(START_NS + n * 20 * MS, 100)
    told = TransportFeedback(0, 0, 0, 0, 0, 49, tuple(range(49)), tuple(range(0, 49 * 80, 80)))
    estimator.feedback(told, sends, START_NS + S)
    for n in range(100):
        estimator.tick(sends, START_NS + S + n * 100 * MS)
    # Much is sent at once behind it: that nothing was heard of this yet says nothing.
    for n in range(30):
        sends.add(START_NS + 11 * S + n * MS, 100)
        estimator.tick(sends, START_NS + 11 * S + n * MS)
    assert estimator.target_bps == START_BPS
    assert not estimator.congested
    estimator.tick(sends, START_NS + 13 * S)
    assert estimator.target_bps == START_BPS // 2
    for n in range(100):
        estimator.tick(sends, START_NS + 13 * S + n * 100 * MS)
    assert estimator.target_bps == START_BPS // 2, "nothing more was sent"


def test_same_seed__same_trace() -> None:
    def trace() -> list[tuple[object, ...]]:
        link = Link(steps((0, 2e6), (5, 1e6)), loss=steady(0.02), jitter_ms=steady(4))
        return [astuple(s) for s in Call(link, seed=7).run(12)]

    assert trace() == trace()


def test_no_feedback_and_nothing_sent__stays_at_the_start() -> None:
    estimator = SendEstimator(START_NS)
    for second in range(10):
        estimator.tick(Ring(), START_NS + second * S)
        assert estimator.probe(START_NS + second * S, 5_000_000) is None
    assert estimator.target_bps == START_BPS
    assert not estimator.acknowledged
    assert not estimator.congested


def test_muted_for_a_minute__no_halving() -> None:
    call = Call(Link(steady(3e6)), seed=1)
    call.run(5)
    before = call.estimator.target_bps
    last_ns = START_NS + 5 * S
    every = TransportFeedback(0, 0, (call.sends.next_sequence - 1) & 0xFFFF, 0, 0, 1, (0,), (0,))
    call.estimator.feedback(every, call.sends, last_ns)
    call.estimator.tick(call.sends, last_ns + 60 * S)
    assert call.estimator.target_bps >= 0.8 * before


def test_remb__is_the_estimate_without_other_feedback() -> None:
    estimator = SendEstimator(START_NS)
    estimator.receiver_limit(2_300_000, START_NS + S)
    assert estimator.target_bps == 2_300_000
    assert estimator.acknowledged
    estimator.receiver_limit(1, START_NS + 2 * S)
    assert estimator.target_bps == FLOOR_BPS


def test_remb__bounds_the_estimate_beside_other_feedback() -> None:
    call = Call(Link(steady(3e6)), seed=1)
    call.run(5)
    call.estimator.receiver_limit(400_000, START_NS + 5 * S)
    assert call.estimator.target_bps == 400_000


def test_reports_of_loss__without_other_feedback__down_and_slowly_up() -> None:
    estimator = SendEstimator(START_NS)
    estimator.loss_report(0.4, START_NS)
    assert estimator.target_bps == 800_000
    assert estimator.congested
    estimator.loss_report(0.05, START_NS + S)
    assert estimator.target_bps == 800_000
    for second in range(2, 60):
        estimator.loss_report(0.0, START_NS + second * S)
    assert 2_000_000 < estimator.target_bps <= 2_500_000


def test_reports_of_loss__a_flood_of_them__one_step() -> None:
    estimator = SendEstimator(START_NS)
    for n in range(100):
        estimator.loss_report(1.0, START_NS + n * MS)
    assert estimator.target_bps == START_BPS // 2


def settled() -> Call:
    call = Call(Link(steady(3e6)), seed=1)
    call.run(4)
    return call


def test_feedback_for_packets_that_were_never_sent__ignored() -> None:
    call = settled()
    before = call.estimator.target_bps, call.estimator.loss, call.estimator.round_trip_ns
    following = call.sends.next_sequence
    for base, count in [(following, 5), (following - 2, 3), (following + 30_000, 60_000)]:
        ahead = TransportFeedback(0, 0, base & 0xFFFF, 0, 0, count, (0, 1), (0, 1))
        call.estimator.feedback(ahead, call.sends, START_NS + 4 * S)
    after = call.estimator.target_bps, call.estimator.loss, call.estimator.round_trip_ns
    assert after == before


def test_what_is_told__each_lost_number_once_and_those_whose_report_got_lost() -> None:
    estimator, sends = SendEstimator(START_NS), Ring()
    for n in range(20):
        sends.add(START_NS + n * MS, 1000)

    def hear(base: int, count: int, *offsets: int) -> Told | None:
        ticks = tuple(4 * (base + offset) for offset in offsets)
        feedback = TransportFeedback(0, 0, base, 0, 0, count, offsets, ticks)
        return estimator.feedback(feedback, sends, START_NS + 100 * MS)

    assert hear(0, 5, 0, 2, 4) == Told(0, [1, 3], range(0))
    assert hear(2, 6, 0, 1, 5) == Told(2, [5, 6], range(5, 2)), "3 came late"
    assert hear(12, 3, 0, 1, 2) == Told(12, (), range(8, 12))
    assert hear(18, 3, 0) is None, "it tells of more than was sent"


def test_first_feedback_for_hours__tells_of_no_more_than_is_known() -> None:
    estimator, sends = SendEstimator(START_NS), Ring()
    for n in range(3 * RING):
        sends.add(START_NS + n * MS, 1000)
    feedback = TransportFeedback(0, 0, 3 * RING - 9 & 0xFFFF, 0, 0, 9, (8,), (0,))
    told = estimator.feedback(feedback, sends, START_NS + 3 * RING * MS)
    assert told is not None
    assert told.untold == range(2 * RING, 3 * RING - 9)


def test_feedback_twice_and_out_of_order__no_harm() -> None:
    link = Link(steady(2e6), loss=steady(0.02))

    class Echo(Call):
        """Hears each feedback packet again a second later, newest first."""

        def _hear(self) -> None:
            heard = [r for r in self._reports if r[0] <= self._now_ns]
            super()._hear()
            self._again = getattr(self, "_again", [])
            self._again += heard
            if len(self._again) > 15:
                for _, packet in reversed(self._again):
                    self.estimator.feedback(packet, self.sends, self._now_ns)
                self._again = []

    plain, echo = Call(link, seed=2), Echo(link, seed=2)
    assert mean(echo.run(20)) == pytest.approx(mean(plain.run(20)), rel=0.15)
    assert echo.estimator.loss < 0.1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-300, 50),
            st.lists(st.integers(0, 250), unique=True, max_size=40).map(sorted),
            st.lists(st.integers(-(1 << 20), 1 << 20), min_size=40, max_size=40),
            st.integers(0, 0xFF_FFFF),
            st.integers(-S, 5 * S),
        ),
        max_size=12,
    )
)
def test_hostile_feedback__numbers_stay_sane(
    told: list[tuple[int, list[int], list[int], int, int]],
) -> None:
    call = settled()
    now_ns = START_NS + 4 * S
    for before, offsets, ticks, reference, later_ns in told:
        now_ns += later_ns
        base = call.sends.next_sequence + before
        count = (offsets[-1] if offsets else 0) + 1
        feedback = TransportFeedback(
            0, 0, base & 0xFFFF, 0, reference, count, tuple(offsets), tuple(ticks[: len(offsets)])
        )
        call.estimator.feedback(feedback, call.sends, now_ns)
        call.estimator.tick(call.sends, now_ns)
        call.estimator.probe(now_ns, 3_000_000)
        assert FLOOR_BPS <= call.estimator.target_bps <= 30_000_000
        assert 0.0 <= call.estimator.loss <= 1.0


def test_hostile_bytes__no_exception() -> None:
    parsed = 0

    @settings(max_examples=200, deadline=None)
    @given(
        st.integers(0, 250),
        st.integers(1, 80),
        st.integers(0, (1 << 32) - 1),
        st.lists(st.integers(0, 0xFFFF), max_size=12),
        st.binary(max_size=160),
    )
    def hear(base: int, count: int, times: int, chunks: list[int], deltas: bytes) -> None:
        nonlocal parsed
        body = struct.pack("!IIHHI", 1, 2, base, count, times)
        body += struct.pack(f"!{len(chunks)}H", *chunks) + deltas
        body += bytes(-len(body) % 4)
        try:
            [feedback] = parse_compound(struct.pack("!BBH", 0x8F, 205, len(body) // 4) + body)
        except RtcpFormatError:
            return
        assert isinstance(feedback, TransportFeedback)
        parsed += 1
        estimator, sends = SendEstimator(START_NS), Ring()
        for n in range(200):
            sends.add(START_NS + n * MS, 1000)
        estimator.feedback(feedback, sends, START_NS + S)
        assert FLOOR_BPS <= estimator.target_bps <= 30_000_000

    hear()
    assert parsed > 10
