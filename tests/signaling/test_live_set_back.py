"""A store that came back without its last writes: what binds us is not forgotten."""

from __future__ import annotations

from signaling.live.set_back import mended
from signaling.rooms import commands as c
from signaling.rooms import consent
from tests.support.bench import Bench, in_state


def recorded() -> Bench:
    bench = in_state("admitted")
    bench.decide("patient", "given")
    bench.record()
    return bench


def test_lost_withdrawal_stops_the_recording_again() -> None:
    bench = recorded()
    old = bench.room
    bench.decide("patient", "withdrawn")
    room = mended(old, bench.room, bench.now + 1)
    assert consent.decision(room, "patient") == "withdrawn"
    assert consent.running(room) is None


def test_decision_made_after_the_loss_is_the_last() -> None:
    bench = in_state("admitted")
    bench.decide("patient", "given")
    old = bench.room
    bench.decide("patient", "withdrawn")
    known = bench.room
    bench.room = old
    bench.decide("patient", "refused")
    room = mended(bench.room, known, bench.now)
    decisions = [row.decision for row in room.consents]
    assert decisions == ["given", "withdrawn", "refused"]


def test_lost_recording_is_in_the_record_and_does_not_run() -> None:
    bench = in_state("admitted")
    bench.decide("patient", "given")
    old = bench.room
    bench.record()
    room = mended(old, bench.room, bench.now + 5)
    (recording,) = room.recordings
    assert (recording.stop_reason, recording.stopped_at) == ("failed", bench.now + 5)


def test_lost_end_stays_the_end() -> None:
    bench = recorded()
    old = bench.room
    bench.do(c.End(actor="chair"))
    assert mended(old, bench.room, bench.now) == bench.room


def test_end_after_the_loss_stays_the_end() -> None:
    bench = recorded()
    known = bench.room
    bench.do(c.End(actor="chair"))
    assert mended(bench.room, known, bench.now) is bench.room


def test_nothing_lost_is_nothing_changed() -> None:
    bench = recorded()
    assert mended(bench.room, bench.room, bench.now) is bench.room
