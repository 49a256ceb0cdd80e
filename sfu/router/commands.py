"""What each command of the control protocol does to the tables."""

from __future__ import annotations

import logging
import secrets

from sfu.control import messages
from sfu.control.messages import Commands, Negotiated, Reply, Statistics
from sfu.errors import CommandError
from sfu.ids import PeerId, RoomId
from sfu.router.bitrate import UplinkBudget
from sfu.router.decoding import choose
from sfu.router.downlink import Downlink
from sfu.router.peer import Connection, Peer
from sfu.router.publisher import Publisher
from sfu.router.room import Room
from sfu.router.state import Home, State
from sfu.router.statistics import read_statistics
from sfu.router.stream import PERMISSION, Stream
from sfu.router.subscriber import Leg, Subscriber
from sfu.router.uplink import Uplink
from sfu.transport.aiortc_adapter import ArrivalEstimator
from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import Offer, parse_offer
from sfu.transport.peer import PeerTransport

log = logging.getLogger(__name__)

#: One process serves some hundred peers; these only stop a caller that ran wild.
MAX_ROOMS = 2000
MAX_PEERS_IN_ROOM = 500
MAX_TAPS_IN_ROOM = 8


class CommandDesk:
    """Does one command at a time; `State.settle` follows."""

    def __init__(self, state: State) -> None:
        self._state = state

    def handle(self, command: Commands, now_ns: int) -> Reply | Negotiated | Statistics:
        """Do one command. Raises `CommandError`."""
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
                self._remove_peer(command.room, command.peer)
            case messages.StartTap():
                self._start_tap(command)
            case messages.StopTap():
                self._stop_tap(command, now_ns)
            case messages.ReadStatistics():
                room = self._state.room(command.room)
                return read_statistics(room, self._state.forwarder, command.id)
        return Reply(id=command.id)

    def close_room(self, room: RoomId, now_ns: int) -> None:
        """End a room: its taps, its peers. Unknown rooms are fine."""
        found = self._state.rooms.get(room)
        if found is None:
            return
        for peer in tuple(found.peers):
            self._remove_peer(room, peer)
        self._state.remove_room(found, now_ns)

    def _open_room(self, room: RoomId, now_ns: int) -> None:
        state = self._state
        if room in state.rooms:
            return
        if len(state.rooms) >= MAX_ROOMS:
            raise CommandError("too_many", f"there are {MAX_ROOMS} rooms")
        if state.protection.refuses_rooms:
            state.rooms_refused += 1
            raise CommandError("busy", "this node takes no new room now")
        state.add_room(room, now_ns)

    def _permit(self, command: messages.Permit) -> None:
        room = self._state.room(command.room)
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
            if not peer.receive:
                # Not left to `settle`: another peer's fault may keep that from coming so far.
                _take_all_from(peer.connection.subscriber)
        self._state.change(room)

    def _negotiate(self, command: messages.Negotiate, now_ns: int) -> Negotiated:
        state = self._state
        room, peer = state.peer(command.room, command.peer)
        try:
            offer = parse_offer(command.sdp)
            connection = peer.kept_by(offer, fresh=command.fresh)
        except CommandError:
            state.offers_refused += 1
            raise
        if connection is None:
            self._disconnect(room, peer)
            connection = self._connect(room, peer, offer, now_ns)
        elif offer.ufrag != connection.transport.remote_ufrag:
            state.transports.restart(connection.transport, offer.ufrag)
        self._apply(Home(room, peer, connection), offer)
        state.change(room)
        answer = connection.answer(state.endpoint, saver=command.saver)
        return Negotiated(id=command.id, sdp=answer, seats=len(connection.subscriber))

    def _connect(self, room: Room, peer: Peer, offer: Offer, now_ns: int) -> Connection:
        state = self._state
        transport = state.transports.open(
            offer.ufrag,
            offer.fingerprint,
            self._on_transport_state,
            self._on_transport_moved,
            now_ns,
        )
        handle, ssrc = transport.handle, secrets.randbits(31) + 1

        def wait(leg: Leg, stream: Stream | None) -> None:
            # A key frame that comes before the transport can send is wasted.
            if stream is None or transport.state not in ("connected", "disconnected"):
                state.key_frames.stop_waiting(leg)
            else:
                state.key_frames.wait(leg, stream)

        publisher = Publisher(peer.id, handle, state.forwarder)
        budget = UplinkBudget(ArrivalEstimator())
        connection = Connection(
            transport,
            offer,
            publisher,
            Subscriber(handle, state.forwarder, wait),
            Uplink(handle, publisher, state.forwarder, budget, ssrc),
            Downlink(handle, state.forwarder, now_ns),
            ssrc,
        )
        peer.connection = connection
        state.add_connection(Home(room, peer, connection))
        event = messages.PeerTransport(room=room.id, peer=peer.id, state=transport.state)
        state.emit(room.id, event)
        return connection

    def _apply(self, home: Home, offer: Offer) -> None:
        state, connection = self._state, home.connection
        connection.offer = offer
        connection.asked_to_offer = False
        for stream in connection.publisher.update(offer, self._formats(home, offer)):
            state.remove_stream(home, stream)
        for leg in connection.subscriber.update(offer):
            state.retire_leg(leg)
            connection.subscriber.remove(leg)
        connection.downlink.numbered = connection.subscriber.numbered()
        connection.publisher.permit(home.peer.send)

    def _formats(self, home: Home, offer: Offer) -> dict[str, OfferedCodec]:
        """The codec of each section that the peer sends."""
        recorded = bool(self._state.taps.of_room(home.room.id))
        codecs = home.room.decodable(recorded=recorded, without=home.peer.id)
        current = home.connection.publisher.formats
        return {
            section.mid: choose(section, codecs, current.get(section.mid))
            for section in offer.sections
            if section.role in PERMISSION
        }

    def _view(self, command: messages.View) -> None:
        room, peer = self._state.peer(command.room, command.peer)
        pinned, peer.pinned = peer.pinned, command.pinned
        if peer.connection is not None:
            peer.connection.subscriber.view(command.seats)
        self._state.change(room, None if pinned != command.pinned else peer.id)

    def _media_state(self, command: messages.MediaState) -> None:
        room, peer = self._state.peer(command.room, command.peer)
        if not command.audio:
            room.speakers.forget(peer.id)
        peer.shares_screen = command.screen
        self._state.change(room)

    def _remove_peer(self, room: RoomId, peer: PeerId) -> None:
        found = self._state.rooms.get(room)
        if found is None or peer not in found.peers:
            return
        if found.peers[peer].connection is not None:
            closed = messages.PeerTransport(room=room, peer=peer, state="closed")
            self._state.emit(room, closed)
        self._disconnect(found, found.peers[peer])
        del found.peers[peer]
        found.speakers.forget(peer)
        self._state.change(found)

    def _disconnect(self, room: Room, peer: Peer) -> None:
        connection = peer.connection
        if connection is not None:
            self._state.remove_connection(Home(room, peer, connection))
            peer.connection = None

    def _start_tap(self, command: messages.StartTap) -> None:
        state = self._state
        room = state.room(command.room)
        known = state.taps.get(command.tap) is not None
        if not known and len(state.taps.of_room(room.id)) >= MAX_TAPS_IN_ROOM:
            raise CommandError("too_many", f"there are {MAX_TAPS_IN_ROOM} taps in the room")
        if state.taps.start(room.id, command.tap, command.version, command.peers) is not None:
            state.change(room)
        elif state.taps.has_overflowed(room.id, command.tap):
            # Whoever asks was not connected when it was told.
            state.emit(room.id, messages.TapEnded(room=room.id, tap=command.tap))

    def _stop_tap(self, command: messages.StopTap, now_ns: int) -> None:
        state = self._state
        state.taps.stop(command.tap, now_ns)
        stopped = state.taps.get(command.tap)
        if stopped is not None and stopped.room in state.rooms:
            state.change(state.rooms[stopped.room])

    def _on_transport_state(self, transport: PeerTransport) -> None:
        home = self._state.home(transport.handle)
        if home is None:
            return
        room, peer, state = home.room, home.peer, transport.state
        log.info("room %s peer %s transport %s", room.id, peer.id, state)
        self._state.emit(room.id, messages.PeerTransport(room=room.id, peer=peer.id, state=state))
        if state == "connected":
            # What the legs were told to show could not be sent until now.
            self._need_pictures(home)
        elif state in ("failed", "closed"):
            # No key frame begins what cannot be sent; what was shown is not any more.
            for leg in home.connection.subscriber.legs():
                self._state.key_frames.stop_waiting(leg)
                leg.shown = None

    def _on_transport_moved(self, transport: PeerTransport) -> None:
        home = self._state.home(transport.handle)
        if home is not None:
            # What was on its way to the former address is lost.
            self._need_pictures(home)

    def _need_pictures(self, home: Home) -> None:
        for leg in home.connection.subscriber.legs():
            if leg.kind != "video" or leg.stream is None or leg.paused:
                continue
            self._state.key_frames.wait(leg, leg.stream)
            if leg.shown is not None and not leg.shown.is_silent:
                self._state.key_frames.need(leg.shown)
        self._state.change(home.room, home.peer.id)


def _take_all_from(subscriber: Subscriber) -> None:
    """Empty its seats and let nothing through its legs any more."""
    subscriber.seat((None,) * len(subscriber))
    for leg in subscriber.legs():
        subscriber.show(leg, None)
