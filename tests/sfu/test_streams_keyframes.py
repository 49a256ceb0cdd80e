from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.keyframes import KeyFrameThrottle

S = 1_000_000_000


def test_request__goes_out_once_a_second() -> None:
    throttle = KeyFrameThrottle()
    assert throttle.request(5 * S)
    assert not throttle.request(6 * S - 1)
    assert throttle.request(6 * S)
    assert not throttle.request(6 * S)


@given(st.lists(st.integers(0, 400_000_000), max_size=60))
def test_throttle__any_calls__at_most_one_an_interval(steps: list[int]) -> None:
    throttle = KeyFrameThrottle()
    now_ns, sent = 0, []
    for step_ns in steps:
        now_ns += step_ns
        if throttle.request(now_ns):
            sent.append(now_ns)
    assert all(later - earlier >= S for earlier, later in itertools.pairwise(sent))
    if steps:
        assert sent
