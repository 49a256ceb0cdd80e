"""Estimate and allocation together, over the simulated link: what a viewer sees of the network."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sfu.ids import SourceId
from sfu.router.allocation import Allocation, Allocator, LayerRate, Wish
from tests.support.link_model import START_NS, Call, Link, S, Schedule, steady, steps

AUDIO_BPS = 40_000
#: What a browser sends by simulcast of 720p, with and without the upper half of its pictures.
CAMERA = tuple(
    LayerRate(spatial, temporal, height, int(bps * share))
    for spatial, height, bps in [(0, 180, 150_000), (1, 360, 500_000), (2, 720, 1_700_000)]
    for temporal, share in [(0, 0.6), (1, 1.0)]
)


class Visit:
    """One viewer of one camera; `seen` is (second, layer or None) of each tenth of a second."""

    def __init__(self, link: Link, seed: int) -> None:
        self.allocator = Allocator()
        self.seen: list[tuple[float, LayerRate | None]] = []
        self.reasons: set[str] = set()
        self._decided_ns = 0
        self._allocation: Allocation | None = None
        wanted_bps = (AUDIO_BPS + CAMERA[-1].bps) * 1.15
        self.call = Call(link, seed=seed, media_bps=self._media_bps, wanted_bps=wanted_bps)

    def _media_bps(self, second: float, target_bps: int) -> float:
        now_ns = START_NS + int(second * S)
        if self._allocation is None or now_ns - self._decided_ns >= S // 10:
            self._decided_ns = now_ns
            proved_ns = self.call.estimator.proved_ns
            self._allocation = self.allocator.decide(
                [Wish(0, SourceId("camera"), 720, "other", CAMERA)],
                budget_bps=target_bps,
                audio_bps=AUDIO_BPS,
                now_ns=now_ns,
                proved=proved_ns is not None and now_ns - proved_ns < 2 * S,
            )
            [choice] = self._allocation.choices
            self.seen.append((second, choice.layer))
            self.reasons.add(choice.picture)
        return self._allocation.used_bps - AUDIO_BPS

    def between(self, begin: float, end: float) -> list[LayerRate | None]:
        return [layer for second, layer in self.seen if begin <= second < end]


def changes(layers: list[LayerRate | None]) -> int:
    return sum(a != b for a, b in pairwise(layers))


@pytest.mark.parametrize("queue_bytes", [12_500, 31_250])
@pytest.mark.parametrize("bucket_bytes", [1_600, 4_000, 16_000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_3_to_half_to_3_mbit__down_in_2_s_back_in_10_s(
    queue_bytes: float, bucket_bytes: float, seed: int
) -> None:
    rate: Schedule = steps((0, 3e6), (15, 0.5e6), (35, 3e6))
    link = Link(rate, queue_bytes=steady(queue_bytes), bucket_bytes=bucket_bytes)
    visit = Visit(link, seed)
    visit.call.run(50)
    assert visit.between(8, 15)[-1] == CAMERA[-1]
    low = visit.between(17, 35)
    assert all(layer is None or layer.bps <= 0.5e6 for layer in low)
    assert sum(layer is not None for layer in low) > 0.8 * len(low)
    assert changes(low) <= 16
    back = visit.between(35, 45)
    assert any(layer is not None and layer.spatial == 2 for layer in back)
    assert visit.between(45, 50).count(CAMERA[-1]) > 25


@pytest.mark.parametrize("bucket_bytes", [1_600, 4_000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_64_kbit__picture_stops_and_says_why_and_stays_away(bucket_bytes: float, seed: int) -> None:
    link = Link(steady(64e3), queue_bytes=steady(6_000), bucket_bytes=bucket_bytes)
    visit = Visit(link, seed)
    visit.call.run(10)
    rest = visit.call.run(50)
    assert "network" in visit.reasons
    assert sum(layer is not None for layer in visit.between(10, 60)) < 50
    assert sum(s.queue_ms < 200 for s in rest) > 0.9 * len(rest)


@pytest.mark.parametrize("bucket_bytes", [1_500, 4_000, 10_000])
@pytest.mark.parametrize("rate_bps", [0.3e6, 0.7e6, 1.2e6])
def test_shaped_path_narrower_than_the_wish__picture_stays_and_voice_is_seldom_late(
    rate_bps: float, bucket_bytes: float
) -> None:
    link = Link(
        steady(rate_bps),
        bucket_bytes=bucket_bytes,
        delay_ms=steady(40),
        jitter_ms=steady(2),
        feedback_ms=100,
    )
    visit = Visit(link, 1)
    visit.call.run(20)
    visit.call.voice_delays_ms.clear()
    visit.call.run(60)
    late = sum(delay_ms > 40 + 150 for delay_ms in visit.call.voice_delays_ms)
    assert late < 0.05 * len(visit.call.voice_delays_ms)
    seen = visit.between(20, 80)
    assert None not in seen
    assert changes(seen) <= 4


@pytest.mark.parametrize("seed", [1, 2])
def test_shaped_path_wide_again_after_a_minute__best_layer_within_10_s(seed: int) -> None:
    rate: Schedule = steps((0, 3e6), (10, 0.5e6), (70, 3e6))
    visit = Visit(Link(rate, bucket_bytes=10_000, feedback_ms=100), seed)
    visit.call.run(80)
    assert any(layer is not None and layer.spatial == 2 for layer in visit.between(70, 80))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mobile_network__picture_stays(seed: int) -> None:
    link = Link(steady(2.5e6), jitter_ms=steady(12), delay_ms=steady(40), loss=steady(0.01))
    visit = Visit(link, seed)
    visit.call.run(60)
    seen = visit.between(5, 60)
    assert None not in seen
    assert changes(seen) <= 20


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_loss_of_5_percent__best_layer_stays(seed: int) -> None:
    visit = Visit(Link(steady(4e6), loss=steady(0.05)), seed)
    visit.call.run(40)
    seen = visit.between(6, 40)
    assert seen.count(CAMERA[-1]) > 0.9 * len(seen)
