from __future__ import annotations

import itertools

from sfu.streams.nack import (
    ASK_AGAIN_NS,
    FIRST_ASK_NS,
    MAX_AGE,
    MAX_ASKS,
    MAX_MISSING,
    MissingPackets,
)

NOW_NS = 1_000_000_000


def test_due__right_after_the_loss__waits_for_a_packet_that_was_overtaken() -> None:
    missing = MissingPackets()
    missing.lost(10, 2, NOW_NS)
    assert missing.due(12, NOW_NS + FIRST_ASK_NS - 1) == []
    assert missing.due(12, NOW_NS + FIRST_ASK_NS) == [10, 11]


def test_due__no_answer__asked_a_few_times_then_given_up() -> None:
    missing = MissingPackets()
    missing.lost(10, 1, NOW_NS)
    asked = [
        tick_ns
        for tick_ns in range(NOW_NS, NOW_NS + 20 * ASK_AGAIN_NS, FIRST_ASK_NS)
        if missing.due(12, tick_ns)
    ]
    assert len(asked) == MAX_ASKS
    assert all(later - earlier >= ASK_AGAIN_NS for earlier, later in itertools.pairwise(asked))


def test_arrived__is_not_asked_again() -> None:
    missing = MissingPackets()
    missing.lost(10, 3, NOW_NS)
    missing.due(13, NOW_NS + FIRST_ASK_NS)
    missing.arrived(11)
    missing.arrived(99)
    assert missing.due(13, NOW_NS + FIRST_ASK_NS + ASK_AGAIN_NS) == [10, 12]


def test_due__far_behind__given_up() -> None:
    missing = MissingPackets()
    missing.lost(10, 1, NOW_NS)
    assert missing.due(10 + MAX_AGE + 1, NOW_NS + FIRST_ASK_NS) == []
    assert missing.due(12, NOW_NS + FIRST_ASK_NS) == []


def test_lost__an_outage__nothing_is_asked() -> None:
    missing = MissingPackets()
    missing.lost(10, 3, NOW_NS)
    missing.lost(20, MAX_MISSING + 1, NOW_NS)
    assert missing.due(20 + MAX_MISSING, NOW_NS + FIRST_ASK_NS) == []


def test_lost__too_many_in_pieces__only_the_newest_are_asked() -> None:
    missing = MissingPackets()
    missing.lost(0, MAX_MISSING, NOW_NS)
    missing.lost(MAX_MISSING + 1, 1, NOW_NS)
    assert missing.due(MAX_MISSING + 2, NOW_NS + FIRST_ASK_NS) == [MAX_MISSING + 1]


def test_clear__asks_for_nothing() -> None:
    missing = MissingPackets()
    missing.lost(10, 3, NOW_NS)
    missing.clear()
    assert missing.due(13, NOW_NS + FIRST_ASK_NS) == []
