"""One room: its peers, who may see whom, who speaks, and what its taps take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sfu.control.messages import (
    Events,
    Layer,
    Layers,
    OfferWanted,
    Pictures,
    SeatedSource,
    Seating,
    Speakers,
)
from sfu.forwarder.contract import Codec, Forwarder
from sfu.ids import PeerId, RoomId, SourceId
from sfu.router.allocation import Ceiling
from sfu.router.decoding import RECORDABLE, decodable, must_change
from sfu.router.flows import FlowMeter
from sfu.router.keyframes import Waiting
from sfu.router.ladder import Ladder
from sfu.router.peer import Connection, Peer
from sfu.router.pictures import Scene, pictures, settle_pictures
from sfu.router.recording import Recording
from sfu.router.seats import Candidate, arrange, ranked
from sfu.router.stream import PERMISSION, Stream, camera_of, screen_of
from sfu.streams.speakers import ActiveSpeakers
from sfu.tap import Tap
from sfu.transport.description import MAX_SEATS

Emit = Callable[[Events], None]


@dataclass(frozen=True, slots=True)
class Around:
    """What a room needs of the process to settle."""

    emit: Emit
    taps: list[Tap]
    ceiling: Ceiling
    now_ns: int


class Room:
    """The state of a room. The owner changes it and calls `settle` after each change.

    `wait(sink, stream)` is called for each sink that begins to wait for a key frame, and
    `stop_waiting(sink)` for each that is no more.
    """

    def __init__(
        self,
        room: RoomId,
        number: int,
        forwarder: Forwarder,
        wait: Callable[[Waiting, Stream], None],
        stop_waiting: Callable[[Waiting], None],
        now_ns: int,
    ) -> None:
        self.id = room
        #: One more for each room of the process; says whose turn it is in a tick.
        self.number = number
        self.peers: dict[PeerId, Peer] = {}
        self.active_ns = now_ns
        self.received_packets = 0
        self.speakers: ActiveSpeakers[PeerId] = ActiveSpeakers()
        self.speaking: tuple[PeerId, ...] = ()
        self.recording = Recording(forwarder, wait, stop_waiting)
        self.flows = FlowMeter(forwarder)
        #: Viewers whose pictures are to be decided anew; None for all.
        self.due: set[PeerId] | None = set()
        self._forwarder = forwarder
        self._next_arrival = 1
        #: The video that may be seen, by source.
        self._ladders: dict[SourceId, Ladder] = {}

    def admit(self, peer: PeerId) -> Peer:
        """The peer of that name, made when there is none."""
        found = self.peers.get(peer)
        if found is None:
            found = self.peers[peer] = Peer(peer, self._next_arrival)
            self._next_arrival += 1
        return found

    def connections(self) -> dict[PeerId, Connection]:
        """Those of all peers that have one."""
        return {p.id: p.connection for p in self.peers.values() if p.connection is not None}

    def streams(self) -> Iterator[Stream]:
        """All incoming streams of the room."""
        for connection in self.connections().values():
            yield from connection.publisher

    def ladders(self) -> Iterator[Ladder]:
        """All video of the room, permitted or not."""
        for connection in self.connections().values():
            yield from connection.publisher.ladders.values()

    def forget(self, stream: Stream) -> None:
        """A stream is no more; legs that waited for it go on with what they show."""
        self.recording.forget(stream)
        for connection in self.connections().values():
            subscriber = connection.subscriber
            for leg in subscriber.legs():
                if leg.shown is stream:
                    leg.shown = None
                if leg.stream is stream:
                    subscriber.show(leg, leg.shown, leg.limits)

    # -- settling

    def settle(self, around: Around) -> None:
        """Bring seats, pictures, taps, layers and codecs in line with what is."""
        self._ladders = dict(self._visible())
        self._settle_seats(around.emit)
        for peer in self.peers.values():
            if self.due is None or peer.id in self.due:
                self.settle_pictures(peer, around)
        self.due = set()
        voices = [stream for stream in self.streams() if stream.kind == "audio"]
        self.recording.settle(around.taps, voices, list(self.ladders()), around.now_ns)
        self.tell_layers(around.emit)
        self._settle_codecs(around)

    def settle_pictures(self, peer: Peer, around: Around) -> None:
        """Decide what one viewer's seats show, and tell it when that changed."""
        connection = peer.connection
        if connection is None or _is_lost(connection):
            return
        scene = Scene(self._ladders, peer.pinned, self.speaking, around.ceiling)
        subscriber = connection.subscriber
        changed = settle_pictures(subscriber, connection.downlink, scene, around.now_ns)
        if changed or connection.pictures_told != len(subscriber):
            connection.pictures_told = len(subscriber)
            states = tuple(pictures(subscriber))
            around.emit(Pictures(room=self.id, peer=peer.id, seats=states))

    def measure(self, around: Around) -> None:
        """Read what flows; stop what nobody takes. Call five times a second."""
        now_ns, ladders = around.now_ns, list(self.ladders())
        voices = [stream for stream in self.streams() if stream.kind == "audio"]
        for ladder in ladders:
            ladder.measure(self._forwarder.carried, now_ns)
        for voice in voices:
            voice.meter.note(*self._forwarder.carried(voice.handle), now_ns)
        self._expect(now_ns)
        self.recording.settle(around.taps, voices, ladders, now_ns)
        for ladder in ladders:
            ladder.stop_idle(now_ns)
        self.tell_layers(around.emit)

    def decodable(self, *, recorded: bool, without: PeerId | None = None) -> frozenset[Codec]:
        """The video codecs that everybody who receives can decode, the recorder too."""
        receivers = [
            connection.subscriber.decodes()
            for peer, connection in self.connections().items()
            if self.peers[peer].receive and peer != without
        ]
        return decodable([*receivers, RECORDABLE if recorded else None])

    def hear(self, now_ns: int) -> Speakers | None:
        """Who speaks now, when that changed. Notes it for the seats too."""
        speaking = tuple(p for p in self.speakers.current(now_ns) if p in self.peers)
        for name in speaking:
            self.peers[name].spoke_ns = now_ns
        if speaking == self.speaking:
            return None
        self.speaking = speaking
        return Speakers(room=self.id, peers=speaking)

    def clock_offsets(self) -> dict[PeerId, int | None]:
        """Where each publisher's clock stands to ours, in nanoseconds; None while unknown."""
        return {peer: c.clock_offset_ns for peer, c in self.connections().items()}

    def snapshot(self) -> Iterator[Events]:
        """Seats, pictures and layers as they are, for a signalling node that has just come."""
        by_source = {c.source: c for c in _candidates(self.peers.values())}
        for peer in self.peers.values():
            if peer.told:
                yield _seating(self.id, peer, by_source)
        for name, connection in self.connections().items():
            if len(connection.subscriber):
                states = tuple(pictures(connection.subscriber))
                yield Pictures(room=self.id, peer=name, seats=states)
            if connection.asked_to_offer:
                yield OfferWanted(room=self.id, peer=name, reason="codec")
        for ladder in self.ladders():
            yield _layers(self.id, ladder)

    # -- inside

    def _visible(self) -> Iterator[tuple[SourceId, Ladder]]:
        for peer in self.peers.values():
            if peer.connection is None:
                continue
            for source, ladder in peer.connection.publisher.ladders.items():
                role = "screen" if ladder.screen else "camera"
                if PERMISSION[role] in peer.send:
                    yield source, ladder

    def _settle_seats(self, emit: Emit) -> None:
        """Decide who sits where, connect the voices, and tell whoever it changed for."""
        order = ranked(_candidates(self.peers.values()))
        by_source = {candidate.source: candidate for candidate in order}
        voices = {s.source: s for s in self.streams() if s.permitted and s.kind == "audio"}
        for peer in self.peers.values():
            visible = [c for c in order if c.peer != peer.id] if peer.receive else []
            wanted = min(len(visible), MAX_SEATS)
            seated: tuple[SourceId | None, ...] = ()
            if peer.connection is not None:
                subscriber = peer.connection.subscriber
                seated = arrange(visible, peer.seated, subscriber.with_video(), pinned=peer.pinned)
                if subscriber.seat(seated) and self.due is not None:
                    self.due.add(peer.id)
                for seat in subscriber:
                    voice = voices.get(seat.source) if seat.source is not None else None
                    subscriber.show(seat.audio, voice)
            if peer.told and (seated, wanted) == (peer.seated, peer.wanted):
                continue
            peer.seated, peer.wanted, peer.told = seated, wanted, True
            emit(_seating(self.id, peer, by_source))

    def _expect(self, now_ns: int) -> None:
        """Whoever may receive and has no path, yet or now, will want the lowest layers first."""
        if any(
            peer.receive and (peer.connection is None or _is_lost(peer.connection))
            for peer in self.peers.values()
        ):
            for ladder in self._ladders.values():
                ladder.want(0, now_ns)

    def tell_layers(self, emit: Emit) -> None:
        """Tell senders which layers to send, where that changed."""
        for ladder in self.ladders():
            if ladder.changed:
                ladder.changed = False
                emit(_layers(self.id, ladder))

    def _settle_codecs(self, around: Around) -> None:
        """Ask senders for another codec when somebody cannot decode theirs."""
        recorded = bool(around.taps)
        everybodys = self.decodable(recorded=recorded)
        for name, connection in self.connections().items():
            if connection.asked_to_offer or not _falls_short(connection, everybodys):
                continue
            # It need not decode what it sends itself.
            if _falls_short(connection, self.decodable(recorded=recorded, without=name)):
                connection.asked_to_offer = True
                around.emit(OfferWanted(room=self.id, peer=name, reason="codec"))


