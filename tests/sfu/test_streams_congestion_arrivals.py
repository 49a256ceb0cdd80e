from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.rtcp import TransportFeedback, parse_compound
from sfu.rtp.transport_cc import TICK_NS
from sfu.streams.congestion.arrivals import MAX_ARRIVALS, MAX_STEP, FeedbackBuilder

MS = 1_000_000
START_NS = 1_750_000_000_000 * MS


def read(packets: list[TransportFeedback]) -> dict[int, int]:
    """16 bit number → arrival in ticks modulo the reference's turn, through the wire."""
    told: dict[int, int] = {}
    for packet in packets:
        [found] = parse_compound(bytes(packet))
        assert isinstance(found, TransportFeedback)
        for offset, tick in zip(found.offsets, found.ticks, strict=True):
            told[found.base_sequence + offset & 0xFFFF] = (found.reference_time << 8) + tick
    return told


def covered(packets: list[TransportFeedback]) -> list[int]:
    """All numbers told of, arrived or not."""
    return [p.base_sequence + i & 0xFFFF for p in packets for i in range(p.status_count)]


def test_take__nothing_noted__nothing() -> None:
    assert FeedbackBuilder().take() == []


def test_take__in_order__one_packet_with_exact_times() -> None:
    builder = FeedbackBuilder(1, 2)
    arrivals = [(10 + i, START_NS + i * 3 * MS) for i in range(50)]
    builder.note(arrivals)
    packets = builder.take()
    assert len(packets) == 1
    assert (packets[0].sender_ssrc, packets[0].media_ssrc) == (1, 2)
    turn = 1 << 32
    assert read(packets) == {s: t // TICK_NS % turn for s, t in arrivals}
    assert builder.take() == []


def test_take__each_number_told_of_once_and_losses_too() -> None:
    builder = FeedbackBuilder()
    numbers = list(range(65_500, 65_536)) + list(range(200))
    lost = {65_510, 0, 1, 2, 100}
    told: list[int] = []
    counts: list[int] = []
    for begin in range(0, len(numbers), 20):
        part = [n for n in numbers[begin : begin + 20] if n not in lost]
        builder.note([(n, START_NS + begin * MS) for n in part])
        packets = builder.take()
        told += covered(packets)
        counts += [packet.feedback_count for packet in packets]
    assert told == numbers
    assert counts == list(range(len(counts)))


def test_take__late_packet__told_of_after_all() -> None:
    builder = FeedbackBuilder()
    builder.note([(1, START_NS), (3, START_NS + MS)])
    builder.take()
    builder.note([(4, START_NS + 2 * MS), (2, START_NS + 3 * MS)])
    packets = builder.take()
    assert sorted(read(packets)) == [2, 4]
    assert sorted(covered(packets)) == [2, 4]


def test_take__first_packets_out_of_order__all_told_of() -> None:
    builder = FeedbackBuilder()
    builder.note([(1, START_NS), (65_535, START_NS + MS), (0, START_NS + MS)])
    assert sorted(read(builder.take())) == [0, 1, 65_535]


def test_take__sender_begins_anew__from_there() -> None:
    builder = FeedbackBuilder()
    builder.note([(1, START_NS)])
    builder.take()
    builder.note([(1 + MAX_STEP + 50, START_NS)])
    assert covered(builder.take()) == [1 + MAX_STEP + 50]
    builder.note([(7, START_NS)])
    assert covered(builder.take()) == [7]


def test_take__numbers_that_leap_and_leap__each_packet_can_be_written() -> None:
    builder = FeedbackBuilder()
    numbers = [(i * (MAX_STEP - 1)) & 0xFFFF for i in range(40)]
    builder.note([(number, START_NS + i * MS) for i, number in enumerate(numbers)])
    packets = builder.take()
    assert set(read(packets)) == set(numbers)
    assert max(packet.status_count for packet in packets) <= 2 * MAX_STEP
    builder.note([(numbers[-1] + 1 & 0xFFFF, START_NS + 41 * MS)])
    assert set(read(builder.take())) == {numbers[-1] + 1 & 0xFFFF}


def test_take__too_far_apart_in_time__more_packets() -> None:
    builder = FeedbackBuilder()
    builder.note([(1, START_NS), (2, START_NS + 9_000 * MS), (3, START_NS + 9_001 * MS)])
    packets = builder.take()
    assert [p.status_count for p in packets] == [1, 2]
    assert sorted(read(packets)) == [1, 2, 3]


def test_take__more_than_a_datagram_holds__more_packets() -> None:
    builder = FeedbackBuilder()
    builder.note([(i, START_NS + i * MS) for i in range(MAX_ARRIVALS + 10)])
    packets = builder.take()
    assert [p.status_count for p in packets] == [MAX_ARRIVALS, 10]
    assert all(len(bytes(p)) < 1200 for p in packets)


@given(st.integers(1, 40), st.integers(0, 100), st.integers(1, 500))
def test_take__some_of_many_arrived__each_packet_fits_a_datagram(
    every: int, apart_ms: int, count: int
) -> None:
    builder = FeedbackBuilder()
    numbers = [i * every & 0xFFFF for i in range(count)]
    builder.note([(n, START_NS + i * apart_ms * MS) for i, n in enumerate(numbers)])
    packets = builder.take()
    assert set(read(packets)) == set(numbers)
    assert max(len(bytes(p)) for p in packets) <= 1200


@pytest.mark.parametrize("every", [1, 2, 7, 12])
def test_take__slow_path_and_losses__each_packet_fits_a_datagram(every: int) -> None:
    builder = FeedbackBuilder()
    builder.note([(i * every, START_NS + i * 66 * MS) for i in range(4_000 // every)])
    assert max(len(bytes(p)) for p in builder.take()) <= 1200


def test_take__duplicates__first_arrival_counts() -> None:
    builder = FeedbackBuilder()
    builder.note([(1, START_NS), (2, START_NS + MS), (2, START_NS + 90 * MS)])
    [packet] = builder.take()
    assert packet.ticks[1] - packet.ticks[0] == MS // TICK_NS


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 1 << 36)), max_size=30),
        max_size=6,
    )
)
def test_take__anything_noted__readable(batches: list[list[tuple[int, int]]]) -> None:
    builder = FeedbackBuilder()
    for batch in batches:
        builder.note([(sequence, START_NS + later) for sequence, later in batch])
        noted = {sequence for sequence, _ in batch}
        assert set(read(builder.take())) <= noted


@given(st.integers(0, 0xFFFF), st.integers(0, 1 << 32))
def test_take__reordered_and_lossy__all_that_came_is_told(first: int, seed: int) -> None:
    chance = random.Random(seed)
    numbers = [(first + i) & 0xFFFF for i in range(300) if chance.random() > 0.1]
    for i in range(0, len(numbers) - 4, 4):
        part = numbers[i : i + 4]
        chance.shuffle(part)
        numbers[i : i + 4] = part
    builder = FeedbackBuilder()
    told: set[int] = set()
    for begin in range(0, len(numbers), 25):
        part = numbers[begin : begin + 25]
        builder.note([(n, START_NS + (begin + i) * MS) for i, n in enumerate(part)])
        told |= set(read(builder.take()))
    assert told == set(numbers)
