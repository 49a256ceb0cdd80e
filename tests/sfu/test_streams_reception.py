from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.reception import MAX_DROPOUT, Reception, ReportInterval

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 20_000_000


def receive(reception: Reception, sequences: list[int], first_ns: int = START_NS) -> None:
    for number, sequence in enumerate(sequences):
        index = reception.index_of(sequence & 0xFFFF)
        reception.note(index, index * 960, 100, first_ns + number * FRAME_NS)


@given(first=st.integers(0, 0xFFFF), drops=st.sets(st.integers(1, 198)))
def test_lost__across_the_wrap__is_what_was_dropped(first: int, drops: set[int]) -> None:
    reception = Reception(48_000)
    receive(reception, [first + n for n in range(200) if n not in drops])
    assert reception.lost == len(drops)
    assert reception.highest == first + 199
    assert reception.packets == 200 - len(drops)
    assert reception.payload_bytes == 100 * reception.packets


@given(first=st.integers(0, 0xFFFF), order=st.permutations(range(30)))
def test_lost__any_order__nothing(first: int, order: list[int]) -> None:
    reception = Reception(48_000)
    receive(reception, [first + n for n in order])
    assert reception.lost == 0
    assert reception.highest & 0xFFFF == first + 29 & 0xFFFF


def test_lost__before_the_first_packet__nothing() -> None:
    reception = Reception(48_000)
    assert (reception.lost, reception.jitter, reception.highest) == (0, 0, -1)


def test_lost__sender_starts_anew__is_not_counted() -> None:
    reception = Reception(48_000)
    receive(reception, [1, 2, 4])
    receive(reception, [4 + MAX_DROPOUT + 1, 4 + MAX_DROPOUT + 2])
    assert reception.lost == 1


def test_lost__late_from_before_the_sender_started_anew__does_not_open_the_leap() -> None:
    reception = Reception(48_000)
    receive(reception, [1, 2, 4, 5, 4 + 2 * MAX_DROPOUT, 3])
    assert (reception.lost, reception.repaired) == (0, 1)


def test_jitter__steady_packets__none() -> None:
    reception = Reception(48_000)
    receive(reception, list(range(100)))
    assert reception.jitter == 0


def test_jitter__every_other_packet_late__approaches_the_difference() -> None:
    reception = Reception(48_000)
    for number in range(400):
        late_ns = 5_000_000 if number % 2 else 0
        reception.note(number, number * 960, 100, START_NS + number * FRAME_NS + late_ns)
    assert abs(reception.jitter - 240) <= 1


def test_jitter__timestamp_wraps__is_not_disturbed() -> None:
    reception = Reception(48_000)
    for number in range(100):
        time = (0xFFFF_FFFF - 50 * 960 + number * 960) & 0xFFFF_FFFF
        reception.note(number, time, 100, START_NS + number * FRAME_NS)
    assert reception.jitter == 0


def test_block__says_what_was_lost_since_the_one_before() -> None:
    interval = ReportInterval()
    first = interval.block(ssrc=7, packets=75, lost=25, highest_sequence=99, jitter=3)
    second = interval.block(ssrc=7, packets=175, lost=25, highest_sequence=199, jitter=3)
    third = interval.block(ssrc=7, packets=225, lost=75, highest_sequence=0x1_0000_0005, jitter=3)
    assert (first.fraction_lost, second.fraction_lost, third.fraction_lost) == (64, 0, 128)
    assert (first.lost, third.lost) == (25, 75)
    assert third.highest_sequence == 5


def test_block__nothing_came__no_loss() -> None:
    block = ReportInterval().block(ssrc=7, packets=0, lost=0, highest_sequence=0, jitter=0)
    assert (block.fraction_lost, block.lost) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(-100, 1000)), max_size=10))
def test_block__any_counters__can_be_written(counters: list[tuple[int, int]]) -> None:
    interval = ReportInterval()
    for packets, lost in counters:
        block = interval.block(
            ssrc=1, packets=packets, lost=lost, highest_sequence=9, jitter=1 << 40, delay=1 << 40
        )
        assert len(bytes(block)) == 24
