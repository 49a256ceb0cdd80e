"""Rooms in Redis, shared by many nodes. See `signaling.store.port`.

For each room a hash (its state as JSON, its version) and a stream of its changes, whose entry ids
are `<version>-0`. Both keys carry the hash tag `{room id}`, so a Redis Cluster keeps them in one
slot and one script changes both. Everything expires: Redis holds nothing that must outlive the
consultation by more than a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from signaling.errors import InternalError, RoomExists, RoomUnknown, StoreUnavailable
from signaling.rooms.room import Room, TimelineEntry
from signaling.store.port import Change, Node, Notice, Transition, counted

TIMEOUT_S = 2.0
#: Changes kept in a room's stream: a follower further behind is told to read the room.
MAX_NOTICES = 10_000
#: How long a room is kept after its end (its archive may still have to be made), and how long
#: after the time it was made for when nobody ended it.
ENDED_KEPT_S = 86_400.0
IDLE_KEPT_S = 7 * 86_400.0
#: Connections of one node; each change holds one for a round trip.
_MAX_CONNECTIONS = 32
#: Writers of one room in one process take turns; this many other nodes may come in between.
_MAX_ATTEMPTS = 30
_LONGEST_PAUSE_S = 0.1
#: How long a follower waits in one XREAD before it looks whether the room is still there.
_BLOCK_S = 5.0
_RECONNECT_S = 0.25
#: A name in an index without its key is dropped when this old: it is not just being written.
_STALE_INDEX_S = 3_600.0
_BATCH = 500

# A write that was done but whose answer was lost is sent again: `writer` makes it count once.
_CREATE = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('HGET', KEYS[1], 'writer') == ARGV[3] then return 'written' end
  return 'exists'
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'state', ARGV[2], 'writer', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'written'
"""
# XADD comes first: it is the one command here that can fail, and scripts are not rolled back.
_CHANGE = """
local current = redis.call('HGET', KEYS[1], 'version')
if not current then return 'gone' end
if current ~= ARGV[1] then
  if redis.call('HGET', KEYS[1], 'writer') == ARGV[4] then return 'written' end
  return 'behind'
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[7], ARGV[2] .. '-0', 'events', ARGV[5])
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'state', ARGV[3], 'writer', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return 'written'
"""

_room_decoder = msgspec.json.Decoder(Room)
_events_decoder = msgspec.json.Decoder(tuple[TimelineEntry, ...])
_node_decoder = msgspec.json.Decoder(Node)
T = TypeVar("T")
_ERRORS = (RedisError, OSError, asyncio.TimeoutError)


@contextlib.contextmanager
def _or_unavailable() -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        raise StoreUnavailable(type(error).__name__) from error


