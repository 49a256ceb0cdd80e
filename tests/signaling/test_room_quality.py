"""What a room keeps of faults and measurements: begun and ended in time, of bounded size."""

from __future__ import annotations

from signaling.rooms import commands as c
from signaling.rooms.quality import MAX_BREAKS, MAX_OBSERVERS
from signaling.rooms.room import Break, BreakReason, Measured, Spread
from tests.support.bench import Bench, in_state


def note(bench: Bench, *reasons: BreakReason) -> None:
    faults = tuple(Break(reason=reason, start=bench.now) for reason in reasons)
    bench.do(c.NoteFaults(participant="patient", faults=faults))


def breaks(bench: Bench) -> list[tuple[str, bool]]:
    """Reason, and whether it is over."""
    return [(each.reason, each.end is not None) for each in bench.person("patient").breaks]


def measure(bench: Bench, observer: str, seconds: int) -> None:
    spread = Spread(count=seconds, total=4.0 * seconds, least=4.0, most=4.0)
    measured = Measured(observer=observer, score=spread)
    bench.do(c.NoteQuality(participant="patient", measured=measured))


def test_faults__begin_go_on_and_end() -> None:
    bench = in_state("admitted")
    note(bench, "microphone_silent")
    begun = bench.person("patient").breaks
    note(bench, "microphone_silent", "camera_frozen")
    assert bench.person("patient").breaks[:1] == begun
    assert breaks(bench) == [("microphone_silent", False), ("camera_frozen", False)]
    note(bench, "camera_frozen")
    assert breaks(bench) == [("microphone_silent", True), ("camera_frozen", False)]
    assert bench.person("patient").breaks[0].end == bench.now


def test_said_again__the_room_does_not_change() -> None:
    bench = in_state("admitted")
    note(bench, "uplink_blocked")
    version = bench.room.version
    note(bench, "uplink_blocked")
    assert bench.room.version == version


def test_hold__ends_what_was_wrong() -> None:
    bench = in_state("admitted")
    note(bench, "uplink_blocked")
    bench.do(c.Hold(actor="chair", participant="patient"))
    assert breaks(bench) == [("uplink_blocked", True)]
    note(bench, "uplink_blocked")  # a process that is late
    assert breaks(bench) == [("uplink_blocked", True)]


def test_end__ends_what_was_wrong() -> None:
    bench = in_state("admitted")
    note(bench, "uplink_blocked")
    bench.do(c.End(actor="chair"))
    assert breaks(bench) == [("uplink_blocked", True)]
    note(bench, "microphone_muted")
    measure(bench, "late", 5)
    assert bench.person("patient").measured == ()


def test_lost_connection__a_break_until_they_are_back() -> None:
    bench = in_state("admitted")
    note(bench, "uplink_blocked")
    bench.drop("patient")
    away_since = bench.now
    bench.now += 30
    bench.do(c.Lose(participant="patient", grace_s=30))
    assert breaks(bench) == [("uplink_blocked", True), ("connection_lost", False)]
    assert bench.person("patient").breaks[1].start == away_since
    note(bench)
    assert breaks(bench)[1] == ("connection_lost", False)
    bench.resume("patient")
    assert breaks(bench) == [("uplink_blocked", True), ("connection_lost", True)]


def test_lost_in_the_waiting_room__no_break() -> None:
    bench = in_state("waiting")
    bench.lose("patient")
    assert breaks(bench) == []


def test_measured__the_last_word_of_each_observer() -> None:
    bench = in_state("admitted")
    measure(bench, "one", 30)
    measure(bench, "two", 10)
    measure(bench, "one", 60)
    counts = {each.observer: each.score.count for each in bench.person("patient").measured}
    assert counts == {"one": 60, "two": 10}


def test_bounds__newest_breaks_and_all_seconds_stay() -> None:
    bench = in_state("admitted")
    for _ in range(MAX_BREAKS):
        note(bench, "uplink_blocked")
        note(bench)
    note(bench, "camera_frozen")
    assert len(breaks(bench)) == MAX_BREAKS
    assert breaks(bench)[-1] == ("camera_frozen", False)
    for observer in range(3 * MAX_OBSERVERS):
        measure(bench, str(observer), 10)
    measured = bench.person("patient").measured
    assert len(measured) <= MAX_OBSERVERS + 1
    assert sum(each.score.count for each in measured) == 30 * MAX_OBSERVERS
