"""What time does to consultations: grace periods end, nodes die, appointments expire.

Once a second this process says that it is there; whatever it waits for, that goes on. Once a second
it learns who else is there, and takes care of the people whose WebSockets were its own. The first
of the living processes also sweeps over all open rooms, for the people of processes that died and
for the ends that nobody carried out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal

from signaling.errors import RoomUnknown, SignalingError, StoreUnavailable
from signaling.live.consultations import Consultations
from signaling.rooms.commands import Disconnect, Expire, ForgetNode, Lose
from signaling.rooms.lifecycle import may_expire
from signaling.rooms.room import Participant, Room
from signaling.store.port import Node, Store

log = logging.getLogger(__name__)

_TICK_S = 1.0
_SWEEP_S = 2.0
#: A session that names this process, without a WebSocket here at two looks, has none.
_LOOK_FOR_GHOSTS_S = 30.0
#: Whoever ends a consultation carries its end out; after this the sweep does.
_SETTLED_WITHIN_S = 5.0
#: A node is forgotten by the store after this, and given up after as long again: presence is also
#: lost when the store starts anew, and then comes back with the next tick.
_NODE_TTL_S = 3.0
_DEAD_AFTER_S = 3.0


class Upkeep:
    """Runs until cancelled. `own` are the SFU and recorder children of this process.

    `fixed_sfus` and `fixed_recorder` come from the settings; when empty, children are used: our
    own and, through the store, those of the other processes.
    """

    def __init__(
        self,
        consultations: Consultations,
        store: Store,
        *,
        grace_s: float,
        version: str,
        own_sfus: tuple[str, ...] = (),
        own_recorder: str = "",
        fixed_sfus: tuple[str, ...] = (),
        fixed_recorder: str = "",
    ) -> None:
        self._consultations = consultations
        self._store = store
        self._grace_s = grace_s
        self._version = version
        self._own_sfus = own_sfus
        self._own_recorder = own_recorder
        self._fixed_sfus = fixed_sfus
        self._fixed_recorder = fixed_recorder
        self._recorder = ""
        self._missing_since: dict[str, float] = {}
        self._swept_at = float("-inf")
        self._looked_at = time.monotonic()
        self._ghosts: frozenset[str] = frozenset()
        self._state_known = True

    async def run(self) -> None:
        """Say that we are there, and tick, once a second, whatever fails."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._every_second(self.beat), name="heartbeat")
            both.create_task(self._every_second(self.tick), name="tick")

    async def _every_second(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except StoreUnavailable:
                if self._state_known:
                    log.warning("the store is away; running calls go on")
                self._state_known = False
            except Exception:
                log.exception("upkeep failed")
            else:
                self._state_known = True
            await asyncio.sleep(_TICK_S)

    async def beat(self) -> None:
        """Say who we are, and what we offer. Raises `StoreUnavailable`."""
        await self._store.publish(self._node("signaling", self._consultations.node), _NODE_TTL_S)
        for url in self._own_sfus:
            if self._consultations.media.connected(url):
                await self._store.publish(self._node("sfu", url), _NODE_TTL_S)
        if self._own_recorder and self._recorder == self._own_recorder:
            await self._store.publish(self._node("recorder", self._own_recorder), _NODE_TTL_S)

    async def tick(self) -> None:
        """One second's work. Raises `StoreUnavailable`."""
        nodes = await self._meet()
        await self._consultations.catch_up()
        alive = sorted(node.id for node in nodes if node.kind == "signaling")
        for live in self._consultations.rooms.live():
            await self._guarded(self._lose(live.room))
            if not len(live) and not any(self._is_ours(person) for person in _away(live.room)):
                self._consultations.rooms.release(live.room.id)
                self._consultations.media.forget(live.room.id)
        if alive[:1] == [self._consultations.node]:
            await self._sweep(frozenset(alive))
        if time.monotonic() - self._looked_at >= _LOOK_FOR_GHOSTS_S:
            self._looked_at = time.monotonic()
            await self.look_for_ghosts()

    async def _meet(self) -> tuple[Node, ...]:
        """Learn who is there, and speak to their SFUs and recorder."""
        nodes = await self._store.nodes()
        recorders = sorted(node.id for node in nodes if node.kind == "recorder")
        # One recorder for all processes: an archive has all of a consultation's recordings. Only
        # who uses their own offers it, so a newcomer never moves the others to another one.
        self._recorder = self._fixed_recorder or next(iter(recorders), self._own_recorder)
        published = tuple(node.id for node in nodes if node.kind == "sfu")
        await self._consultations.media.use(self._fixed_sfus or (*self._own_sfus, *published))
        await self._consultations.recordings.use(self._recorder)
        return nodes

    def _node(self, kind: Literal["signaling", "sfu", "recorder"], node_id: str) -> Node:
        load = self._consultations.media.load(node_id) if kind == "sfu" else 0.0
        return Node(id=node_id, kind=kind, state="serving", load=load, version=self._version)

    def _is_ours(self, person: Participant) -> bool:
        return person.session is not None and person.session.node == self._consultations.node

    async def _sweep(self, alive: frozenset[str]) -> None:
        """Look after every open room: of processes that died, and of appointments that passed."""
        if time.monotonic() - self._swept_at < _SWEEP_S:
            return
        self._swept_at = time.monotonic()
        seen: set[str] = set()
        for room_id in await self._consultations.rooms.list_open():
            try:
                room = await self._consultations.rooms.read(room_id)
            except RoomUnknown:
                continue
            strangers = {
                person.session.node for person in room.participants if person.session is not None
            } - alive
            seen |= strangers
            dead = frozenset(filter(self._is_dead, strangers))
            await self._guarded(self._look_after(room, dead))
        for node in set(self._missing_since) - seen:
            del self._missing_since[node]

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """A fault of ours with one room must not cost the others their upkeep."""
        try:
            await work
        except StoreUnavailable:
            raise
        except SignalingError as error:
            log.warning("upkeep of a room failed: %s", error)
        except Exception:
            log.exception("upkeep of a room failed")

    async def look_for_ghosts(self) -> None:
        """Give up sessions that name this process and have no WebSocket here, nor had when last
        looked for: one that is about to attach is no ghost. Raises `StoreUnavailable`."""
        seen: set[str] = set()
        for room_id in await self._consultations.rooms.list_open():
            with contextlib.suppress(RoomUnknown):
                room = await self._consultations.rooms.read(room_id)
                for ghost in self._ghosts_of(room):
                    if ghost.connection in self._ghosts:
                        await self._guarded(self._give_up(room_id, ghost))
                    seen.add(ghost.connection)
        self._ghosts = frozenset(seen)

    def _ghosts_of(self, room: Room) -> Iterator[Disconnect]:
        live = self._consultations.rooms.get(room.id)
        for person in room.participants:
            session = person.session
            if session is None or session.away_since is not None or not self._is_ours(person):
                continue
            if live is None or not live.hears(session.connection):
                yield Disconnect(participant=person.id, connection=session.connection)

    async def _give_up(self, room_id: str, ghost: Disconnect) -> None:
        await self._consultations.change(room_id, ghost)

    async def _look_after(self, room: Room, dead: frozenset[str]) -> None:
        if room.state == "ended":
            if room.ended_at is None or time.time() - room.ended_at >= _SETTLED_WITHIN_S:
                await self._consultations.settle(room)
            return
        for node in dead:
            here = [p.session for p in room.participants if p.session and p.session.node == node]
            if any(session.away_since is None for session in here):
                await self._consultations.change(room.id, ForgetNode(node=node))
                await self._consultations.reconcile(room.id)
        await self._lose(room)
        if may_expire(room, time.time()):
            await self._consultations.change(room.id, Expire())

    def _is_dead(self, node: str) -> bool:
        missing_since = self._missing_since.setdefault(node, time.monotonic())
        return time.monotonic() - missing_since >= _DEAD_AFTER_S

    async def _lose(self, room: Room) -> None:
        now = time.time()
        for person in _away(room):
            session = person.session
            if session is None or session.away_since is None:
                continue
            if now - session.away_since >= self._grace_s:
                lose = Lose(participant=person.id, grace_s=self._grace_s)
                await self._consultations.change(room.id, lose)


def _away(room: Room) -> Iterator[Participant]:
    """People whose WebSocket is gone and whose grace period runs."""
    for person in room.participants:
        session = person.session
        if session is not None and session.away_since is not None and not session.lost:
            yield person
