from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.congestion.loss import LossBound

MS = 1_000_000


def drive(
    bound: LossBound, loss_at: Callable[[float], float], seconds: float, begin_ns: int = 0
) -> list[float]:
    """A sender that obeys: the rate in each 100 ms when `loss_at(rate)` of it is lost."""
    full = 1_000_000.0
    rates = []
    for n in range(int(seconds * 10)):
        now_ns = begin_ns + n * 100 * MS
        rate = min(full, bound.bound_bps or full)
        loss = loss_at(rate)
        bound.add(100, round(100 * loss), now_ns)
        bound.update(full, int(rate * (1 - loss)), 50 * MS, now_ns)
        rates.append(rate)
    return rates


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.09])
def test_little_loss__no_bound(loss: float) -> None:
    bound = LossBound()
    assert set(drive(bound, lambda _: loss, 10)) == {1_000_000.0}
    assert bound.loss == pytest.approx(loss)


@pytest.mark.parametrize("capacity", [0.2e6, 0.5e6, 0.8e6])
def test_overfull_path__bound_is_what_it_carries(capacity: float) -> None:
    rates = drive(LossBound(), lambda rate: max(0.0, 1 - capacity / rate), 3)
    assert 0.9 * capacity < rates[-1] < 1.2 * capacity
    assert rates[10] < 1.1 * capacity


@pytest.mark.parametrize("loss", [0.15, 0.3, 0.45])
def test_loss_whatever_is_sent__bound_taken_back(loss: float) -> None:
    rates = drive(LossBound(), lambda _: loss, 20)
    assert min(rates) < 1_000_000.0
    assert set(rates[30:]) == {1_000_000.0}


def test_paths_own_loss__more_on_top_of_it__answered() -> None:
    bound = LossBound()
    drive(bound, lambda _: 0.15, 5)
    rates = drive(bound, lambda rate: max(0.15, 1 - 0.3e6 / rate), 3, 5_000 * MS)
    assert rates[-1] < 0.45e6


def test_few_packets__chance() -> None:
    bound = LossBound()
    bound.add(10, 10, 0)
    assert not bound.update(1e6, 500_000, 0, 0)
    assert bound.bound_bps is None


def test_little_is_sent__bound_is_taken_back_all_the_same() -> None:
    bound = LossBound()
    drive(bound, lambda rate: max(0.0, 1 - 0.3e6 / rate), 3)
    assert bound.bound_bps is not None
    lowest = bound.bound_bps
    for n in range(300):
        now_ns = (6_000 + n * 100) * MS
        bound.add(2, 0, now_ns)
        bound.update(1e6, 100_000, 50 * MS, now_ns)
    assert bound.bound_bps is None or bound.bound_bps > 5 * lowest


def test_little_is_sent_and_half_of_it_lost__bound_stays() -> None:
    bound = LossBound()
    drive(bound, lambda rate: max(0.0, 1 - 0.3e6 / rate), 3)
    lowest = bound.bound_bps
    for n in range(300):
        now_ns = (6_000 + n * 100) * MS
        bound.add(2, 1, now_ns)
        bound.update(1e6, 100_000, 50 * MS, now_ns)
    assert bound.bound_bps == pytest.approx(lowest, rel=0.15)


def test_came_after_all__less_loss() -> None:
    bound = LossBound()
    bound.add(100, 20, 0)
    bound.add(100, -20, MS)
    assert bound.loss == 0.0


def test_second_ago__forgotten() -> None:
    bound = LossBound()
    bound.add(100, 50, 0)
    bound.add(100, 0, 1_200 * MS)
    assert bound.loss == 0.0


def test_lift__a_probe_knows_better() -> None:
    bound = LossBound()
    drive(bound, lambda rate: max(0.0, 1 - 0.3e6 / rate), 2)
    bound.lift(900_000)
    assert bound.bound_bps == 900_000


@given(
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(-5000, 5000), st.integers(-(10**10), 10**10)),
        max_size=30,
    )
)
def test_anything__a_share(counts: list[tuple[int, int, int]]) -> None:
    bound = LossBound()
    for sent, lost, now_ns in counts:
        bound.add(sent, lost, now_ns)
        bound.update(1e6, 500_000, 0, now_ns)
        assert 0.0 <= bound.loss <= 1.0
        assert bound.bound_bps is None or bound.bound_bps > 0
