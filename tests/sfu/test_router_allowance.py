from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.router.allowance import Allowance

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


def test_burst__then_the_rate() -> None:
    allowance = Allowance(2.0, 4.0)
    assert allowance.take(10, NOW) == 4
    assert allowance.take(1, NOW) == 0
    assert allowance.take(10, NOW + SECOND) == 2
    assert allowance.take(10, NOW + 100 * SECOND) == 4


def test_clock_that_goes_back__gives_nothing() -> None:
    allowance = Allowance(2.0, 4.0)
    allowance.take(4, NOW)
    assert allowance.take(1, NOW - 5 * SECOND) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, SECOND)), max_size=50))
def test_long_run__is_never_over_the_rate(steps: list[tuple[int, int]]) -> None:
    allowance, now, taken = Allowance(5.0, 10.0), NOW, 0
    for wanted, elapsed in steps:
        now += elapsed
        taken += allowance.take(wanted, now)
    assert taken <= 10 + 5 * (now - NOW) / SECOND + 1e-6
