from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.transport import lifecycle
from sfu.transport.lifecycle import TABLE, WIRE, Event, State, after


def test_new__keyed__up() -> None:
    assert after("new", "keyed") == "up"


def test_new__broken__broken() -> None:
    assert after("new", "broken") == "broken"


def test_up__silent__up_lost() -> None:
    assert after("up", "silent") == "up_lost"


def test_up__quiet__up_quiet() -> None:
    assert after("up", "quiet") == "up_quiet"


def test_up_quiet__heard__up() -> None:
    assert after("up_quiet", "heard") == "up"


def test_up_quiet__silent__up_lost() -> None:
    assert after("up_quiet", "silent") == "up_lost"


def test_up_quiet__keyed__up_quiet() -> None:
    assert after("up_quiet", "keyed") == "up_quiet"


def test_up_lost__quiet__up_lost() -> None:
    assert after("up_lost", "quiet") == "up_lost"


def test_new__quiet__new() -> None:
    assert after("new", "quiet") == "new"


def test_up_lost__heard__up() -> None:
    assert after("up_lost", "heard") == "up"


def test_new_lost__heard__new() -> None:
    assert after("new_lost", "heard") == "new"


def test_new_lost__keyed__up_lost() -> None:
    assert after("new_lost", "keyed") == "up_lost"


@pytest.mark.parametrize("state", ["new", "up", "up_quiet", "new_lost", "up_lost"])
def test_any__flooded__broken(state: State) -> None:
    assert after(state, "flooded") == "broken"


def test_broken__heard__broken() -> None:
    assert after("broken", "heard") == "broken"


@given(st.lists(st.sampled_from(get_args(Event))))
def test_closed__anything__closed(events: list[Event]) -> None:
    state: State = "closed"
    for event in events:
        state = after(state, event)
    assert state == "closed"


def test_every_state__can_be_closed_and_has_a_name_on_the_wire() -> None:
    assert set(TABLE) == set(WIRE) == set(get_args(State))
    assert all(after(state, "closed") == "closed" for state in TABLE)


def test_table__is_the_one_in_the_docstring() -> None:
    assert lifecycle.__doc__ is not None
    head, *rows = (line.split() for line in lifecycle.__doc__.split("\n\n")[1].splitlines())
    events = head[2:]
    for state, *targets in rows:
        drawn = {e: t for e, t in zip(events, targets, strict=True) if t != "·"}
        assert drawn == dict(TABLE[state])  # type: ignore[index]  # a name from the text
