"""Whom a process watches over, what it finds, and what it would have the store know."""

from __future__ import annotations

import msgspec

from sfu.control import messages as sfu
from sfu.ids import PeerId, RoomId, SourceId
from signaling.live.live_room import LiveRoom
from signaling.live.room_watch import RoomWatch
from signaling.protocol import messages as wire
from signaling.rooms import commands as c
from signaling.rooms.quality import MAX_OBSERVERS
from tests.signaling.flows import GOOD, Page, second, talking
from tests.support.bench import Bench

SILENT = msgspec.structs.replace(GOOD, audio_packets=0, level=None)
DEAD = msgspec.structs.replace(GOOD, up_bps=0, audio_packets=0, level=None, video_frames=0)


class Watching:
    """A watch over a room on the bench, as the process `node`, a second at a time."""

    def __init__(self, node: str = "node") -> None:
        self.bench: Bench = talking()
        self.live = LiveRoom(self.bench.room)
        self.chair = Page("chair")
        self.live.attach(self.chair)
        self.begun: list[str] = []
        self.watch = RoomWatch(self.live, node, "observer", self.begun.append)
        self.now = self.bench.now

    def seconds(self, count: int, **rows: sfu.PeerFlow | None) -> None:
        for _ in range(count):
            self.now += 1
            self.watch.hear(second(self.live.room, **rows), self.now)

    def do(self, *commands: c.Command) -> None:
        """Change the room as the store would; the watch's process takes it in."""
        for command in commands:
            self.bench.do(command)
        self.live.take(self.bench.room)


def test_fault__found_told_and_noted_once() -> None:
    watching = Watching()
    watching.seconds(10)
    assert watching.watch.changes() == ()
    watching.seconds(4, patient=SILENT)
    assert watching.chair.faults() == [("patient", "microphone_silent")]
    assert watching.begun == ["microphone_silent"]
    watching.do(*watching.watch.changes())
    assert watching.watch.changes() == ()
    assert [each.reason for each in watching.bench.person("patient").breaks] == [
        "microphone_silent"
    ]


def test_fault_over__noted_as_over() -> None:
    watching = Watching()
    watching.seconds(10)
    watching.seconds(4, patient=None)
    watching.do(*watching.watch.changes())
    watching.seconds(2)
    watching.do(*watching.watch.changes())
    (over,) = watching.bench.person("patient").breaks
    assert over.reason == "uplink_blocked"
    assert over.end is not None
    assert watching.chair.faults() == []


def test_people_of_another_process__not_watched() -> None:
    watching = Watching(node="other-node")
    watching.seconds(20, patient=None)
    assert watching.watch.changes() == ()
    assert watching.watch.measured() == ()
    assert watching.chair.faults() is None


def test_one_who_moves_to_another_process__no_longer_watched() -> None:
    watching = Watching()
    watching.seconds(10)
    watching.seconds(4, patient=None)
    watching.do(*watching.watch.changes())
    watching.bench.resume("patient")
    watching.live.take(watching.bench.room)
    watching.watch.look(watching.now + 1)
    assert watching.watch.changes() == ()
    # What the room says stands until the other process says otherwise.
    assert watching.chair.faults() == [("patient", "uplink_blocked")]


def test_clients_word__counts_only_in_the_call() -> None:
    watching = Watching()
    stats = wire.Stats(microphone="muted", camera="on")
    watching.do(c.Hold(actor="chair", participant="patient"))
    for _ in range(10):
        watching.now += 1
        watching.watch.report("patient", stats, watching.now)
        watching.watch.report("nobody", stats, watching.now)
    assert watching.begun == []
    watching.do(c.Return(actor="chair", participant="patient"))
    for _ in range(10):
        watching.now += 1
        watching.watch.report("patient", stats, watching.now)
    assert watching.begun == ["microphone_muted"]


def test_muted_by_the_chair__no_silence() -> None:
    watching = Watching()
    watching.do(c.Mute(actor="chair", participant="patient", kinds=("audio",)))
    for packets in range(20):
        watching.seconds(1, patient=SILENT)
        stats = wire.Stats(microphone="muted", camera="on", received_packets=packets)
        watching.watch.report("patient", stats, watching.now + 0.5)
    assert watching.begun == []


def test_camera_that_nobody_takes__not_frozen() -> None:
    watching = Watching()
    stopped = (sfu.Layer(rid="", active=False),)
    source = SourceId("patient/camera")
    room = RoomId(watching.live.room.id)
    watching.live.hear(sfu.Layers(room=room, peer=PeerId("patient"), source=source, layers=stopped))
    watching.seconds(20, patient=msgspec.structs.replace(GOOD, video_frames=0))
    assert watching.begun == []


def test_media_set_up_anew__patience_unless_cut_off() -> None:
    watching = Watching()
    watching.seconds(10)
    watching.watch.begin_anew("patient", watching.now)
    watching.seconds(9, patient=None)
    assert watching.begun == []
    watching.seconds(5, patient=None)
    assert watching.begun == ["uplink_blocked"]
    watching.watch.begin_anew("patient", watching.now)
    watching.seconds(2, patient=None)
    assert watching.chair.faults() == [("patient", "uplink_blocked")]


def test_measured__all_seconds_and_again_only_when_there_are_more() -> None:
    watching = Watching()
    watching.seconds(8)
    watching.seconds(2, patient=None)
    noted = {
        each.participant: each.measured
        for each in watching.watch.measured()
        if isinstance(each, c.NoteQuality)
    }
    assert noted["chair"].score.count == 10
    assert noted["patient"].score.count == 8
    assert noted["patient"].up_loss.most == 0.01
    watching.do(*watching.watch.measured())
    assert watching.watch.measured() == ()
    watching.seconds(1)
    assert len(watching.watch.measured()) == 2


