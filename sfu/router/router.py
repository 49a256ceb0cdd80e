"""The slow path of the media engine: rooms, peers, and what follows from each command and punt.

Nothing here awaits. The owner calls `handle` for a command and then `settle`, and the four ticks
at their pace; all times are Unix nanoseconds, read at the edge. Closing DTLS takes a moment: those
tasks are the router's, and `close` waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sfu.control import messages
from sfu.control.messages import Commands, Events, Negotiated, Reply, Statistics
from sfu.control.tap import SenderReport as TapReport
from sfu.errors import CommandError
from sfu.forwarder.contract import Forwarder, StreamHandle, TransportHandle
from sfu.ids import PeerId, RoomId, TapId
from sfu.router.bitrate import UplinkBudget
from sfu.router.feedback import FeedbackActions, FeedbackCounters, take_feedback
from sfu.router.keyframes import KeyFrameRequests
from sfu.router.peer import Connection, Peer
from sfu.router.publisher import Publisher, Stream
from sfu.router.room import Room
from sfu.router.statistics import read_statistics
from sfu.router.subscriber import Leg, Subscriber
from sfu.router.totals import RetiredTotals
from sfu.rtp.rtcp import SenderReport
from sfu.tap import Tap, Taps
from sfu.transport.aiortc_adapter import ArrivalEstimator
from sfu.transport.description import Offer, parse_offer
from sfu.transport.peer import PeerTransport
from sfu.transport.table import TransportTable

log = logging.getLogger(__name__)

#: One process serves some hundred peers; these only stop a caller that ran wild.
MAX_ROOMS = 2000
MAX_PEERS_IN_ROOM = 500
MAX_TAPS_IN_ROOM = 8
#: A room that nobody asks for and that carries nothing was forgotten by a signalling node's death.
ORPHAN_NS = 600 * 1_000_000_000

Emit = Callable[[RoomId, Events], None]


@dataclass(frozen=True, slots=True)
class Home:
    """Where a transport or a stream belongs."""

    room: Room
    peer: Peer
    connection: Connection


class Router:
    """All rooms of one process. Implements `sfu.transport.table.MediaListener`."""

    def __init__(
        self,
        forwarder: Forwarder,
        transports: TransportTable,
        addresses: Sequence[tuple[str, int]],
        tap_buffer_bytes: int,
        emit: Emit,
        wall_offset_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self.forwarder = forwarder
        self.rooms: dict[RoomId, Room] = {}
        self.taps = Taps(tap_buffer_bytes, self._on_tap_overflow, wall_offset_ns)
        self.retired = RetiredTotals()
        self.feedback = FeedbackCounters()
        self.key_frames = KeyFrameRequests(forwarder, self.feedback)
        self.offers_refused = 0
        self._transports = transports
        self._addresses = tuple(addresses)
        self._emit = emit
        self._homes: dict[TransportHandle, Home] = {}
        self._by_stream: dict[StreamHandle, tuple[Home, Stream]] = {}
        self._unsettled: dict[RoomId, Room] = {}
        self._closing: set[asyncio.Task[None]] = set()

    # -------------------------------------------------------------- commands

    def handle(self, command: Commands, now_ns: int) -> Reply | Negotiated | Statistics:
        """Do one command. Raises `CommandError`. `settle` follows when the answer is on its way."""
        match command:
            case messages.OpenRoom():
                self._open_room(command.room, now_ns)
            case messages.CloseRoom():
                self.close_room(command.room, now_ns)
            case messages.Permit():
                self._permit(command)
            case messages.Negotiate():
                return self._negotiate(command, now_ns)
            case messages.View():
                self._view(command)
            case messages.MediaState():
                self._media_state(command)
            case messages.RemovePeer():
                self._remove_peer(command.room, command.peer, now_ns)
            case messages.StartTap():
                self._start_tap(command)
            case messages.StopTap():
                self._stop_tap(command.tap, now_ns)
            case messages.ReadStatistics():
                return read_statistics(self._room(command.room), self.forwarder, command.id)
        return Reply(id=command.id)

    def settle(self, now_ns: int) -> None:
        """Bring seats, taps and key frame requests in line with what was commanded or happened."""
        while self._unsettled:
            _, room = self._unsettled.popitem()

            def emit(event: Events, room: Room = room) -> None:
                self._emit(room.id, event)

            room.settle_seats(emit)
            room.settle_taps(self.taps.of_room(room.id), self.forwarder, self.key_frames.need)
        self.key_frames.ask(now_ns)

    def snapshot(self, room: RoomId) -> Iterator[Events]:
        """The room as events, for a connection that has just opened it."""
        found = self.rooms.get(room)
        if found is None:
            return
        for peer in found.peers.values():
            if peer.connection is not None:
                state = peer.connection.transport.state
                yield messages.PeerTransport(room=room, peer=peer.id, state=state)
        yield from found.seatings()
        if found.speaking:
            yield messages.Speakers(room=room, peers=found.speaking)
        for tap in self.taps:
            if tap.room == room and tap.overflowed:
                yield messages.TapEnded(room=room, tap=tap.id)

    def close_room(self, room: RoomId, now_ns: int) -> None:
        """End a room: its taps, its peers. Unknown rooms are fine."""
        found = self.rooms.get(room)
        if found is None:
            return
        for peer in tuple(found.peers):
            self._remove_peer(room, peer, now_ns)
        for tap in self.taps.of_room(room):
            tap.end(now_ns)
        self._unsettled.pop(room, None)
        del self.rooms[room]

    def close_orphans(self, watched: Callable[[RoomId], bool], now_ns: int) -> None:
        """Close rooms that no control connection watches and that carry nothing."""
        for room in tuple(self.rooms.values()):
            if watched(room.id):
                room.active_ns = now_ns
            elif now_ns - room.active_ns > ORPHAN_NS:
                log.info("room %s closed: nobody asks for it", room.id)
                self.close_room(room.id, now_ns)

    async def close(self, now_ns: int) -> None:
        """Close all rooms and wait until every transport has said goodbye."""
        for room in tuple(self.rooms):
            self.close_room(room, now_ns)
        await asyncio.gather(*self._closing, return_exceptions=True)

    # --------------------------------------------------------- what is there

    def homes(self) -> Iterator[Home]:
        """Every peer's connection."""
        return iter(tuple(self._homes.values()))

    def streams(self) -> Iterator[tuple[Home, Stream]]:
        """Every incoming stream with its home."""
        return iter(tuple(self._by_stream.values()))

    def stream(self, handle: StreamHandle) -> tuple[Home, Stream] | None:
        """One incoming stream with its home."""
        return self._by_stream.get(handle)

    def change(self, room: Room) -> None:
        """Something about the room changed: the next `settle` looks at it."""
        if room.id in self.rooms:
            self._unsettled[room.id] = room

    def emit(self, room: RoomId, event: Events) -> None:
        """Tell whoever has opened the room."""
        self._emit(room, event)

    # ----------------------------------------------------------------- punts

    def on_rtcp(self, transport: TransportHandle, packet: bytes, now_ns: int) -> None:
        """A decrypted compound packet of a peer."""
        home = self._homes.get(transport)
        if home is None:
            return
        actions = FeedbackActions(
            need_key_frame=self.key_frames.need,
            reported=lambda stream, report: self._reported(home, stream, report, now_ns),
            gone=lambda stream: self._remove_stream(home, stream, now_ns),
        )
        take_feedback(home.connection, packet, self.forwarder, self.feedback, actions, now_ns)
        self.settle(now_ns)

    def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool:
        """A packet of no known stream: a stream that begins, or nothing of ours."""
        home = self._homes.get(transport)
        if home is None:
            return False
        appeared = home.connection.publisher.appear(packet, now_ns)
        if appeared is None:
            return False
        stream, replaced = appeared
        for old in replaced:
            self._remove_stream(home, old, now_ns)
        self._by_stream[stream.handle] = (home, stream)
        self.key_frames.add(stream, home.connection)
        self.change(home.room)
        self.settle(now_ns)
        return True

    def on_key_frame(self, stream: StreamHandle) -> None:
        """A key frame for which a leg waited."""
        self.key_frames.arrived(stream)

    # ---------------------------------------------------------------- inside

    def _room(self, room: RoomId) -> Room:
        found = self.rooms.get(room)
        if found is None:
            raise CommandError("unknown_room", f"there is no room {room}")
        return found

    def _peer(self, room: RoomId, peer: PeerId) -> tuple[Room, Peer]:
        found = self._room(room)
        if peer not in found.peers:
            raise CommandError("unknown_peer", f"there is no peer {peer} in room {room}")
        return found, found.peers[peer]

    def _open_room(self, room: RoomId, now_ns: int) -> None:
        if room in self.rooms:
            return
        if len(self.rooms) >= MAX_ROOMS:
            raise CommandError("too_many", f"there are {MAX_ROOMS} rooms")
        self.rooms[room] = Room(room, now_ns)

    def _permit(self, command: messages.Permit) -> None:
        room = self._room(command.room)
        if command.peer not in room.peers and len(room.peers) >= MAX_PEERS_IN_ROOM:
            raise CommandError("too_many", f"there are {MAX_PEERS_IN_ROOM} peers in the room")
        peer = room.admit(command.peer)
        if command.version < peer.version:
            return
        peer.version = command.version
        peer.send = frozenset(command.send)
        peer.receive = command.receive
        if "audio" not in peer.send:
            room.speakers.forget(peer.id)
        if peer.connection is not None:
            peer.connection.publisher.permit(peer.send)
        self.change(room)

    def _negotiate(self, command: messages.Negotiate, now_ns: int) -> Negotiated:
        room, peer = self._peer(command.room, command.peer)
        try:
            offer = parse_offer(command.sdp)
            connection = peer.kept_by(offer, fresh=command.fresh)
        except CommandError:
            self.offers_refused += 1
            raise
        if connection is None:
            self._disconnect(peer, now_ns)
            connection = self._connect(room, peer, offer, now_ns)
        elif offer.ufrag != connection.transport.remote_ufrag:
            self._transports.restart(connection.transport, offer.ufrag)
        self._apply(self._homes[connection.transport.handle], offer, now_ns)
        self.change(room)
        answer = connection.answer(self._transports.certificate.fingerprint, self._addresses)
        return Negotiated(id=command.id, sdp=answer, seats=len(connection.subscriber))

    def _connect(self, room: Room, peer: Peer, offer: Offer, now_ns: int) -> Connection:
        transport = self._transports.open(
            offer.ufrag,
            offer.fingerprint,
            self._on_transport_state,
            self._on_transport_moved,
            now_ns,
        )
        connection = Connection(
            transport,
            offer,
            Publisher(peer.id, transport.handle, self.forwarder),
            Subscriber(transport.handle, self.forwarder, partial(self._leg_waits, transport)),
            UplinkBudget(ArrivalEstimator()),
        )
        peer.connection = connection
        self._homes[transport.handle] = Home(room, peer, connection)
        state = messages.PeerTransport(room=room.id, peer=peer.id, state=transport.state)
        self._emit(room.id, state)
        return connection

    def _leg_waits(self, transport: PeerTransport, stream: Stream) -> None:
        """A leg waits for a key frame; one that comes before the transport can send is wasted."""
        if transport.state == "connected":
            self.key_frames.need(stream)

    def _apply(self, home: Home, offer: Offer, now_ns: int) -> None:
        connection = home.connection
        connection.offer = offer
        for stream in connection.publisher.update(offer):
            self._remove_stream(home, stream, now_ns)
        for leg in connection.subscriber.update(offer):
            self._retire_leg(leg)
            connection.subscriber.remove(leg)
        connection.publisher.permit(home.peer.send)

    def _view(self, command: messages.View) -> None:
        room, peer = self._peer(command.room, command.peer)
        peer.pinned = command.pinned
        if peer.connection is not None:
            peer.connection.subscriber.view(command.seats)
        self.change(room)

    def _media_state(self, command: messages.MediaState) -> None:
        room, peer = self._peer(command.room, command.peer)
        if not command.audio:
            room.speakers.forget(peer.id)
        peer.shares_screen = command.screen
        self.change(room)

    def _remove_peer(self, room: RoomId, peer: PeerId, now_ns: int) -> None:
        found = self.rooms.get(room)
        if found is None or peer not in found.peers:
            return
        if found.peers[peer].connection is not None:
            closed = messages.PeerTransport(room=room, peer=peer, state="closed")
            self._emit(room, closed)
        self._disconnect(found.peers[peer], now_ns)
        del found.peers[peer]
        found.speakers.forget(peer)
        self.change(found)

    def _disconnect(self, peer: Peer, now_ns: int) -> None:
        """End a peer's connection at once: no packet goes in or out any more."""
        connection, peer.connection = peer.connection, None
        if connection is None:
            return
        transport = connection.transport
        home = self._homes[transport.handle]
        for stream in connection.publisher:
            self._remove_stream(home, stream, now_ns)
        for leg in connection.subscriber.legs():
            self._retire_leg(leg)
        counters = self.forwarder.transport_counters(transport.handle)
        self.retired.dropped_packets += counters.dropped_packets
        del self._homes[transport.handle]
        self._transports.detach(transport)
        self._spawn(transport.close())

    def _start_tap(self, command: messages.StartTap) -> None:
        room = self._room(command.room)
        known = self.taps.get(command.tap) is not None
        if not known and len(self.taps.of_room(room.id)) >= MAX_TAPS_IN_ROOM:
            raise CommandError("too_many", f"there are {MAX_TAPS_IN_ROOM} taps in the room")
        if self.taps.start(room.id, command.tap, command.version, command.peers) is not None:
            self.change(room)
        elif self.taps.has_overflowed(room.id, command.tap):
            # Whoever asks was not connected when it was told.
            self._emit(room.id, messages.TapEnded(room=room.id, tap=command.tap))

    def _stop_tap(self, tap: TapId, now_ns: int) -> None:
        self.taps.stop(tap, now_ns)
        stopped = self.taps.get(tap)
        if stopped is not None and stopped.room in self.rooms:
            self.change(self.rooms[stopped.room])

    def _remove_stream(self, home: Home, stream: Stream, now_ns: int) -> None:
        self.retired.by_kind[stream.kind].add_stream(self.forwarder, stream.handle)
        for tap in self.taps.of_room(home.room.id):
            tap.close_track(stream.handle, now_ns)
        home.connection.publisher.remove(stream)
        self._by_stream.pop(stream.handle, None)
        self.key_frames.remove(stream)
        self.change(home.room)

    def _retire_leg(self, leg: Leg) -> None:
        if leg.handle is not None:
            self.retired.by_kind[leg.kind].add_leg(self.forwarder, leg.handle)

    def _reported(self, home: Home, stream: Stream, report: SenderReport, now_ns: int) -> None:
        for tap in self.taps.of_room(home.room.id):
            if tap.id in stream.taps:
                tap.report(stream.handle, TapReport(report.ntp_time, report.rtp_time), now_ns)

    def _on_transport_state(self, transport: PeerTransport) -> None:
        home = self._homes.get(transport.handle)
        if home is None:
            return
        state = transport.state
        log.info("room %s peer %s transport %s", home.room.id, home.peer.id, state)
        self._emit(
            home.room.id,
            messages.PeerTransport(room=home.room.id, peer=home.peer.id, state=state),
        )
        if state == "connected":
            # What the legs were told to show could not be sent until now.
            self._need_pictures(home)

    def _on_transport_moved(self, transport: PeerTransport) -> None:
        home = self._homes.get(transport.handle)
        if home is not None:
            # What was on its way to the former address is lost.
            self._need_pictures(home)

    def _need_pictures(self, home: Home) -> None:
        for leg in home.connection.subscriber.legs():
            if leg.kind == "video" and leg.stream is not None and not leg.paused:
                self.key_frames.need(leg.stream)

    def _on_tap_overflow(self, tap: Tap) -> None:
        log.error("tap %s of room %s ended: its buffer is full", tap.id, tap.room)
        self._emit(tap.room, messages.TapEnded(room=tap.room, tap=tap.id))
        if tap.room in self.rooms:
            self.change(self.rooms[tap.room])

    def _spawn(self, closing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(closing, name="transport-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
