"""Packets come out in order, once, with the holes known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.media.reorder import Packet, Reorder

WINDOW = 16


def packet(number: int) -> Packet:
    return Packet(rtp_time=number, arrival_ns=0, marker=False, payload=b"")


def shuffled_nearby(numbers: list[int], keys: list[int]) -> list[int]:
    """Each number at most WINDOW / 4 places from its own."""
    return [n for _, n in sorted(zip(keys, numbers, strict=True))]


@given(
    first=st.integers(0, 65_535),
    moves=st.lists(st.integers(0, WINDOW // 4), min_size=1, max_size=200),
)
def test_reordered_within_the_window__in_order_without_a_gap(first: int, moves: list[int]) -> None:
    numbers = list(range(len(moves)))
    keys = [number + move for number, move in zip(numbers, moves, strict=True)]
    keys[0] = -1  # the first packet to come is the first
    reorder = Reorder(WINDOW)
    out = []
    for number in shuffled_nearby(numbers, keys):
        out += reorder.push((first + number) & 0xFFFF, packet(number))
    out += reorder.flush()
    assert [one.packet.rtp_time for one in out] == numbers
    assert [one.after_gap for one in out] == [True] + [False] * (len(numbers) - 1)
    assert reorder.lost == 0


@given(
    first=st.integers(0, 65_535),
    missing=st.sets(st.integers(1, 298), max_size=80),
    repeated=st.sets(st.integers(0, 299)),
)
def test_lost_and_repeated__holes_are_marked_and_counted(
    first: int, missing: set[int], repeated: set[int]
) -> None:
    reorder = Reorder(WINDOW)
    out = []
    for number in range(300):
        if number in missing:
            continue
        for _ in range(1 + (number in repeated)):
            out += reorder.push((first + number) & 0xFFFF, packet(number))
    out += reorder.flush()
    there = [number for number in range(300) if number not in missing]
    assert [one.packet.rtp_time for one in out] == there
    gaps = {one.packet.rtp_time for one in out if one.after_gap}
    assert gaps == {n for n in there if n == 0 or n - 1 in missing}
    assert reorder.lost == len(missing)


def test_late_beyond_the_window__stays_lost() -> None:
    reorder = Reorder(WINDOW)
    out = reorder.push(10, packet(10))
    for number in range(12, 12 + WINDOW):
        out += reorder.push(number, packet(number))
    out += reorder.push(11, packet(11))
    assert [one.packet.rtp_time for one in out] == [10, *range(12, 12 + WINDOW)]
    assert reorder.lost == 1


def test_jump_of_the_numbers__is_a_gap_and_not_a_loss() -> None:
    reorder = Reorder(WINDOW)
    out = reorder.push(10, packet(10)) + reorder.push(20_000, packet(20_000))
    assert [one.after_gap for one in out] == [True, True]
    assert reorder.lost == 0
