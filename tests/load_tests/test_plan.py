"""What runs are made of, and that they are bounded."""

from __future__ import annotations

import pytest

from load_tests.__main__ import main
from load_tests.plan import (
    LOADS,
    MAX_CALLS,
    MAX_RECEIVERS,
    MAX_SENDERS,
    Load,
    of_load,
    one_room,
    one_to_one,
)


def test_one_to_one_is_calls_of_two_who_send() -> None:
    plan = one_to_one(20, 10, 150)
    assert len(plan.rooms) == 20
    assert plan.bots == 40
    assert {(seat.sends, seat.receives) for room in plan.rooms for seat in room} == {(True, 1)}


def test_a_room_has_senders_who_see_each_other_and_an_audience() -> None:
    (room,) = one_room(3, 50, 10, 300).rooms
    assert [(seat.sends, seat.receives) for seat in room] == [(True, 2)] * 3 + [(False, 3)] * 50
    assert [seat.role for seat in room[:2]] == ["treating_clinician", "consulting_clinician"]


@pytest.mark.parametrize("calls", [0, -1, MAX_CALLS + 1])
def test_too_many_or_no_calls_are_refused(calls: int) -> None:
    with pytest.raises(ValueError, match="calls must be from"):
        one_to_one(calls, 10, 150)


@pytest.mark.parametrize(
    ("senders", "receivers"), [(0, 5), (1, 0), (MAX_SENDERS + 1, 0), (1, MAX_RECEIVERS + 1)]
)
def test_a_room_too_small_or_too_large_is_refused(senders: int, receivers: int) -> None:
    with pytest.raises(ValueError, match="must"):
        one_room(senders, receivers, 10, 150)


@pytest.mark.parametrize(("seconds", "packets"), [(0.5, 150), (601, 150), (10, 0), (10, 3_001)])
def test_an_endless_run_is_refused(seconds: float, packets: int) -> None:
    with pytest.raises(ValueError, match="must be from"):
        one_to_one(1, seconds, packets)


@pytest.mark.parametrize(
    ("load", "participants", "sending"),
    list(zip(LOADS, (51, 51, 20, 40, 24), (1, 1, 20, 40, 24), strict=True)),
)
def test_a_load_is_so_many_rooms_of_so_many(load: Load, participants: int, sending: int) -> None:
    plan = of_load(load, 8)
    assert len(plan.rooms) == load.rooms
    assert plan.bots == participants
    assert sum(seat.sends for room in plan.rooms for seat in room) == sending
    assert plan.video_packets_per_s == load.video_packets_per_s


def test_the_command_line_refuses_with_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["room", "--senders", "1"])
    assert exited.value.code == 2
    assert "somebody must receive" in capsys.readouterr().err
