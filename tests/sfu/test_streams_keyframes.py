from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.keyframes import KeyFrameThrottle

S = 1_000_000_000


def test_request__first__goes_out() -> None:
    throttle = KeyFrameThrottle()
    assert throttle.request(5 * S)
    assert not throttle.due(9 * S)


def test_request__within_a_second__held_back_until_due() -> None:
    throttle = KeyFrameThrottle()
    throttle.request(5 * S)
    assert not throttle.request(5 * S + S // 2)
    assert not throttle.due(6 * S - 1)
    assert throttle.due(6 * S)
    assert not throttle.due(7 * S)


def test_arrived__serves_who_was_held_back() -> None:
    throttle = KeyFrameThrottle()
    throttle.request(5 * S)
    throttle.request(5 * S + 1)
    throttle.arrived()
    assert not throttle.due(6 * S)


@given(st.lists(st.tuples(st.integers(0, 400_000_000), st.booleans()), max_size=60))
def test_throttle__any_calls__at_most_one_an_interval(steps: list[tuple[int, bool]]) -> None:
    throttle = KeyFrameThrottle()
    now_ns, sent = 0, []
    for step_ns, request in steps:
        now_ns += step_ns
        if throttle.request(now_ns) if request else throttle.due(now_ns):
            sent.append(now_ns)
    assert all(later - earlier >= S for earlier, later in itertools.pairwise(sent))
    if any(request for _, request in steps):
        assert sent
