"""The slow path of the media engine: rooms, peers, and what follows from each command and punt.

Nothing here awaits. The owner calls `handle` for a command and then `settle`, and the ticks of
`sfu.router.ticks` at their pace; all times are Unix nanoseconds, read at the edge. Closing DTLS
takes a moment: those tasks are the router's, and `close` waits for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from sfu.control import messages
from sfu.control.messages import Commands, Events, Negotiated, Reply, Statistics
from sfu.forwarder.contract import Forwarder, StreamHandle, TransportHandle
from sfu.ids import RoomId
from sfu.router.commands import CommandDesk
from sfu.router.feedback import FeedbackActions, take_feedback
from sfu.router.peer import Endpoint
from sfu.router.protection import Reading
from sfu.router.room import Room
from sfu.router.state import Emit, Home, State
from sfu.router.stream import Stream
from sfu.rtp.rtcp import SenderReport
from sfu.tap import Tap, Taps
from sfu.transport.table import TransportTable

log = logging.getLogger(__name__)

#: A room that nobody asks for and that carries nothing was forgotten by a signalling node's death.
ORPHAN_NS = 600 * 1_000_000_000


class Router:
    """All rooms of one process. Implements `sfu.transport.table.MediaListener`.

    `addresses` and `tcp_addresses` are what answers name for media over UDP and over ICE-TCP.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        transports: TransportTable,
        addresses: Sequence[tuple[str, int]],
        tap_buffer_bytes: int,
        emit: Emit,
        wall_offset_ns: Callable[[], int] = lambda: 0,
        tcp_addresses: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.taps = Taps(tap_buffer_bytes, self._on_tap_overflow, wall_offset_ns)
        fingerprint = transports.certificate.fingerprint
        endpoint = Endpoint(fingerprint, tuple(addresses), tuple(tcp_addresses))
        self.state = State(forwarder, transports, endpoint, self.taps, emit)
        self._desk = CommandDesk(self.state)

    @property
    def rooms(self) -> dict[RoomId, Room]:
        """All rooms."""
        return self.state.rooms

    @property
    def forwarder(self) -> Forwarder:
        """The fast path."""
        return self.state.forwarder

    def homes(self) -> Iterator[Home]:
        """Every peer's connection."""
        return self.state.homes()

    # -- commands

    def handle(self, command: Commands, now_ns: int) -> Reply | Negotiated | Statistics:
        """Do one command. Raises `CommandError`. `settle` follows when the answer is on its way."""
        return self._desk.handle(command, now_ns)

    def settle(self, now_ns: int) -> None:
        """Bring everything in line with what was commanded or happened."""
        self.state.settle(now_ns)

    def snapshot(self, room: RoomId) -> Iterator[Events]:
        """The room as events, for a connection that has just opened it."""
        found = self.state.rooms.get(room)
        if found is None:
            return
        for peer, connection in found.connections().items():
            state = connection.transport.state
            yield messages.PeerTransport(room=room, peer=peer, state=state)
        yield from found.snapshot()
        if found.speaking:
            yield messages.Speakers(room=room, peers=found.speaking)
        for tap in self.taps:
            if tap.room == room and tap.overflowed:
                yield messages.TapEnded(room=room, tap=tap.id)

    def close_orphans(self, watched: Callable[[RoomId], bool], now_ns: int) -> None:
        """Close rooms that no control connection watches and that carry nothing."""
        for room in tuple(self.state.rooms.values()):
            if watched(room.id):
                room.active_ns = now_ns
            elif now_ns - room.active_ns > ORPHAN_NS:
                log.info("room %s closed: nobody asks for it", room.id)
                self._desk.close_room(room.id, now_ns)

    def protect(self, reading: Reading, now_ns: int) -> None:
        """How busy the process was in the last second."""
        if self.state.protection.note(reading, now_ns):
            # The next `ticks.pictures` goes by it; all rooms at once would be one more burden.
            log.warning("load protection is at level %s", self.state.protection.level)

    async def close(self, now_ns: int) -> None:
        """Close all rooms and wait until every transport has said goodbye."""
        for room in tuple(self.state.rooms):
            self._desk.close_room(room, now_ns)
        await self.state.closed()

    # -- punts

    def on_rtcp(self, transport: TransportHandle, packet: bytes, now_ns: int) -> None:
        """A decrypted compound packet of a peer."""
        state, home = self.state, self.state.home(transport)
        if home is None:
            return
        actions = FeedbackActions(
            need_key_frame=state.key_frames.need,
            reported=lambda stream, report: self._reported(home, stream, report, now_ns),
            gone=lambda stream: state.remove_stream(home, stream),
        )
        take_feedback(home.connection, packet, state.forwarder, state.feedback, actions, now_ns)
        if home.connection.downlink.is_short:
            around = state.around(home.room, now_ns)
            home.room.settle_pictures(home.peer, around)
            home.room.tell_layers(around.emit)
        state.settle(now_ns)

    def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool:
        """A packet of no known stream: a stream that begins, a repair, or nothing of ours."""
        state, home = self.state, self.state.home(transport)
        if home is None:
            return False
        appeared = home.connection.publisher.appear(packet, now_ns)
        if appeared is None:
            home.connection.uplink.note_stray(packet, now_ns)
            return False
        if appeared.stream is not None:
            if appeared.replaced is not None:
                state.remove_stream(home, appeared.replaced)
            state.add_stream(home, appeared.stream)
            state.settle(now_ns)
        return True

    def on_key_frame(self, stream: StreamHandle) -> None:
        """A key frame for which a leg waited."""
        self.state.key_frames.began(stream)

    # -- inside

    def _reported(self, home: Home, stream: Stream, report: SenderReport, now_ns: int) -> None:
        home.room.recording.report(stream, report, now_ns)

    def _on_tap_overflow(self, tap: Tap) -> None:
        log.error("tap %s of room %s ended: its buffer is full", tap.id, tap.room)
        self.state.emit(tap.room, messages.TapEnded(room=tap.room, tap=tap.id))
        if tap.room in self.state.rooms:
            self.state.change(self.state.rooms[tap.room])
