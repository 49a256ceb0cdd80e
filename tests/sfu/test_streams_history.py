from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.history import EMPTY, History

NOW_NS = 1_700_000_000_000_000_000
KEEP_NS = 1000


def put(history: History, index: int, now_ns: int) -> None:
    slot = history.slot(index, now_ns)
    if slot.index < index:
        slot.index, slot.arrival_ns, slot.payload = index, now_ns, b"%d" % index


@given(st.lists(st.integers(0, 200), max_size=80), st.integers(0, 400))
def test_find__gives_only_what_was_put_and_is_young(indexes: list[int], pause_ns: int) -> None:
    history = History(16, 16, KEEP_NS)
    last: dict[int, tuple[int, int]] = {}
    now_ns = NOW_NS
    for index in indexes:
        now_ns += pause_ns
        put(history, index, now_ns)
        if last.get(index % 16, (EMPTY, 0))[0] < index:
            last[index % 16] = (index, now_ns)
    for index in range(201):
        slot = history.find(index, now_ns)
        kept, put_ns = last.get(index % 16, (EMPTY, 0))
        if kept == index and now_ns - put_ns <= KEEP_NS:
            assert slot is not None
            assert (slot.index, slot.payload) == (index, b"%d" % index)
        else:
            assert slot is None


def test_slot__would_write_over_a_young_packet__the_ring_grows_and_keeps_all() -> None:
    history = History(4, 64, KEEP_NS)
    for index in range(30):
        put(history, index, NOW_NS + index)
    assert history.size == 32
    assert all(history.find(index, NOW_NS + 30) is not None for index in range(30))


def test_slot__after_it_grew__is_not_free_for_what_was_written_over() -> None:
    history = History(4, 64, KEEP_NS)
    for index in range(20):
        put(history, index, NOW_NS + index * KEEP_NS // 2)
    assert history.size == 4
    now_ns = NOW_NS + 20 * KEEP_NS // 2
    for index in range(20, 30):
        put(history, index, now_ns)
    assert history.size == 16
    for index in range(30):
        assert history.slot(index, now_ns).index >= index or index < 30 - history.size


def test_slot__old_packets__are_written_over() -> None:
    history = History(4, 64, KEEP_NS)
    for index in range(30):
        put(history, index, NOW_NS + index * KEEP_NS // 2)
    assert history.size == 4


def test_slot__never_larger_than_the_cap() -> None:
    history = History(4, 16, KEEP_NS)
    for index in range(100):
        put(history, index, NOW_NS)
    assert history.size == 16
    assert [i for i in range(100) if history.find(i, NOW_NS) is not None] == list(range(84, 100))


def test_slot__a_leap_of_the_sender__is_no_reason_to_grow() -> None:
    history = History(4, 64, KEEP_NS)
    for index in (0, 4000, 8000, 12_000):
        put(history, index, NOW_NS)
    assert history.size == 4


def test_release__keeps_what_is_young_and_knows_what_was_there() -> None:
    history = History(4, 4, KEEP_NS)
    put(history, 1, NOW_NS)
    put(history, 2, NOW_NS + KEEP_NS)
    history.release(NOW_NS + KEEP_NS + 1)
    assert (history.at(1).index, history.at(1).payload) == (1, b"")
    found = history.find(2, NOW_NS + KEEP_NS + 1)
    assert found is not None
    assert found.payload == b"2"


def test_clear__finds_nothing_and_keeps_no_payload() -> None:
    history = History(4, 4, KEEP_NS)
    put(history, 3, NOW_NS)
    slot = history.at(3)
    history.clear()
    assert history.find(3, NOW_NS) is None
    assert (slot.index, slot.payload) == (EMPTY, b"")


@pytest.mark.parametrize("sizes", [(0, 4), (-4, 4), (3, 4), (100, 128), (4, 100)])
def test_size__no_power_of_two__value_error(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="power of two"):
        History(*sizes, KEEP_NS)
