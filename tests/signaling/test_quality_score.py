"""The estimated score: its ends, its direction, and known points of G.107."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.quality.score import rating, score

LOSS = st.floats(0, 1)
TIME_MS = st.floats(0, 5_000)


def test_perfect_network__the_best_there_is() -> None:
    assert score(0, 0, 0) == pytest.approx(4.4, abs=0.05)


def test_annex_b__toll_quality_is_70() -> None:
    # R = 70 is an opinion of 3.6 in the table of G.107 Annex B.
    loss = next(share / 10_000 for share in range(10_000) if rating(share / 10_000, 0, 0) <= 70.0)
    assert score(loss, 0, 0) == pytest.approx(3.6, abs=0.02)


@pytest.mark.parametrize(
    ("loss", "round_trip_ms", "least", "most"),
    [(0.01, 50, 4.0, 4.4), (0.05, 100, 3.3, 4.0), (0.2, 200, 1.5, 3.0), (0.0, 1_000, 1.5, 3.0)],
)
def test_networks_that_we_know(
    loss: float, round_trip_ms: float, least: float, most: float
) -> None:
    assert least <= score(loss, round_trip_ms, 5) <= most


@given(LOSS, TIME_MS, TIME_MS)
def test_always_between_1_and_5(loss: float, round_trip_ms: float, jitter_ms: float) -> None:
    assert 1.0 <= score(loss, round_trip_ms, jitter_ms) <= 4.5


@given(LOSS, TIME_MS, TIME_MS, st.floats(0, 1), st.floats(0, 1_000))
def test_worse_network__no_better_score(
    loss: float, round_trip_ms: float, jitter_ms: float, more_loss: float, more_ms: float
) -> None:
    now = rating(loss, round_trip_ms, jitter_ms)
    assert rating(min(1.0, loss + more_loss), round_trip_ms, jitter_ms) <= now
    assert rating(loss, round_trip_ms + more_ms, jitter_ms) <= now
    assert rating(loss, round_trip_ms, jitter_ms + more_ms) <= now
