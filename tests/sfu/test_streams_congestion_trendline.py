from __future__ import annotations

import pytest

from sfu.streams.congestion.trendline import Trendline

MS = 1_000_000
#: Bursts arrive each 20 ms, in units of 250 µs.
STEP = 80


def feed(line: Trendline, change_ms: float, bursts: int, begin: int = 0) -> float:
    trend = 0.0
    for n in range(bursts):
        trend = line.add([((begin + n) * STEP, int(change_ms * MS))])
    return trend


def test_even_delay__no_trend() -> None:
    line = Trendline()
    assert feed(line, 0.0, 50) == 0.0
    assert line.queue_ms == 0.0


@pytest.mark.parametrize("change_ms", [1.0, -1.0])
def test_delay_that_moves__trend_of_its_sign_and_slope(change_ms: float) -> None:
    # 1 ms in each 20: a slope of 0.05, of full weight 60, four times.
    assert feed(Trendline(), change_ms, 200) == pytest.approx(12 * change_ms, rel=0.02)


def test_few_bursts__weak_evidence() -> None:
    assert 0 < feed(Trendline(), 1.0, 4) < 1.0


def test_one_spike__small_and_gone() -> None:
    line = Trendline()
    feed(line, 0.0, 60)
    line.add([(60 * STEP, 30 * MS)])
    line.add([(61 * STEP, -30 * MS)])
    assert abs(feed(line, 0.0, 60, 62)) < 1.0
    assert line.queue_ms == pytest.approx(0.0, abs=2.0)


def test_queue__all_of_the_newest_bursts_wait() -> None:
    line = Trendline()
    feed(line, 0.0, 20)
    feed(line, 100.0, 2, 20)
    assert line.queue_ms == 0.0
    feed(line, 100.0, 2, 22)
    assert line.queue_ms == pytest.approx(200.0, abs=1.0)
    feed(line, 0.0, 10, 24)
    assert line.queue_ms == pytest.approx(400.0, abs=1.0)


def test_clear__begins_anew() -> None:
    line = Trendline()
    feed(line, 5.0, 50)
    line.clear()
    assert feed(line, 0.0, 5) == 0.0
    assert line.queue_ms == 0.0


def test_arrivals_at_one_instant__no_slope() -> None:
    assert Trendline().add([(7, 3 * MS)] * 30) == 0.0


def test_long_queue__neither_grows_nor_drains__is_a_longer_way() -> None:
    line = Trendline()
    feed(line, 0.0, 20)
    line.add([(20 * STEP, 200 * MS)])
    feed(line, 0.0, 60, 21)
    assert line.queue_ms == pytest.approx(200.0, abs=2.0)
    feed(line, 0.0, 30, 81)
    assert line.queue_ms == pytest.approx(0.0, abs=2.0)
    feed(line, 2.0, 90, 111)
    assert line.queue_ms == pytest.approx(175.0, abs=5.0)


def test_long_queue__filled_again_and_again__is_the_others() -> None:
    line = Trendline()
    feed(line, 0.0, 20)
    line.add([(20 * STEP, 200 * MS)])
    for saw in range(20):
        feed(line, 5.0, 10, 21 + 20 * saw)
        feed(line, -5.0, 10, 31 + 20 * saw)
    assert line.queue_ms < 60


@pytest.mark.parametrize("change_ms", [1.0, -0.8])
def test_long_queue__that_moves__stays_one(change_ms: float) -> None:
    line = Trendline()
    feed(line, 0.0, 20)
    line.add([(20 * STEP, 400 * MS)])
    feed(line, change_ms, 250, 21)
    assert line.queue_ms == pytest.approx(400.0 + 250 * change_ms, abs=8.0)
