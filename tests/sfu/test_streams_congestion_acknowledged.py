from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.congestion.acknowledged import RateWindow

MS = 1_000_000


def test_one_batch__no_rate_yet() -> None:
    window = RateWindow()
    window.add(0, 1000)
    assert window.bps is None


def test_even_batches__their_rate() -> None:
    window = RateWindow()
    for n in range(20):
        window.add(n * 100 * MS, 12_500)
    assert window.bps == 1_000_000


def test_rate_changes__followed_within_the_window() -> None:
    window = RateWindow()
    for n in range(20):
        window.add(n * 100 * MS, 12_500)
    for n in range(20, 27):
        window.add(n * 100 * MS, 2_500)
    assert window.bps == 200_000


def test_long_silence__begins_anew() -> None:
    window = RateWindow()
    window.add(0, 1000)
    window.add(100 * MS, 12_500)
    before = window.bps
    window.add(60_000 * MS, 12_500)
    assert window.bps == before
    window.add(60_100 * MS, 1_250)
    assert window.bps == 100_000


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**6)), max_size=40))
def test_any_times__never_negative(batches: list[tuple[int, int]]) -> None:
    window = RateWindow()
    for end_ns, size_bytes in batches:
        window.add(end_ns, size_bytes)
        assert window.bps is None or window.bps >= 0


@pytest.mark.parametrize("late_ms", [1, 50])
def test_batch_out_of_order__counts_with_the_newest(late_ms: int) -> None:
    window = RateWindow()
    window.add(0, 0)
    window.add(100 * MS, 6_250)
    window.add((100 - late_ms) * MS, 6_250)
    assert window.bps == 1_000_000
