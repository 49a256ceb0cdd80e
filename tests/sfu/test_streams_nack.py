from __future__ import annotations

import itertools

import pytest

from sfu.streams.nack import (
    FIRST_ASK_NS,
    LEAST_AGAIN_NS,
    MAX_ASKS,
    MAX_MISSING,
    UNKNOWN_ROUND_TRIP_NS,
    MissingPackets,
)

NOW_NS = 1_000_000_000
MS = 1_000_000
KEEP_NS = 2_000 * MS
RTT_NS = 50 * MS


def test_due__right_after_the_loss__waits_for_a_packet_that_was_overtaken() -> None:
    missing = MissingPackets(KEEP_NS)
    missing.lost(10, 2, NOW_NS)
    assert missing.due(NOW_NS + FIRST_ASK_NS - 1, RTT_NS) == []
    assert missing.due(NOW_NS + FIRST_ASK_NS, RTT_NS) == [10, 11]


@pytest.mark.parametrize(
    ("round_trip_ns", "least_ns"),
    [(100 * MS, 150 * MS), (1 * MS, LEAST_AGAIN_NS), (0, UNKNOWN_ROUND_TRIP_NS * 3 // 2)],
)
def test_due__no_answer__asked_again_only_when_it_could_be_here(
    round_trip_ns: int, least_ns: int
) -> None:
    missing = MissingPackets(KEEP_NS)
    missing.lost(10, 1, NOW_NS)
    asked = [
        tick_ns
        for tick_ns in range(NOW_NS, NOW_NS + 2 * KEEP_NS, 5 * MS)
        if missing.due(tick_ns, round_trip_ns)
    ]
    assert len(asked) == MAX_ASKS
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert all(least_ns <= gap < least_ns + 5 * MS for gap in gaps)


def test_due__longer_ago_than_a_packet_is_of_use__given_up() -> None:
    missing = MissingPackets(KEEP_NS)
    missing.lost(10, 1, NOW_NS)
    assert missing.due(NOW_NS + KEEP_NS + 1, RTT_NS) == []
    assert missing.due(NOW_NS + KEEP_NS, RTT_NS) == []


def test_arrived__is_not_asked_again() -> None:
    missing = MissingPackets(KEEP_NS)
    missing.lost(10, 3, NOW_NS)
    missing.due(NOW_NS + FIRST_ASK_NS, RTT_NS)
    missing.arrived(11)
    missing.arrived(99)
    assert missing.due(NOW_NS + FIRST_ASK_NS + 2 * RTT_NS, RTT_NS) == [10, 12]


def test_lost__an_outage__nothing_is_asked() -> None:
    missing = MissingPackets(KEEP_NS)
    missing.lost(10, 3, NOW_NS)
    missing.lost(20, MAX_MISSING + 1, NOW_NS)
    assert missing.due(NOW_NS + FIRST_ASK_NS, RTT_NS) == []


def test_lost__too_many_in_pieces__only_the_newest_are_asked() -> None:
    missing = MissingPackets(KEEP_NS)
    missing.lost(0, MAX_MISSING, NOW_NS)
    missing.lost(MAX_MISSING + 1, 1, NOW_NS)
    assert missing.due(NOW_NS + FIRST_ASK_NS, RTT_NS) == [MAX_MISSING + 1]


def test_clear__asks_for_nothing() -> None:
    missing = MissingPackets(KEEP_NS)
    missing.lost(10, 3, NOW_NS)
    missing.clear()
    assert missing.due(NOW_NS + FIRST_ASK_NS, RTT_NS) == []
