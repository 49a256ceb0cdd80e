"""The watches over all rooms of this process: when they look, and what they write down."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable
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
        self._writing: set[str] = set()
        self._noted_at = clock()

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                self.look()
            except Exception:
                log.exception("the watch over quality failed")

    def look(self) -> None:
        """Look at every room, and from time to time have it written down what was measured."""
        now = self._clock()
        live = {each.room.id: each for each in self._rooms.live()}
        for gone in self._watches.keys() - live.keys():
            del self._watches[gone]
        # A clock that was set back must not stop it.
        notes = not 0 <= now - self._noted_at < NOTE_EVERY_S
        if notes:
            self._noted_at = now
        for room in live.values():
            watch = self._watch(room)
            watch.look(now)
            if notes:
                self._observe(watch.scores())
            self._write(room.room.id, watch.measured() if notes else ())

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
        return watch

    def _observe(self, scores: Iterable[float]) -> None:
        for score in scores:
            self._metrics.quality_score.observe(score)

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
