"""Token buckets on a clock of our own."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.session.limits import TokenBucket


def test_a_burst_goes_through_and_no_more() -> None:
    bucket = TokenBucket(5.0, 10.0, 0.0)
    assert [bucket.take(0.0) for _ in range(12)] == [True] * 10 + [False] * 2


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    bucket = TokenBucket(5.0, 10.0, 0.0)
    assert all(bucket.take(0.0) for _ in range(10))
    assert not bucket.take(0.1)
    assert bucket.take(0.3)
    assert [bucket.take(1_000.0) for _ in range(11)] == [True] * 10 + [False]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1.0, 100.0)
    assert bucket.take(100.0)
    assert not bucket.take(50.0)
    assert not bucket.take(50.5)
    assert bucket.take(51.5)


def test_an_idle_bucket_can_be_forgotten() -> None:
    bucket = TokenBucket(0.5, 30.0, 0.0)
    assert bucket.is_full(0.0)
    bucket.take(0.0)
    assert not bucket.is_full(1.0)
    assert bucket.is_full(2.0)


@settings(deadline=None)
@given(st.lists(st.floats(0, 2), max_size=200), st.floats(0.5, 20), st.integers(1, 30))
def test_never_more_than_the_burst_and_the_rate(
    pauses: list[float], rate: float, burst: int
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
    assert taken <= burst + rate * now + 1e-6


def test_what_is_given_back_can_be_taken_again() -> None:
    bucket = TokenBucket(1.0, 2.0, 0.0)
    for _ in range(10):
        assert bucket.take(0.0)
        bucket.give_back()
    bucket.give_back()
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
