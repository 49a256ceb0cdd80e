"""The store, and the rooms that this process follows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from signaling.errors import RoomExists, RoomUnknown, StoreUnavailable
from signaling.live.errands import Errands
from signaling.live.live_room import LiveRoom
from signaling.metrics import Metrics
from signaling.rooms.commands import Command
from signaling.rooms.lifecycle import apply
from signaling.rooms.room import MediaHost, Room, TimelineEntry
from signaling.store.port import Change, Store

log = logging.getLogger(__name__)

_RETRY_S = 1.0


class Rooms:
    """Reads, changes and follows rooms. A room is live from `enter` until `release`.

    `on_hosted(live, before)` is called whenever a live room turns out to have another media host
    than it had (None: it had none).
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
            return await self._store.read(room_id)

    async def list_open(self) -> tuple[str, ...]:
        """Ids of the rooms that have not ended. Raises `StoreUnavailable`."""
        with self._metrics.store_operation("list_open"):
            return await self._store.list_open()

    async def change(
        self,
        room_id: str,
        *commands: Command,
        only_if: Callable[[Room], bool] = lambda room: True,
    ) -> Change:
        """Apply `commands` as one change (none when `only_if` says no), and tell people here.

        The effects are the caller's to carry out. Raises `RoomUnknown`, `StoreUnavailable` and
        what the commands raise.
        """

        def transition(room: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
            if not only_if(room):
                return room, ()
            now = time.time()
            events: tuple[TimelineEntry, ...] = ()
            for command in commands:
                room, more = apply(room, command, now)
                events += more
            return room, events

        with self._metrics.store_operation("change"):
            change = await self._store.change(room_id, transition)
        live = self._live.get(room_id)
        if live is not None:
            self._take(live, change.after)
        return change

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
                    room = await self.read(live.room.id)
                    self._take(live, room, even_older=notice.skipped)
        finally:
            await notices.aclose()

    async def _write_back(self, room: Room) -> None:
        """The store lost a room that people are in: they go on with what we know of it."""
        log.error("the store lost room %s; writing it back", room.id)
        try:
            await self.create(room)
        except (RoomExists, StoreUnavailable) as error:
            log.warning("room %s not written back: %s", room.id, type(error).__name__)
