"""What is summed up of a person's seconds, and that sums of two processes make one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.protocol.messages import SeatStats, Stats
from signaling.quality.observations import growth
from signaling.quality.tally import Tally, with_value
from signaling.rooms.quality import joined
from signaling.rooms.room import Measured, Spread
from tests.signaling.test_quality_faults import GOOD

BEFORE = Stats(
    microphone="on",
    camera="on",
    received_packets=100,
    down_loss=0.04,
    jitter_ms=9.0,
    seats=(SeatStats(seat=0, audio_samples=48_000, freezes=1, freeze_ms=100.0),),
)
AFTER = msgspec.structs.replace(
    BEFORE,
    received_packets=150,
    seats=(
        SeatStats(seat=0, audio_samples=96_000, concealed_samples=480, freezes=2, freeze_ms=400.0),
    ),
)


def summed(tally: Tally) -> Measured:
    measured = tally.measured("one")
    assert measured is not None
    return measured


def test_nothing_measured__nothing_to_say() -> None:
    assert Tally().measured("one") is None


def test_seconds__least_most_and_sum() -> None:
    tally = Tally()
    for loss in (0.0, 0.1, 0.02):
        flow = msgspec.structs.replace(GOOD, up_loss=loss)
        tally.second(flow, None, broken=False)
    spread = summed(tally).up_loss
    assert (spread.count, spread.least, spread.most) == (3, 0.0, 0.1)
    assert spread.total == pytest.approx(0.12)
    assert summed(tally).score.count == 3
    assert summed(tally).score.least < 3.5 < 4.0 < summed(tally).score.most


def test_client_knows_better_what_it_received() -> None:
    tally = Tally()
    tally.second(GOOD, BEFORE, broken=False)
    grown = growth(BEFORE, AFTER, 1.0)
    assert grown is not None
    tally.play(grown)
    whole = summed(tally)
    assert whole.down_loss.most == 0.04
    assert whole.down_jitter_ms.most == 9.0
    assert (whole.freezes, whole.freeze_ms) == (1, 300.0)
    assert (whole.concealed_samples, whole.audio_samples) == (480, 48_000)


def test_clients_word__cannot_hide_a_loss_nor_make_nonsense_of_times() -> None:
    tally = Tally()
    flow = msgspec.structs.replace(GOOD, down_loss=0.2, round_trip_ms=None)
    said = msgspec.structs.replace(BEFORE, down_loss=0.0, jitter_ms=1e9, round_trip_ms=1e9)
    tally.second(flow, said, broken=False)
    whole = summed(tally)
    assert whole.down_loss.most == 0.2
    assert whole.down_jitter_ms.most == whole.round_trip_ms.most == 60_000


def test_broken_second__scores_1() -> None:
    tally = Tally()
    tally.second(GOOD, None, broken=True)
    assert tally.take_score() == summed(tally).score.most == 1.0


def test_second_without_a_connection__scores_1_and_measures_nothing_else() -> None:
    tally = Tally()
    tally.second_without()
    assert summed(tally) == Measured(observer="one", score=spread_of([1.0]))


def test_score__taken_once() -> None:
    tally = Tally()
    assert tally.take_score() is None
    tally.second(GOOD, None, broken=False)
    score = tally.take_score()
    assert score is not None
    assert score > 4.0
    assert tally.take_score() is None


@pytest.mark.parametrize("field", ["concealed_samples", "audio_samples", "freezes", "freeze_ms"])
def test_growth_that_cannot_be__not_in_the_record(field: str) -> None:
    seat = msgspec.structs.replace(AFTER.seats[0], **{field: 1 << 29})
    grown = growth(BEFORE, msgspec.structs.replace(AFTER, seats=(seat,)), 1.0)
    assert grown is not None
    assert grown.seats == {}


def test_counters_that_began_anew__no_growth() -> None:
    assert growth(AFTER, BEFORE, 1.0) is None
    again = msgspec.structs.replace(AFTER, seats=BEFORE.seats)
    grown = growth(AFTER, again, 1.0)
    assert grown is not None
    assert grown.seats == {}


def spread_of(values: list[float]) -> Spread:
    spread = Spread()
    for value in values:
        spread = with_value(spread, value)
    return spread


VALUES = st.lists(st.integers(0, 1_000).map(float), max_size=10)


@given(VALUES, VALUES)
def test_two_observers__as_if_one_had_seen_all(one: list[float], other: list[float]) -> None:
    both = joined(
        Measured(observer="a", score=spread_of(one), freezes=1),
        Measured(observer="b", score=spread_of(other), freezes=2),
    )
    assert both == Measured(observer="", score=spread_of(one + other), freezes=3)
