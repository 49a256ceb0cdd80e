"""The watches over all rooms of this process: when they look, and what they write down."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

from sfu.control.messages import Flows
from signaling.errors import SignalingError
from signaling.live.errands import Errands
from signaling.live.live_room import LiveRoom
from signaling.live.room_watch import RoomWatch
from signaling.live.rooms import Rooms
from signaling.metrics import Metrics
from signaling.protocol import messages as wire
from signaling.rooms.commands import Command

log = logging.getLogger(__name__)

_LOOK_S = 1.0
#: What a process that dies has measured since it last wrote is lost: at most this much.
NOTE_EVERY_S = 30.0


class QualityWatch:
    """One for each process. `change(room, commands)` writes to the store and carries it out;
    `clock` gives Unix seconds.

    A change that fails is made again by a later look, which compares with the room.
    """

    def __init__(
        self,
        node: str,
        rooms: Rooms,
        metrics: Metrics,
        errands: Errands,
        change: Callable[[str, tuple[Command, ...]], Coroutine[Any, Any, object]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node = node
        self._rooms = rooms
        self._metrics = metrics
        self._errands = errands
        self._change = change
        self._clock = clock
        self._watches: dict[str, RoomWatch] = {}
        #: Of each watch, the period that it is in: what was measured is noted when it is over.
        self._periods: dict[str, int] = {}
        self._writing: set[str] = set()

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """Look at every room, and from time to time have it written down what was measured."""
        now = self._clock()
        live = {each.room.id: each for each in self._rooms.live()}
        for gone in self._watches.keys() - live.keys():
            del self._watches[gone], self._periods[gone]
        for room in live.values():
            try:
                self._look_at(room, now)
            except Exception:  # a fault of ours with one room must not cost the others their watch
                log.exception("the watch over a room failed")

    def _look_at(self, room: LiveRoom, now: float) -> None:
        room_id = room.room.id
        watch = self._watch(room)
        watch.look(now)
        period = _period(room_id, now)
        notes = period != self._periods[room_id]
        self._periods[room_id] = period
        if notes:
            for score in watch.take_scores():
                self._metrics.quality_score.observe(score)
        self._write(room_id, watch.measured() if notes else ())

    def hear(self, live: LiveRoom, flows: Flows) -> None:
        """A second of a room at its SFU."""
        self._watch(live).hear(flows, self._clock())
        self._write(live.room.id)

    def report(self, live: LiveRoom, participant: str, stats: wire.Stats) -> None:
        """What a client says of itself."""
        self._watch(live).report(participant, stats, self._clock())

    def begin_anew(self, room_id: str, participant: str) -> None:
        """Somebody's media is being set up."""
        watch = self._watches.get(room_id)
        if watch is not None:
            watch.begin_anew(participant, self._clock())

    def lost_media(self, room_id: str, participant: str) -> None:
        """The room's SFU, or what it knew of somebody's media, is gone."""
        watch = self._watches.get(room_id)
        if watch is not None:
            watch.lost_media(participant, self._clock())

    def last_words(self, room_id: str) -> tuple[Command, ...]:
        """What was measured and is not written down, for one who is about to end it."""
        watch = self._watches.get(room_id)
        return watch.measured() if watch is not None else ()

    def _watch(self, live: LiveRoom) -> RoomWatch:
        watch = self._watches.get(live.room.id)
        if watch is None or watch.live is not live:
            watch = RoomWatch(
                live,
                self._node,
                secrets.token_hex(4),
                lambda code: self._metrics.faults.labels(code).inc(),
            )
            self._watches[live.room.id] = watch
            self._periods[live.room.id] = _period(live.room.id, self._clock())
        return watch

    def _write(self, room_id: str, measured: tuple[Command, ...] = ()) -> None:
        """Have others learn what changed; one change of a room at a time."""
        watch = self._watches[room_id]
        if room_id in self._writing:
            return
        commands = (*watch.changes(), *measured)
        if not commands:
            return

        async def write() -> None:
            try:
                await self._change(room_id, commands)
            except SignalingError as error:
                log.info("quality of room %s is not noted: %s", room_id, error.code.value)
            finally:
                self._writing.discard(room_id)

        self._writing.add(room_id)
        if self._errands.run(write(), "note quality") is None:
            self._writing.discard(room_id)


def _period(room_id: str, now: float) -> int:
    """The period of `NOTE_EVERY_S` that a room is in: not all rooms are written in one second."""
    begins_s = zlib.crc32(room_id.encode()) % 1000 / 1000 * NOTE_EVERY_S
    return int((now - begins_s) // NOTE_EVERY_S)
