"""How figures are made of what was measured."""

from __future__ import annotations

import pytest

from load_tests.plan import one_to_one
from load_tests.report import loss, passed, spread_ms
from load_tests.run import Measured
from load_tests.stamp import Tally

MS = 1_000_000


def test_loss_is_the_share_of_what_was_due() -> None:
    assert loss(1_000, 999) == pytest.approx(0.001)
    assert loss(1_000, 1_000) == 0.0


def test_a_run_in_which_nothing_was_due_lost_all() -> None:
    assert loss(0, 0) == 1.0


def test_a_run_without_bots_has_failed() -> None:
    assert not passed(Measured(one_to_one(1, 1, 150), (0,), (1,)))


def test_spread_is_by_nearest_rank() -> None:
    times = [number * MS for number in range(1, 101)]
    assert spread_ms(times) == {"count": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert spread_ms([3 * MS])["p50"] == 3.0
    assert spread_ms([]) == {}


def test_a_tally_counts_each_packet_of_the_window_once() -> None:
    tally = Tally()
    for number in (4, 5, 5, 7, 8, 9):
        tally.note(number, begins=number == 5, now_ns=100 + number)
    assert tally.unique(5, 8) == 3
    assert (tally.packets, tally.decodable_at_ns) == (6, 105)


def test_a_tally_forgets_all_but_when_it_began() -> None:
    tally = Tally()
    tally.note(4, begins=1, now_ns=100)
    tally.forget()
    assert (tally.packets, tally.unique(0, 10), tally.decodable_at_ns) == (0, 0, 100)
