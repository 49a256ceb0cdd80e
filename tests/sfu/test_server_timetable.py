"""What is done by the clock."""

from __future__ import annotations

import logging
from functools import partial

import pytest

from sfu.server.timetable import BEAT_S, Pace, Timetable


def test_beat__each_is_done_as_often_as_its_period_says() -> None:
    table = Timetable()
    done: list[str] = []
    table.every(BEAT_S, lambda _: done.append("each"))
    table.every(5 * BEAT_S, lambda _: done.append("fifth"))
    table.spread(4 * BEAT_S, 2, lambda _, part: done.append(f"part {part}"))
    for beat in range(20):
        table.beat(beat)
    assert {name: done.count(name) for name in set(done)} == {
        "each": 20,
        "fifth": 4,
        "part 0": 5,
        "part 1": 5,
    }


def test_beat__same_period__not_in_the_same_beat() -> None:
    table = Timetable()
    seen: dict[str, int] = {}
    for name in "abc":
        table.every(10 * BEAT_S, partial(seen.__setitem__, name))
    for beat in range(10):
        table.beat(beat)
    assert len(set(seen.values())) == 3


def test_beat__one_fails__the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    table = Timetable()
    done: list[int] = []

    def fail(_: int) -> None:
        raise RuntimeError

    table.every(BEAT_S, fail)
    table.every(BEAT_S, done.append)
    with caplog.at_level(logging.ERROR):
        for now_ns in (7, 8, 9):
            table.beat(now_ns)
    assert done == [7, 8, 9]
    assert caplog.text.count("a tick failed") == 1


def test_pace__small_delays__are_made_up_for() -> None:
    pace = Pace(5.0)
    assert pace.next_s(5.0) == pytest.approx(BEAT_S)
    assert pace.began(5.025) == pytest.approx(0.005)
    assert pace.next_s(5.026) == pytest.approx(0.014)
    assert pace.began(5.04) == pytest.approx(0)


def test_pace__a_beat_that_takes_long__makes_the_next_one_late_and_no_more() -> None:
    pace = Pace(5.0)
    pace.next_s(5.0)
    pace.began(5.02)
    assert pace.next_s(5.12) == 0
    assert pace.began(5.12) == pytest.approx(0.08)
    assert pace.next_s(5.12) == pytest.approx(BEAT_S)
    assert pace.began(5.14) == pytest.approx(0)


def test_pace__each_beat_takes_long__all_are_late() -> None:
    pace = Pace(0.0)
    late = []
    for beat in range(10):
        pace.next_s(beat * 0.1)
        late.append(pace.began(beat * 0.1))
    assert late == pytest.approx([0, 0.06, *[0.08] * 8])


@pytest.mark.parametrize("period_s", [0.0, BEAT_S / 2, 1.5 * BEAT_S])
def test_every__not_whole_beats__raises(period_s: float) -> None:
    with pytest.raises(ValueError, match="whole number of beats"):
        Timetable().every(period_s, lambda _: None)
