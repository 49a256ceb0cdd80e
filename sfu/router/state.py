"""The tables of the slow path, and how they change together: rooms, connections, streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass

from sfu.control.messages import Events
from sfu.errors import CommandError
from sfu.forwarder.contract import Forwarder, StreamHandle, TransportHandle
from sfu.ids import PeerId, RoomId
from sfu.router.faults import Faults
from sfu.router.feedback import FeedbackCounters
from sfu.router.keyframes import KeyFrameRequests
from sfu.router.peer import Connection, Endpoint, Peer
from sfu.router.protection import Protection
from sfu.router.room import Around, Room
from sfu.router.stream import Stream
from sfu.router.subscriber import Leg
from sfu.router.totals import RetiredTotals
from sfu.tap import Taps
from sfu.transport.table import TransportTable

#: What ticks do is done for this share of the connections at a time, so that no packet waits for
#: all of them.
PARTS = 5

#: Rooms that could not be settled are tried again so often: what fails each time shall not cost
#: the other rooms much.
_RETRY_NS = 200_000_000

Emit = Callable[[RoomId, Events], None]


@dataclass(frozen=True, slots=True)
class Home:
    """Where a transport or a stream belongs."""

    room: Room
    peer: Peer
    connection: Connection


class State:
    """All rooms of one process and what is in them. Nothing here decides."""

    def __init__(
        self,
        forwarder: Forwarder,
        transports: TransportTable,
        endpoint: Endpoint,
        taps: Taps,
        emit: Emit,
    ) -> None:
        self.forwarder = forwarder
        self.transports = transports
        self.endpoint = endpoint
        self.taps = taps
        self.emit = emit
        self.rooms: dict[RoomId, Room] = {}
        self.retired = RetiredTotals()
        self.feedback = FeedbackCounters()
        self.faults = Faults()
        self.key_frames = KeyFrameRequests(forwarder, self.feedback)
        self.protection = Protection()
        #: Viewers to whom a rate is being kept up, to see whether it passes.
        self.probing: dict[TransportHandle, Home] = {}
        self.offers_refused = 0
        self.rooms_refused = 0
        self._homes: list[dict[TransportHandle, Home]] = [{} for _ in range(PARTS)]
        self._by_stream: dict[StreamHandle, tuple[Home, Stream]] = {}
        self._unsettled: dict[RoomId, Room] = {}
        #: When to try again.
        self._failed: dict[RoomId, int] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._rooms_made = 0

    # -- looking up

    def room(self, room: RoomId) -> Room:
        """Raises `CommandError`."""
        found = self.rooms.get(room)
        if found is None:
            raise CommandError("unknown_room", f"there is no room {room}")
        return found

    def peer(self, room: RoomId, peer: PeerId) -> tuple[Room, Peer]:
        """Raises `CommandError`."""
        found = self.room(room)
        if peer not in found.peers:
            raise CommandError("unknown_peer", f"there is no peer {peer} in room {room}")
        return found, found.peers[peer]

    def home(self, transport: TransportHandle) -> Home | None:
        """Whose transport it is."""
        return self._homes[transport % PARTS].get(transport)

    def homes(self, part: int | None = None) -> Iterator[Home]:
        """Every peer's connection, or those of one part of `PARTS`."""
        parts = self._homes if part is None else self._homes[part : part + 1]
        for homes in parts:
            yield from tuple(homes.values())

    def rooms_of(self, part: int | None) -> Iterator[Room]:
        """Every room that is there now, or those of one part of `PARTS`."""
        for room in tuple(self.rooms.values()):
            if part is None or room.number % PARTS == part:
                yield room

    def streams(self) -> Iterator[tuple[Home, Stream]]:
        """Every incoming stream with its home."""
        return iter(tuple(self._by_stream.values()))

    def stream(self, handle: StreamHandle) -> tuple[Home, Stream] | None:
        """One incoming stream with its home."""
        return self._by_stream.get(handle)

    def around(self, room: Room, now_ns: int) -> Around:
        """What the room needs to settle."""

        def emit(event: Events) -> None:
            self.emit(room.id, event)

        return Around(emit, self.taps.of_room(room.id), self.protection.ceiling, now_ns)

    # -- changing

    def change(self, room: Room, viewer: PeerId | None = None) -> None:
        """Something about the room, or about what one viewer sees, changed: see `settle`."""
        if room.id not in self.rooms:
            return
        if viewer is None:
            room.due = None
        elif room.due is not None:
            room.due.add(viewer)
        self._unsettled[room.id] = room

    def settle(self, now_ns: int) -> None:
        """Bring seats, pictures, taps and key frame requests in line with what has happened.

        A room in which that fails is tried again a little later.
        """
        for failed, due_ns in tuple(self._failed.items()):
            if now_ns >= due_ns:
                del self._failed[failed]
                self._unsettled[failed] = self.rooms[failed]
        while self._unsettled:
            _, room = self._unsettled.popitem()
            try:
                room.settle(self.around(room, now_ns))
            except Exception:
                self.faults.note(room.id)
                self._failed.setdefault(room.id, now_ns + _RETRY_NS)
        if self.key_frames.is_due:
            self.key_frames.ask(now_ns)

    def add_room(self, room: RoomId, now_ns: int) -> None:
        """Make a room."""
        self._rooms_made += 1
        self.rooms[room] = Room(
            room,
            self._rooms_made,
            self.forwarder,
            self.key_frames.wait,
            self.key_frames.stop_waiting,
            now_ns,
        )

    def remove_room(self, room: Room, now_ns: int) -> None:
        """Forget a room that has no peers any more; its taps end."""
        room.recording.close(now_ns)
        for tap in self.taps.of_room(room.id):
            tap.end(now_ns)
        self._unsettled.pop(room.id, None)
        self._failed.pop(room.id, None)
        del self.rooms[room.id]

    def add_connection(self, home: Home) -> None:
        """A peer has a transport."""
        handle = home.connection.transport.handle
        self._homes[handle % PARTS][handle] = home

    def remove_connection(self, home: Home) -> None:
        """End a peer's connection at once: no packet goes in or out any more."""
        connection, transport = home.connection, home.connection.transport
        for stream in connection.publisher:
            self.remove_stream(home, stream)
        for leg in connection.subscriber.legs():
            self.retire_leg(leg)
        counters = self.forwarder.transport_counters(transport.handle)
        self.retired.dropped_packets += counters.dropped_packets
        self.retired.probes += connection.downlink.probes
        del self._homes[transport.handle % PARTS][transport.handle]
        self.probing.pop(transport.handle, None)
        self.transports.detach(transport)
        self._spawn(transport.close())
        self.change(home.room)

    def add_stream(self, home: Home, stream: Stream) -> None:
        """A stream appeared."""
        self._by_stream[stream.handle] = (home, stream)
        self.key_frames.add(stream, home.connection)
        self.change(home.room)

    def remove_stream(self, home: Home, stream: Stream) -> None:
        """A stream is over."""
        self.retired.by_kind[stream.kind].add_stream(self.forwarder, stream.handle)
        home.connection.publisher.remove(stream)
        home.room.forget(stream)
        self._by_stream.pop(stream.handle, None)
        self.key_frames.remove(stream)
        self.change(home.room)

    def retire_leg(self, leg: Leg) -> None:
        """Keep the counters of a leg that goes."""
        self.key_frames.stop_waiting(leg)
        if leg.handle is not None:
            self.retired.by_kind[leg.kind].add_leg(self.forwarder, leg.handle)

    async def closed(self) -> None:
        """Wait until every transport has said goodbye."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _spawn(self, closing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(closing, name="transport-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
