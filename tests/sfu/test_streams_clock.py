from __future__ import annotations

import pytest

from sfu.streams.clock import Clock


def clock(sender: int, rate: int, origin: int | None) -> Clock:
    made = Clock(sender, rate)
    made.origin = origin
    return made


def test_shift_from__same_sender_and_rate__difference_of_origins() -> None:
    assert clock(1, 90_000, 40).shift_from(clock(1, 90_000, 100)) == 60


@pytest.mark.parametrize(
    "earlier", [clock(1, 90_000, None), clock(2, 90_000, 1), clock(1, 48_000, 1)]
)
def test_shift_from__clocks_that_nothing_ties__none(earlier: Clock) -> None:
    assert clock(1, 90_000, 40).shift_from(earlier) is None
    assert clock(1, 90_000, None).shift_from(clock(1, 90_000, 1)) is None
