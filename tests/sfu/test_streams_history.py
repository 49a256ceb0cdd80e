from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.history import EMPTY, History


@given(st.lists(st.integers(-20, 200), max_size=80))
def test_find__gives_what_was_put_last_in_a_slot(indexes: list[int]) -> None:
    history = History(16)
    last: dict[int, int] = {}
    for index in indexes:
        history.slot(index).index = index
        last[index % 16] = index
    for index in range(-20, 201):
        slot = history.find(index)
        if last.get(index % 16) == index:
            assert slot is not None
            assert slot.index == index
        else:
            assert slot is None


def test_clear__finds_nothing_and_keeps_no_payload() -> None:
    history = History(4)
    slot = history.slot(3)
    slot.index, slot.payload = 3, b"seen"
    history.clear()
    assert history.find(3) is None
    assert (slot.index, slot.payload) == (EMPTY, b"")


@pytest.mark.parametrize("size", [0, -4, 3, 100])
def test_size__no_power_of_two__value_error(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        History(size)
