"""Watches over how the people of one room are connected: those whose place is this process's.

It owns no task and asks no store: `hear`, `report` and `look` take in what there is, tell the
room's people at once, and `changes` says what other processes should learn through the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sfu.control import messages as sfu
from sfu.ids import PeerId
from signaling.live.live_room import LiveRoom
from signaling.protocol import messages as wire
from signaling.protocol.messages import FaultCode
from signaling.quality.faults import Detector
from signaling.quality.observations import Duty, Flow
from signaling.quality.tally import Tally
from signaling.quality.telling import fault_code, running
from signaling.rooms.commands import Command, NoteFaults, NoteQuality
from signaling.rooms.effects import permit
from signaling.rooms.room import Break, Measured, Participant

#: In a second with one of these nobody hears them, or they hear nobody.
_BROKEN: frozenset[str] = frozenset(
    {
        "microphone_muted",
        "microphone_silent",
        "uplink_blocked",
        "downlink_blocked",
        "media_lost",
    }
)
#: Who is cut off stays so while they try anew.
_CUT_OFF: frozenset[str] = frozenset({"uplink_blocked", "downlink_blocked"})


class _Watched:
    """One person while their place is ours: what is wrong now; `tally` goes on from before."""

    def __init__(self, tally: Tally, now: float) -> None:
        self.detector = Detector(now)
        self.tally = tally
        self.faults: tuple[Break, ...] = ()
        #: Since when their SFU is gone and they are not connected again.
        self.lost_since: float | None = None

    @property
    def is_broken(self) -> bool:
        return bool(_BROKEN & _named(self.faults))


class RoomWatch:
    """See the module. `observer` names this watch among those that the person may have had.

    `on_fault(code)` is called for each fault that begins.
    """

    def __init__(
        self, live: LiveRoom, node: str, observer: str, on_fault: Callable[[FaultCode], None]
    ) -> None:
        self.live = live
        self._node = node
        self._observer = observer
        self._on_fault = on_fault
        self._watched: dict[str, _Watched] = {}
        #: Of everyone who was ever watched here: who is held or moves away may come back.
        self._tallies: dict[str, Tally] = {}
        #: What the room has had of each tally.
        self._noted: dict[str, Measured] = {}

    def hear(self, flows: sfu.Flows, now: float) -> None:
        """A second of the room at its SFU."""
        rows = {row.peer: row for row in flows.peers}
        for person, watched in self._people(now):
            row = rows.get(PeerId(person.id))
            flow = _flow(row) if row is not None else None
            watched.detector.take_flow(flow, now)
            if flow is not None:
                watched.lost_since = None
            self._judge(person, watched, now)
            if flow is not None:
                stats = watched.detector.fresh_stats(now)
                watched.tally.second(flow, stats, broken=watched.is_broken)
            elif watched.is_broken:
                watched.tally.second_without()

    def report(self, participant: str, stats: wire.Stats, now: float) -> None:
        """What the client of somebody in the call says; of anybody else it counts for nothing."""
        for person in self.live.room.participants:
            if person.id == participant and self._is_ours(person):
                watched = self._watched_as(person, now)
                grown = watched.detector.take_stats(stats, now)
                if grown is not None:
                    watched.tally.play(grown)
                self._judge(person, watched, now)

    def look(self, now: float) -> None:
        """About once a second: who is no longer ours, and of whom nothing was heard for long."""
        for person, watched in self._people(now):
            self._judge(person, watched, now)

    def begin_anew(self, participant: str, now: float) -> None:
        """Somebody's media is set up anew; who was cut off stays so until it is."""
        watched = self._watched.get(participant)
        if watched is not None and not _CUT_OFF & _named(watched.faults):
            watched.detector.begin_anew(now)

    def lost_media(self, participant: str, now: float) -> None:
        """Somebody's media is gone with their SFU: a break, since they were last seen there."""
        watched = self._watched.get(participant)
        if watched is not None and watched.lost_since is None:
            watched.lost_since = watched.detector.connected_at
            if watched.lost_since is not None:
                for _ in range(int(now - watched.lost_since)):
                    watched.tally.second_without()
        self.begin_anew(participant, now)

    def changes(self) -> tuple[Command, ...]:
        """What the room does not say yet of our people's faults."""
        people = {person.id: person for person in self.live.room.participants}
        return tuple(
            NoteFaults(participant=name, faults=watched.faults)
            for name, watched in self._watched.items()
            if name in people and _named(running(people[name])) != _named(watched.faults)
        )

    def measured(self) -> tuple[Command, ...]:
        """What the room does not say yet of what was measured here."""
        found: list[Command] = []
        people = self.live.room.participants if self.live.room.state != "ended" else ()
        for person in people:
            tally = self._tallies.get(person.id)
            measured = tally.measured(self._observer) if tally is not None else None
            if measured is None or measured == self._noted.get(person.id):
                continue
            if measured in person.measured:
                self._noted[person.id] = measured
            else:
                found.append(NoteQuality(participant=person.id, measured=measured))
        return tuple(found)

    def take_scores(self) -> tuple[float, ...]:
        """The last score of each person in the call of whom there is one since the last time."""
        taken = (watched.tally.take_score() for watched in self._watched.values())
        return tuple(score for score in taken if score is not None)

    def _people(self, now: float) -> Iterator[tuple[Participant, _Watched]]:
        """Whom we watch over: in the call, with a place that is ours."""
        ours = {
            person.id: person for person in self.live.room.participants if self._is_ours(person)
        }
        for name in self._watched.keys() - ours.keys():
            del self._watched[name]
            self.live.set_faults(name, None)
        for person in ours.values():
            yield person, self._watched_as(person, now)

    def _watched_as(self, person: Participant, now: float) -> _Watched:
        watched = self._watched.get(person.id)
        if watched is None:
            tally = self._tallies.setdefault(person.id, Tally())
            watched = self._watched[person.id] = _Watched(tally, now)
        return watched

    def _is_ours(self, person: Participant) -> bool:
        session = person.session
        return (
            person.state == "admitted"
            and session is not None
            and session.node == self._node
            and not session.lost
            and self.live.room.state != "ended"
        )

    def _judge(self, person: Participant, watched: _Watched, now: float) -> None:
        before = {each.reason for each in watched.faults}
        watched.faults = watched.detector.judge(self._duty(person), now)
        if watched.lost_since is not None:
            lost = Break(reason="media_lost", start=watched.lost_since)
            watched.faults = (*watched.faults, lost)
        for each in watched.faults:
            code = fault_code(each)
            if code is not None and code not in before:
                self._on_fault(code)
        self.live.set_faults(person.id, watched.faults)

    def _duty(self, person: Participant) -> Duty:
        allowed = permit(self.live.room, person)
        send = allowed.send if allowed is not None else ()
        takes_picture = self.live.wants(person.id, "camera")
        return Duty(
            audio=person.media.audio and "audio" in send,
            video=person.media.video and "video" in send and takes_picture,
            may_send_audio="audio" in send,
            may_send_video="video" in send,
            receives=any(
                _sends(other) for other in self.live.room.participants if other.id != person.id
            ),
            pictures=self.live.pictures(person.id),
        )


def _sends(person: Participant) -> bool:
    session, media = person.session, person.media
    is_there = person.state == "admitted" and session is not None and not session.lost
    return is_there and (media.audio or media.video or media.screen)


def _named(faults: tuple[Break, ...]) -> frozenset[str]:
    return frozenset(each.reason for each in faults)


def _flow(row: sfu.PeerFlow) -> Flow:
    return Flow(
        round_trip_ms=row.round_trip_ms,
        up_bps=row.up_bps,
        up_loss=row.up_loss,
        up_jitter_ms=row.up_jitter_ms,
        audio_packets=row.audio_packets,
        level=row.level,
        video_frames=row.video_frames,
        down_bps=row.down_bps,
        down_packets=row.down_packets,
        down_loss=row.down_loss,
        acknowledged=row.down_acknowledged,
    )
