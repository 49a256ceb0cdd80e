"""The store, and the rooms that this process follows.

While the store is away, some commands count all the same (`keep`): they are applied to whatever
room is read here until the store has been told of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from signaling.errors import RequestError, RoomExists, RoomUnknown, StoreUnavailable
from signaling.live.errands import Errands
from signaling.live.live_room import LiveRoom
from signaling.live.set_back import mended
from signaling.metrics import Metrics
from signaling.rooms.commands import Command, NoteFaults, NoteQuality
from signaling.rooms.lifecycle import apply
from signaling.rooms.room import MediaHost, Room, TimelineEntry
from signaling.store.port import Change, Store, Transition

log = logging.getLogger(__name__)

_RETRY_S = 1.0
#: When the store lost writes, versions go on this far above the highest that this process has
#: seen: another process may have seen a few more.
_VERSIONS_APART = 1_000
#: What neither SFU nor recorder does anything about; the next one says it again.
_OF_NO_EFFECT = NoteFaults | NoteQuality


class _Unsaid(NamedTuple):
    """A command that counts from `at` (Unix seconds), and that the store was not told of."""

    command: Command
    at: float


class Rooms:
    """Reads, changes and follows rooms. A room is live from `enter` until `release`.

    `on_hosted(live, before)` is called whenever a live room turns out to have another media host
    than it had (None: it had none). `doubtful` are the rooms of which SFU or recorder may not have
    been told the newest, because the store's answer was lost or the store went back, each with the
    recording in it that cannot go on, or "": `reconcile` them.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        on_hosted: Callable[[LiveRoom, MediaHost | None], None],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._on_hosted = on_hosted
        self._live: dict[str, LiveRoom] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._errands = Errands()
        self._unsaid: dict[str, tuple[_Unsaid, ...]] = {}
        self.doubtful: dict[str, str] = {}

    async def close(self) -> None:
        """Follow nothing any more."""
        for room_id in tuple(self._live):
            self.release(room_id)
        await self._errands.close()

    def live(self) -> Iterator[LiveRoom]:
        """The live rooms."""
        yield from tuple(self._live.values())

    def get(self, room_id: str) -> LiveRoom | None:
        """A live room."""
        return self._live.get(room_id)

    async def create(self, room: Room) -> None:
        """Keep a new room. Raises `StoreUnavailable`."""
        with self._metrics.store_operation("create"):
            await self._store.create(room)

    async def read(self, room_id: str) -> Room:
        """The newest room. Raises `RoomUnknown`, `StoreUnavailable`."""
        with self._metrics.store_operation("read"):
            room = await self._store.read(room_id)
        return _said(room, self._unsaid.get(room_id, ()))[0]

    async def list_open(self) -> tuple[str, ...]:
        """Ids of the rooms that have not ended or are not settled. Raises `StoreUnavailable`."""
        with self._metrics.store_operation("list_open"):
            return await self._store.list_open()

    async def settled(self, room_id: str) -> None:
        """All that follows from a room's end is done. Raises `StoreUnavailable`."""
        with self._metrics.store_operation("settled"):
            await self._store.settled(room_id)

    async def change(
        self,
        room_id: str,
        *commands: Command,
        only_if: Callable[[Room], bool] = lambda room: True,
    ) -> Change:
        """Apply `commands` as one change (none when `only_if` says no), and tell people here; the
        first of them are those that the store was not told of yet.

        The effects are the caller's to carry out. Raises `RoomUnknown`, `StoreUnavailable` and
        what the commands raise.
        """

        unsaid = self._unsaid.get(room_id, ())

        def transition(room: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
            room, events = _said(room, unsaid)
            if not only_if(room):
                return room, events
            now = time.time()
            for command in commands:
                room, more = apply(room, command, now)
                events += more
            return room, events

        matters = bool(unsaid) or not all(isinstance(each, _OF_NO_EFFECT) for each in commands)
        change = await self._write(room_id, transition, matters=matters)
        self._forget_unsaid(room_id, unsaid)
        live = self._live.get(room_id)
        if live is not None:
            self._take(live, change.after)
        return change

    def keep(self, room_id: str, *commands: Command) -> Change | None:
        """The store is away: `commands` count here at once, and the store is told in time. Gives
        what they change of a live room. Raises what the commands raise."""
        now = time.time()
        live = self._live.get(room_id)
        change = None
        if live is not None:
            room = live.room
            for command in commands:
                room, _ = apply(room, command, now)
            change = Change(live.room, room, ())
            self._take(live, room, even_older=True)
        unsaid = (_Unsaid(command, now) for command in commands)
        self._unsaid[room_id] = (*self._unsaid.get(room_id, ()), *unsaid)
        return change

    def unsaid(self) -> tuple[str, ...]:
        """The rooms of which the store has still to be told something: `change` them."""
        return tuple(self._unsaid)

    def _forget_unsaid(self, room_id: str, said: tuple[_Unsaid, ...]) -> None:
        left = tuple(each for each in self._unsaid.get(room_id, ()) if each not in said)
        if left:
            self._unsaid[room_id] = left
        else:
            self._unsaid.pop(room_id, None)

    async def _write(self, room_id: str, transition: Transition, *, matters: bool = True) -> Change:
        try:
            with self._metrics.store_operation("change"):
                return await self._store.change(room_id, transition)
        except (StoreUnavailable, asyncio.CancelledError):
            if matters:
                self.doubtful.setdefault(room_id, "")  # it may have been done
            raise
        except RoomUnknown:
            self._unsaid.pop(room_id, None)
            raise

    def enter(self, room: Room) -> LiveRoom:
        """Have the room live from now on; again is harmless."""
        live = self._live.get(room.id)
        if live is None:
            live = LiveRoom(room)
            self._live[room.id] = live
            task = self._errands.run(self._follow(live), f"follow {room.id}")
            if task is not None:
                self._followers[room.id] = task
        else:
            self._take(live, room)
        return live

    def release(self, room_id: str) -> None:
        """Nobody of this process is in the room any more."""
        live = self._live.pop(room_id, None)
        follower = self._followers.pop(room_id, None)
        if live is not None:
            live.close()
        if follower is not None:
            follower.cancel()

    def _take(self, live: LiveRoom, room: Room, *, even_older: bool = False) -> None:
        before = live.room.media
        if not live.take(room, even_older=even_older):
            return
        if room.media is not None and room.media != before:
            live.forget_media()
            self._on_hosted(live, before)

    async def _follow(self, live: LiveRoom) -> None:
        """Take in what other processes change, until cancelled."""
        room_id = live.room.id
        while True:
            try:
                await self._follow_once(live)
            except RoomUnknown:
                if live.room.state == "ended":
                    return
                await self._write_back(live.room)
            except StoreUnavailable:
                log.warning("room %s cannot be followed now", room_id)
            await asyncio.sleep(_RETRY_S)

    async def _follow_once(self, live: LiveRoom) -> None:
        notices = self._store.follow(live.room.id, live.room.version)
        try:
            async for notice in notices:
                if notice.skipped or notice.version > live.room.version:
                    known = live.room
                    room = await self.read(known.id)
                    if room.version < known.version:
                        room = await self._lift(known)
                    self._take(live, room, even_older=notice.skipped)
        finally:
            await notices.aclose()

    async def _lift(self, known: Room) -> Room:
        """The store lost writes: go on above all versions seen, for SFUs ignore lower ones."""
        log.error("the store lost changes of room %s", known.id)

        def transition(room: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
            if room.version > known.version:
                return room, ()
            room = mended(room, known, time.time())
            return msgspec.structs.replace(room, version=known.version + _VERSIONS_APART), ()

        change = await self._write(known.id, transition)
        self.doubtful.setdefault(known.id, "")
        return change.after

    async def _write_back(self, room: Room) -> None:
        """The store lost a room that people are in: they go on with what we know of it."""
        log.error("the store lost room %s; writing it back", room.id)
        try:
            await self.create(room)
        except (RoomExists, StoreUnavailable) as error:
            log.warning("room %s not written back: %s", room.id, type(error).__name__)


def _said(room: Room, unsaid: tuple[_Unsaid, ...]) -> tuple[Room, tuple[TimelineEntry, ...]]:
    """`room` after what the store was not told of; what it does not take any more is left out."""
    events: tuple[TimelineEntry, ...] = ()
    for command, at in unsaid:
        try:
            room, more = apply(room, command, at)
        except RequestError as error:
            log.debug("not taken: %s %s", type(command).__name__, error.code.value)
        else:
            events += more
    return room, events
