"""What is taken off a measured time because pages did not run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stalls import Span, awake_ms

SPANS = st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda two: tuple(sorted(two)))


@pytest.mark.parametrize(
    ("stalls", "left_ms"),
    [
        ([], 500),
        ([(1_100, 1_300)], 300),
        ([(1_100, 1_300), (1_200, 1_350)], 250),
        ([(1_200, 1_350), (1_100, 1_300)], 250),
        ([(1_100, 1_300), (1_100, 1_300)], 300),
        ([(800, 920), (1_450, 9_000)], 380),
        ([(0, 850), (1_500, 1_700)], 500),
        ([(0, 9_000)], 0),
    ],
    ids=["none", "one", "two overlap", "in any order", "of two pages", "ends", "outside", "whole"],
)
def test_awake__each_stall_is_taken_off_once(stalls: Sequence[Span], left_ms: float) -> None:
    assert awake_ms((1_000, 1_500), stalls, on_its_way_ms=150) == left_ms


@given(SPANS, st.lists(SPANS, max_size=8))
def test_awake__is_what_no_stall_covers(span: Span, stalls: list[Span]) -> None:
    start, end = (int(at) for at in span)
    covered = {at for first, last in stalls for at in range(int(first), int(last))}
    assert awake_ms(span, stalls, on_its_way_ms=0) == len(set(range(start, end)) - covered)