def test_one_who_was_held__measured_on_from_before() -> None:
    watching = Watching()
    watching.seconds(7)
    watching.do(c.Hold(actor="chair", participant="patient"))
    watching.seconds(2)
    watching.do(*watching.watch.measured())
    assert [each.score.count for each in watching.bench.person("patient").measured] == [7]
    watching.do(c.Return(actor="chair", participant="patient"))
    watching.seconds(3)
    watching.do(*watching.watch.measured())
    assert [each.score.count for each in watching.bench.person("patient").measured] == [10]


def test_measured_by_too_many__not_noted_twice() -> None:
    watching = Watching()
    watching.seconds(7)
    watching.do(c.Hold(actor="chair", participant="patient"))
    watching.do(*watching.watch.measured())
    (ours,) = watching.bench.person("patient").measured
    assert watching.watch.measured() == ()
    for number in range(MAX_OBSERVERS):
        other = msgspec.structs.replace(ours, observer=f"other {number}")
        watching.do(c.NoteQuality(participant="patient", measured=other))
    assert ours not in watching.bench.person("patient").measured
    assert watching.watch.measured() == ()


def test_broken_seconds__score_1() -> None:
    watching = Watching()
    watching.seconds(10)
    watching.seconds(10, patient=DEAD)
    scores = sorted(watching.watch.take_scores())
    assert scores[0] == 1.0
    assert scores[1] > 4.0
    assert watching.watch.take_scores() == ()


def test_cut_off__each_second_scores_1() -> None:
    watching = Watching()
    watching.seconds(10)
    watching.seconds(20, patient=None)
    watching.do(*watching.watch.measured())
    (measured,) = watching.bench.person("patient").measured
    assert measured.up_bps.count == 10
    # The first two are not known to be a fault yet.
    assert measured.score.count == 28
    assert measured.score.least == 1.0


def listening(watching: Watching, person: str) -> None:
    watching.do(c.SetMedia(actor=person, media=wire.Media(audio=False, video=False)))


def test_listener_cut_off__named_and_each_second_scores_1() -> None:
    watching = Watching()
    listening(watching, "patient")
    watching.seconds(10)
    watching.seconds(10, patient=msgspec.structs.replace(DEAD, down_acknowledged=False))
    watching.watch.begin_anew("patient", watching.now)
    watching.seconds(10, patient=None)
    assert watching.begun == ["downlink_blocked"]
    assert watching.chair.faults() == [("patient", "downlink_blocked")]
    watching.do(*watching.watch.measured())
    (measured,) = watching.bench.person("patient").measured
    assert measured.score.count == 30
    assert watching.watch.take_scores()[-1] == 1.0


def test_nobody_sends__nobody_misses_anything() -> None:
    watching = Watching()
    listening(watching, "patient")
    listening(watching, "chair")
    watching.seconds(20, chair=None, patient=None)
    assert watching.begun == []


def test_sfu_lost__a_break_until_they_are_connected_again() -> None:
    watching = Watching()
    watching.seconds(10)
    lost_at = watching.now
    watching.now += 4
    watching.watch.lost_media("patient", watching.now)
    watching.watch.lost_media("patient", watching.now)  # told twice
    watching.seconds(3, patient=None)
    watching.do(*watching.watch.changes())
    assert watching.watch.changes() == ()
    (lost,) = watching.bench.person("patient").breaks
    assert (lost.reason, lost.start, lost.end) == ("media_lost", lost_at, None)
    # No fault of theirs: they learn of it by their media connection.
    assert watching.begun == []
    assert not watching.chair.faults()
    watching.seconds(1)
    watching.do(*watching.watch.changes(), *watching.watch.measured())
    (over,) = watching.bench.person("patient").breaks
    assert over.end is not None
    (measured,) = watching.bench.person("patient").measured
    assert measured.score.count == 10 + 4 + 3 + 1
    assert measured.up_bps.count == 11
    assert measured.score.total == 11 * measured.score.most + 7 * 1.0


def test_sfu_lost__no_break_of_one_who_was_not_connected() -> None:
    watching = Watching()
    watching.seconds(5, patient=None)
    watching.watch.lost_media("patient", watching.now)
    watching.watch.lost_media("nobody", watching.now)
    assert watching.watch.changes() == ()


def test_nobody_connects__all_are_cut_off() -> None:
    watching = Watching()
    watching.seconds(20, chair=None, patient=None)
    assert watching.begun == ["uplink_blocked"] * 2
    assert watching.watch.take_scores() == (1.0, 1.0)


def test_reports_between_two_seconds__all_are_summed() -> None:
    watching = Watching()
    watching.seconds(5)
    for freezes in range(11):
        seat = wire.SeatStats(seat=0, freezes=freezes)
        stats = wire.Stats(microphone="on", camera="on", seats=(seat,))
        watching.watch.report("patient", stats, watching.now + freezes / 2)
    watching.do(*watching.watch.measured())
    assert [each.freezes for each in watching.bench.person("patient").measured] == [10]


def test_ended__nobody_is_watched() -> None:
    watching = Watching()
    watching.seconds(5)
    watching.do(c.End(actor="chair"))
    watching.watch.look(watching.now + 1)
    assert watching.watch.measured() == ()
    assert watching.watch.changes() == ()
