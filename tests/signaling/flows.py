"""People of a room on the bench as this process's own, and seconds of theirs at an SFU."""

from __future__ import annotations

import msgspec

from sfu.control import messages as sfu
from sfu.ids import PeerId, RoomId
from signaling.protocol import messages as wire
from signaling.protocol.replies import Farewell
from signaling.rooms import commands as c
from signaling.rooms.room import Room
from tests.support.bench import Bench, in_state

GOOD = sfu.PeerFlow(
    peer=PeerId(""),
    round_trip_ms=40.0,
    up_bps=900_000,
    up_loss=0.01,
    up_jitter_ms=3.0,
    audio_packets=50,
    level=45,
    video_frames=25,
    screen_frames=0,
    down_bps=800_000,
    down_packets=150,
    down_loss=0.02,
    down_acknowledged=True,
    estimate_bps=None,
)
TALKS = wire.Media(audio=True, video=True)


class Page:
    """A WebSocket of the person's session on the bench that keeps what it is told."""

    def __init__(self, participant: str, connection: str = "") -> None:
        self.participant = participant
        self.connection = connection or f"ws-{participant}-1"
        self.told: list[wire.ServerMessage] = []

    def send(self, message: wire.ServerMessage) -> None:
        """See `Listener`."""
        self.told.append(message)

    def finish(self, why: Farewell) -> None:
        """See `Listener`."""

    def faults(self) -> list[tuple[str, str]] | None:
        """Who has what, by the last word; None when nothing was said."""
        for message in reversed(self.told):
            if isinstance(message, wire.Faults):
                return [(each.participant, each.code) for each in message.faults]
        return None


def talking() -> Bench:
    """Chair and patient in the call, with microphone and camera on."""
    bench = in_state("admitted")
    for person in ("chair", "patient"):
        bench.do(c.SetMedia(actor=person, media=TALKS))
    return bench


def second(room: Room, **rows: sfu.PeerFlow | None) -> sfu.Flows:
    """A good second of everybody in the call, but for `rows` (None: not connected)."""
    peers = []
    for person in room.participants:
        row = rows.get(person.id, GOOD)
        if person.state == "admitted" and row is not None:
            peers.append(msgspec.structs.replace(row, peer=PeerId(person.id)))
    return sfu.Flows(room=RoomId(room.id), peers=tuple(peers))