def _candidates(peers: Iterable[Peer]) -> Iterator[Candidate]:
    """Whoever may send and has offered to is a source, also while muted."""
    for peer in peers:
        if peer.connection is None:
            continue
        publisher = peer.connection.publisher
        heard = "audio" in peer.send and publisher.offers("microphone")
        seen = "video" in peer.send and publisher.offers("camera")
        if heard or seen:
            yield Candidate(camera_of(peer.id), peer.id, False, peer.arrived, peer.spoke_ns)
        if "screen" in peer.send and peer.shares_screen and publisher.offers("screen"):
            yield Candidate(screen_of(peer.id), peer.id, True, peer.arrived, peer.spoke_ns)


def _is_lost(connection: Connection) -> bool:
    """Whether nothing can be sent on it; a transport that is mended has its pictures decided."""
    return connection.transport.state in ("failed", "closed")


def _falls_short(connection: Connection, codecs: frozenset[Codec]) -> bool:
    """Whether a peer sends what is not among `codecs`, and could do otherwise."""
    publisher = connection.publisher
    return any(
        publisher.may(section) and must_change(section, publisher.formats[section.mid], codecs)
        for section in publisher.video_sections()
    )


def _layers(room: RoomId, ladder: Ladder) -> Layers:
    layers = tuple(Layer(rid=layer.rid, active=layer.told) for layer in ladder.layers)
    return Layers(room=room, peer=ladder.peer, source=ladder.source, layers=layers)


def _seating(room: RoomId, peer: Peer, by_source: dict[SourceId, Candidate]) -> Seating:
    seats = [by_source.get(source) if source is not None else None for source in peer.seated]
    return Seating(
        room=room,
        peer=peer.id,
        seats=tuple(
            None if c is None else SeatedSource(source=c.source, peer=c.peer, screen=c.screen)
            for c in seats
        ),
        wanted=peer.wanted,
    )
