"""Rooms in the memory of one process: the default. See `signaling.store.port`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from itertools import islice

import msgspec

from signaling.errors import RoomExists, RoomUnknown, StoreUnavailable
from signaling.rooms.room import Room
from signaling.store.port import Change, Node, Notice, Transition, counted

#: Notices kept of each room: a follower further behind is told that it has to read the room.
MAX_NOTICES = 10_000
#: Ended rooms stay readable for a day, so that an archive can still be made of them.
ENDED_KEPT_S = 86_400.0


class _Entry:
    """One room, the end of its stream, and the bell for its followers."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.settled = False
        self.notices: deque[Notice] = deque(maxlen=MAX_NOTICES)
        self.changed = asyncio.Event()

    def after(self, version: int) -> list[Notice]:
        """The notices after a version; the first says so when some before it are gone."""
        count = self.room.version - version
        notices = list(islice(reversed(self.notices), count))[::-1]
        if not notices:
            return [Notice(self.room.version, (), skipped=True)]
        if notices[0].version != version + 1:
            notices[0] = msgspec.structs.replace(notices[0], skipped=True)
        return notices

    def ring(self) -> None:
        """Wake every follower that waits."""
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryStore:
    """A `Store`. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rooms: dict[str, _Entry] = {}
        self._nodes: dict[tuple[str, str], tuple[Node, float]] = {}
        self._closing = asyncio.Event()

    async def create(self, room: Room) -> None:
        """See `Store`."""
        self._check_open()
        self._forget_old()
        if room.id in self._rooms:
            raise RoomExists(room.id)
        self._rooms[room.id] = _Entry(room)

    async def read(self, room_id: str) -> Room:
        """See `Store`."""
        return self._entry(room_id).room

    async def change(self, room_id: str, transition: Transition) -> Change:
        """See `Store`. Nothing is awaited here, so nobody can write in between."""
        entry = self._entry(room_id)
        before = entry.room
        after, events = transition(before)
        if after is before:
            return Change(before, before, ())
        after = counted(before, after)
        entry.room = after
        entry.notices.append(Notice(after.version, events))
        entry.ring()
        return Change(before, after, events)

    async def follow(self, room_id: str, after_version: int) -> AsyncGenerator[Notice, None]:
        """See `Store`."""
        entry = self._entry(room_id)
        seen = after_version
        while not self._closing.is_set():
            if self._rooms.get(room_id) is not entry:
                raise RoomUnknown(room_id)
            if entry.room.version <= seen:
                await entry.changed.wait()
                continue
            for notice in entry.after(seen):
                seen = notice.version
                yield notice
                if self._closing.is_set():
                    return

    async def list_open(self) -> tuple[str, ...]:
        """See `Store`."""
        self._check_open()
        return tuple(key for key, entry in self._rooms.items() if not entry.settled)

    async def settled(self, room_id: str) -> None:
        """See `Store`."""
        self._check_open()
        if room_id in self._rooms:
            self._rooms[room_id].settled = True

    async def publish(self, node: Node, ttl_s: float) -> None:
        """See `Store`."""
        self._check_open()
        self._nodes[node.kind, node.id] = (node, self._clock() + ttl_s)

    async def nodes(self) -> tuple[Node, ...]:
        """See `Store`."""
        self._check_open()
        now = self._clock()
        self._nodes = {key: each for key, each in self._nodes.items() if each[1] > now}
        return tuple(node for node, _ in self._nodes.values())

    async def close(self) -> None:
        """See `Store`."""
        self._closing.set()
        for entry in self._rooms.values():
            entry.ring()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise StoreUnavailable("closed")

    def _entry(self, room_id: str) -> _Entry:
        self._check_open()
        entry = self._rooms.get(room_id)
        if entry is None:
            raise RoomUnknown(room_id)
        return entry

    def _forget_old(self) -> None:
        now = self._clock()
        for key, entry in list(self._rooms.items()):
            ended_at = entry.room.ended_at
            if ended_at is not None and ended_at + ENDED_KEPT_S < now:
                del self._rooms[key]
                entry.ring()