class RedisStore:
    """A `Store` at `url` (redis://, rediss:// or unix://), under keys that begin with `prefix`."""

    def __init__(self, url: str, prefix: str = "vtelehealth") -> None:
        self._url = url
        self._prefix = prefix
        self._redis = self._client(TIMEOUT_S, _MAX_CONNECTIONS)
        self._create = self._redis.register_script(_CREATE)
        self._change = self._redis.register_script(_CHANGE)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closed = asyncio.Event()

    async def create(self, room: Room) -> None:
        """See `Store`."""
        with _or_unavailable():
            # Into the index first: a name too many there is found out, a missing one is not.
            await self._redis.zadd(self._key("open"), {room.id: time.time()})
            outcome = await self._create(
                keys=self._keys(room.id),
                args=[room.version, _encode(room), secrets.token_hex(8), _ttl_ms(room)],
            )
        if outcome == b"exists":
            raise RoomExists(room.id)

    async def read(self, room_id: str) -> Room:
        """See `Store`."""
        with _or_unavailable():
            state = await _run(self._redis, "HGET", self._keys(room_id)[0], "state")
        if state is None:
            raise RoomUnknown(room_id)
        return _decode_room(state)

    async def change(self, room_id: str, transition: Transition) -> Change:
        """See `Store`. Also `StoreUnavailable` when other nodes write so fast that none is free."""
        async with self._turns.setdefault(room_id, asyncio.Lock()):
            for attempt in range(_MAX_ATTEMPTS):
                if attempt:
                    longest_s = min(_LONGEST_PAUSE_S, 0.001 * 2**attempt)
                    await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311 - spreads load
                before = await self.read(room_id)
                after, events = transition(before)
                if after is before:
                    return Change(before, before, ())
                after = counted(before, after)
                if await self._write(before, after, events):
                    return Change(before, after, events)
        raise StoreUnavailable("contended")

    async def _write(self, before: Room, after: Room, events: tuple[TimelineEntry, ...]) -> bool:
        """Write unless somebody else has; False then. Raises `RoomUnknown`, `StoreUnavailable`."""
        with _or_unavailable():
            outcome = await self._change(
                keys=self._keys(after.id),
                args=[
                    before.version,
                    after.version,
                    _encode(after),
                    secrets.token_hex(8),
                    _encode(events),
                    _ttl_ms(after),
                    MAX_NOTICES,
                ],
            )
        if outcome == b"gone":
            raise RoomUnknown(after.id)
        return bool(outcome == b"written")

    async def follow(self, room_id: str, after_version: int) -> AsyncGenerator[Notice, None]:
        """See `Store`. Holds a connection of its own while it runs."""
        client = self._client(_BLOCK_S + TIMEOUT_S, 1)
        seen = after_version
        looked = False
        try:
            while not self._closed.is_set():
                try:
                    if not looked:
                        version = await self._version(client, room_id)
                        notices = await self._catch_up(client, room_id, seen, version)
                        looked = True
                    else:
                        waiting = self._entries(client, room_id, seen, block=True)
                        notices = await self._until_closed(waiting) or []
                        looked = bool(notices)
                except _ERRORS:
                    looked = False
                    await self._until_closed(asyncio.sleep(_RECONNECT_S))
                    continue
                for notice in notices:
                    seen = notice.version
                    yield notice
        finally:
            await client.aclose()

    async def _version(self, client: Redis, room_id: str) -> int:
        version = await _run(client, "HGET", self._keys(room_id)[0], "version")
        if version is None:
            raise RoomUnknown(room_id)
        return int(version)

    async def _catch_up(self, client: Redis, room_id: str, seen: int, version: int) -> list[Notice]:
        """What a follower that has seen one version missed, now that the room is at another."""
        if version < seen:  # Redis came back without its last writes
            return [Notice(version, (), skipped=True)]
        if version == seen:
            return []
        notices = await self._entries(client, room_id, seen, block=False)
        return notices or [Notice(version, (), skipped=True)]

    async def _entries(
        self, client: Redis, room_id: str, seen: int, *, block: bool
    ) -> list[Notice]:
        waiting = ("BLOCK", int(_BLOCK_S * 1_000)) if block else ()
        stream = self._keys(room_id)[1]
        answer = await _run(
            client, "XREAD", "COUNT", _BATCH, *waiting, "STREAMS", stream, f"{seen}-0"
        )
        notices: list[Notice] = []
        for entry_id, fields in answer[0][1] if answer else ():
            version = int(entry_id.split(b"-")[0])
            events = _events_decoder.decode(fields[b"events"])
            notices.append(Notice(version, events, skipped=version != seen + 1))
            seen = version
        return notices

    async def list_open(self) -> tuple[str, ...]:
        """See `Store`."""
        found = await self._indexed("open", lambda name: ("HGET", self._keys(name)[0], "version"))
        return tuple(name for name, _ in found)

    async def settled(self, room_id: str) -> None:
        """See `Store`."""
        with _or_unavailable():
            await self._redis.zrem(self._key("open"), room_id)

    async def publish(self, node: Node, ttl_s: float) -> None:
        """See `Store`."""
        name = f"{node.kind}:{node.id}"
        with _or_unavailable():
            await self._redis.set(self._key("node", name), _encode(node), px=int(ttl_s * 1_000))
            await self._redis.zadd(self._key("nodes"), {name: time.time()})

    async def nodes(self) -> tuple[Node, ...]:
        """See `Store`."""
        found = await self._indexed("nodes", lambda name: ("GET", self._key("node", name)))
        return tuple(_node_decoder.decode(value) for _, value in found)

    async def _indexed(
        self, index: str, command: Callable[[str], tuple[str, ...]]
    ) -> list[tuple[str, bytes]]:
        """Every name of an index with what `command` finds of it; drops names long without."""
        found: list[tuple[str, bytes]] = []
        with _or_unavailable():
            rows = await _run(self._redis, "ZRANGE", self._key(index), 0, -1, "WITHSCORES")
            written = dict(zip(map(bytes.decode, rows[::2]), map(float, rows[1::2]), strict=True))
            names = list(written)
            stale: list[str] = []
            for start in range(0, len(names), _BATCH):
                batch = names[start : start + _BATCH]
                pipeline: Any = self._redis.pipeline(transaction=False)
                for name in batch:
                    pipeline.execute_command(*command(name))
                for name, value in zip(batch, await pipeline.execute(), strict=True):
                    if value is not None:
                        found.append((name, value))
                    elif written[name] < time.time() - _STALE_INDEX_S:
                        stale.append(name)
            if stale:
                await self._redis.zrem(self._key(index), *stale)
        return found

    async def close(self) -> None:
        """See `Store`."""
        self._closed.set()
        with contextlib.suppress(*_ERRORS):
            await self._redis.aclose()

    async def _until_closed(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do `work`, but give it up when the store is closed."""
        task = asyncio.ensure_future(work)
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            closed.cancel()
            await asyncio.gather(task, closed, return_exceptions=True)

    def _client(self, timeout_s: float, max_connections: int) -> Redis:
        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=max_connections,
            timeout=TIMEOUT_S,
            socket_timeout=timeout_s,
            socket_connect_timeout=TIMEOUT_S,
            protocol=2,
            # A pooled connection that Redis has closed meanwhile shows only when it is used.
            retry=Retry(ConstantBackoff(0.01), 1, supported_errors=(RedisConnectionError,)),
        )
        return Redis.from_pool(pool)

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    def _keys(self, room_id: str) -> Sequence[str]:
        tagged = "{" + room_id + "}"
        return self._key(tagged, "room"), self._key(tagged, "stream")


async def _run(client: Any, *command: str | int) -> Any:
    # redis-py types neither `execute_command` nor what comes of it.
    return await client.execute_command(*command)


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def _decode_room(state: bytes) -> Room:
    try:
        return _room_decoder.decode(state)
    except msgspec.MsgspecError as error:
        raise InternalError("a room in Redis cannot be read") from error


def _ttl_ms(room: Room) -> int:
    if room.state == "ended":
        return int(ENDED_KEPT_S * 1_000)
    return int((max(0.0, room.expires_at - time.time()) + IDLE_KEPT_S) * 1_000)
