"""One room: its peers, who may see whom, who speaks, and what its taps take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sfu.control.messages import Events, SeatedSource, Seating, Speakers
from sfu.forwarder.contract import Forwarder
from sfu.ids import PeerId, RoomId, SourceId
from sfu.router.peer import Peer
from sfu.router.publisher import Stream, camera_of, screen_of
from sfu.router.seats import Candidate, arrange, ranked
from sfu.streams.speakers import ActiveSpeakers
from sfu.tap import Tap, fan_out
from sfu.transport.description import MAX_SEATS


class Room:
    """The state of a room. The router changes it and calls `settle` after each change."""

    def __init__(self, room: RoomId, now_ns: int) -> None:
        self.id = room
        self.peers: dict[PeerId, Peer] = {}
        self.active_ns = now_ns
        self.received_packets = 0
        self.speakers: ActiveSpeakers[PeerId] = ActiveSpeakers()
        self.speaking: tuple[PeerId, ...] = ()
        self._next_arrival = 1

    def admit(self, peer: PeerId) -> Peer:
        """The peer of that name, made when there is none."""
        found = self.peers.get(peer)
        if found is None:
            found = self.peers[peer] = Peer(peer, self._next_arrival)
            self._next_arrival += 1
        return found

    def streams(self) -> Iterator[Stream]:
        """All incoming streams of the room."""
        for peer in self.peers.values():
            if peer.connection is not None:
                yield from peer.connection.publisher

    def settle_seats(self, emit: Callable[[Events], None]) -> None:
        """Decide who sits where, carry it out, and tell whoever it changed for."""
        order = ranked(_candidates(self.peers.values()))
        by_source = {candidate.source: candidate for candidate in order}
        found = {(s.source, s.kind): s for s in self.streams() if s.permitted}
        for peer in self.peers.values():
            visible = [c for c in order if c.peer != peer.id] if peer.receive else []
            wanted = min(len(visible), MAX_SEATS)
            seated: tuple[SourceId | None, ...] = ()
            if peer.connection is not None:
                subscriber = peer.connection.subscriber
                seated = arrange(visible, peer.seated, subscriber.with_video(), pinned=peer.pinned)
                subscriber.show(seated, lambda source, kind: found.get((source, kind)))
            if peer.told and (seated, wanted) == (peer.seated, peer.wanted):
                continue
            peer.seated, peer.wanted, peer.told = seated, wanted, True
            emit(_seating(self.id, peer, by_source))

    def settle_taps(
        self,
        taps: list[Tap],
        forwarder: Forwarder,
        need_key_frame: Callable[[Stream], None],
    ) -> None:
        """Give each stream's packets to the taps that may have them, from the next packet on."""
        for stream in self.streams():
            takers = [t for t in taps if stream.permitted and stream.peer in t.peers]
            names = tuple(tap.id for tap in takers)
            if names == stream.taps:
                continue
            if stream.kind == "video" and set(names) - set(stream.taps):
                need_key_frame(stream)
            stream.taps = names
            track = stream.track()
            forwarder.set_tap(
                stream.handle, fan_out([tap.sink(stream.handle, track) for tap in takers])
            )

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
        connected = [(p.id, p.connection) for p in self.peers.values()]
        return {peer: c.clock_offset_ns for peer, c in connected if c is not None}

    def seatings(self) -> Iterator[Seating]:
        """Who sits where now, for a signalling node that has just come."""
        by_source = {c.source: c for c in _candidates(self.peers.values())}
        for peer in self.peers.values():
            if peer.told:
                yield _seating(self.id, peer, by_source)


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
