"""A recording's life, arrow by arrow."""

from __future__ import annotations

import pytest

from recorder.errors import StateError
from recorder.job import TABLE, Event, State, after


def test_starting__arrived__recording() -> None:
    assert after(State.STARTING, Event.ARRIVED) is State.RECORDING


def test_starting__stop__draining() -> None:
    assert after(State.STARTING, Event.STOP) is State.DRAINING


def test_starting__ended__stopped() -> None:
    assert after(State.STARTING, Event.ENDED) is State.STOPPED


def test_recording__stop__draining() -> None:
    assert after(State.RECORDING, Event.STOP) is State.DRAINING


def test_recording__ended__stopped() -> None:
    assert after(State.RECORDING, Event.ENDED) is State.STOPPED


def test_draining__arrived__draining() -> None:
    assert after(State.DRAINING, Event.ARRIVED) is State.DRAINING


def test_draining__ended__stopped() -> None:
    assert after(State.DRAINING, Event.ENDED) is State.STOPPED


def test_draining__gave_up__stopped() -> None:
    assert after(State.DRAINING, Event.GAVE_UP) is State.STOPPED


@pytest.mark.parametrize("state", [State.STARTING, State.RECORDING, State.DRAINING])
def test_any_that_writes__failed__failed(state: State) -> None:
    assert after(state, Event.FAILED) is State.FAILED


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED])
def test_final__stop_again__stays(state: State) -> None:
    assert after(state, Event.STOP) is state


@pytest.mark.parametrize(
    ("state", "event"),
    [(s, e) for s in State for e in Event if e not in TABLE[s]],
)
def test_every_other_arrow__is_our_fault(state: State, event: Event) -> None:
    with pytest.raises(StateError):
        after(state, event)


def test_only_a_stopped_tap_is_given_up() -> None:
    assert [state for state in State if Event.GAVE_UP in TABLE[state]] == [State.DRAINING]
