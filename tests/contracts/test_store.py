"""What every store promises, over both of them; and what only a shared one can be asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from signaling.errors import RoomError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Facility
from signaling.rooms.room import Room, TimelineEntry
from signaling.store.memory import MemoryStore
from signaling.store.port import (
    Node,
    Notice,
    RoomExists,
    RoomUnknown,
    Store,
    StoreUnavailable,
    Transition,
)
from signaling.store.redis import RedisStore
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


@pytest_asyncio.fixture
async def redis_server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        memory = MemoryStore()
        yield memory
        await memory.close()
        return
    server = RedisServer(tmp_path)
    await server.start()
    redis = RedisStore(server.url, "test")
    yield redis
    await redis.close()
    await server.stop()


def room(room_id: str = "room") -> Room:
    return Room(
        id=room_id,
        mode="TELECONSULT_MDT",
        title="Hội chẩn tim mạch",
        facility=Facility(code="01001", name="Bệnh viện tỉnh"),
        recording_policy="everyone",
        created_at=1_000.0,
        expires_at=9e9,
    )


def titled(title: str, what: str = "titled") -> Transition:
    def transition(before: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
        after = msgspec.structs.replace(before, title=title)
        return after, (TimelineEntry(at=1.0, what=what),)

    return transition


def counted(before: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
    return msgspec.structs.replace(before, title=str(int(before.title or 0) + 1)), ()


class Follower:
    """Collects a room's notices in a task of its own."""

    def __init__(self, store: Store, room_id: str, after_version: int) -> None:
        self.notices: list[Notice] = []
        self.task = asyncio.create_task(self._run(store, room_id, after_version))

    async def _run(self, store: Store, room_id: str, after_version: int) -> None:
        async with contextlib.aclosing(store.follow(room_id, after_version)) as notices:
            async for notice in notices:
                self.notices.append(notice)

    def versions(self) -> list[int]:
        return [notice.version for notice in self.notices]

    async def has(self, versions: list[int]) -> None:
        await eventually(
            lambda: None if self.versions() == versions else f"{self.versions()} != {versions}"
        )

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_created_room_is_read_back_whole(store: Store) -> None:
    await store.create(room())
    assert await store.read("room") == room()


async def test_a_room_is_created_once(store: Store) -> None:
    await store.create(room())
    with pytest.raises(RoomExists):
        await store.create(room())


async def test_an_unknown_room_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(RoomUnknown):
        await store.read("room")
    with pytest.raises(RoomUnknown):
        await store.change("room", titled("x"))
    with pytest.raises(RoomUnknown):
        await anext(store.follow("room", 0))


async def test_a_change_counts_the_version_and_tells_before_and_after(store: Store) -> None:
    await store.create(room())
    change = await store.change("room", titled("một"))
    assert (change.before.version, change.after.version) == (0, 1)
    assert change.after.title == "một"
    assert change.events == (TimelineEntry(at=1.0, what="titled"),)
    assert await store.read("room") == change.after


async def test_a_change_to_the_same_is_none(store: Store) -> None:
    await store.create(room())
    change = await store.change("room", lambda before: (before, ()))
    assert change.after is change.before
    assert change.events == ()
    assert (await store.read("room")).version == 0


async def test_a_change_that_raises_changes_nothing(store: Store) -> None:
    def refused(_: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
        raise RoomError(ErrorCode.NOT_ALLOWED)

    await store.create(room())
    with pytest.raises(RoomError):
        await store.change("room", refused)
    assert await store.read("room") == room()


async def test_fifty_concurrent_changes_are_all_counted(store: Store) -> None:
    await store.create(msgspec.structs.replace(room(), title="0"))
    await asyncio.gather(*(store.change("room", counted) for _ in range(50)))
    after = await store.read("room")
    assert (after.title, after.version) == ("50", 50)


async def test_a_follower_gets_what_was_and_what_comes(store: Store) -> None:
    await store.create(room())
    await store.change("room", titled("1", "one"))
    await store.change("room", titled("2", "two"))
    follower = Follower(store, "room", 1)
    await follower.has([2])
    await store.change("room", titled("3", "three"))
    await follower.has([2, 3])
    assert [notice.events[0].what for notice in follower.notices] == ["two", "three"]
    assert not any(notice.skipped for notice in follower.notices)
    await follower.stop()


async def test_a_follower_of_one_room_hears_nothing_of_another(store: Store) -> None:
    await store.create(room("a"))
    await store.create(room("b"))
    follower = Follower(store, "a", 0)
    await store.change("b", titled("not yours"))
    await store.change("a", titled("yours"))
    await follower.has([1])
    await follower.stop()


async def test_a_follower_of_a_room_without_its_past_is_told_to_read_it(store: Store) -> None:
    await store.create(msgspec.structs.replace(room(), version=7))
    follower = Follower(store, "room", 3)
    await follower.has([7])
    await store.change("room", titled("8"))
    await follower.has([7, 8])
    assert [notice.skipped for notice in follower.notices] == [True, False]
    await follower.stop()


async def test_followers_end_when_the_store_closes(store: Store) -> None:
    await store.create(room())
    follower = Follower(store, "room", 0)
    await store.change("room", titled("1"))
    await follower.has([1])
    await store.close()
    await asyncio.wait_for(follower.task, 5)


async def test_an_ended_room_is_open_until_it_is_settled(store: Store) -> None:
    await store.create(room("a"))
    await store.create(room("b"))
    await store.change("a", lambda each: (msgspec.structs.replace(each, state="ended"), ()))
    assert sorted(await store.list_open()) == ["a", "b"]
    await store.settled("a")
    await store.settled("a")
    assert await store.list_open() == ("b",)
    assert (await store.read("a")).state == "ended"


async def test_a_change_may_lift_the_version(store: Store) -> None:
    await store.create(room())
    follower = Follower(store, "room", 0)
    change = await store.change(
        "room", lambda each: (msgspec.structs.replace(each, version=40), ())
    )
    assert change.after.version == 41
    assert (await store.read("room")).version == 41
    await follower.has([41])
    assert follower.notices[0].skipped
    await follower.stop()


async def test_an_ended_room_can_still_be_read(store: Store) -> None:
    await store.create(room())
    await store.change("room", lambda each: (msgspec.structs.replace(each, state="ended"), ()))
    assert (await store.read("room")).state == "ended"


def node(load: float = 0.5) -> Node:
    return Node(id="http://a", kind="sfu", state="serving", load=load, version="1")


async def test_the_newest_word_of_a_node_counts(store: Store) -> None:
    await store.publish(node(0.1), 60)
    await store.publish(node(0.9), 60)
    assert await store.nodes() == (node(0.9),)


async def test_a_silent_node_is_forgotten(store: Store) -> None:
    await store.publish(node(), 0.05)

    async def still_there() -> str | None:
        return "still there" if await store.nodes() else None

    await eventually(still_there)


# ------------------------------------------------------------------ memory only


async def test_memory_tells_a_follower_that_is_too_far_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signaling.store.memory.MAX_NOTICES", 2)
    store = MemoryStore()
    await store.create(room())
    for title in "abcd":
        await store.change("room", titled(title))
    follower = Follower(store, "room", 0)
    await follower.has([3, 4])
    assert [notice.skipped for notice in follower.notices] == [True, False]
    await follower.stop()
    await store.close()


async def test_memory_forgets_a_room_a_day_after_its_end() -> None:
    now = 1_000.0
    store = MemoryStore(clock=lambda: now)
    await store.create(room("old"))

    def ended(each: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
        return msgspec.structs.replace(each, state="ended", ended_at=now), ()

    await store.change("old", ended)
    follower = Follower(store, "old", 1)
    now += 86_401
    await store.create(room("new"))
    with pytest.raises(RoomUnknown):
        await store.read("old")
    with pytest.raises(RoomUnknown):
        await follower.task
    await store.close()


# ------------------------------------------------------------------- redis only


def files_of(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_changes_of_two_nodes_are_all_counted(redis_server: RedisServer) -> None:
    one, two = RedisStore(redis_server.url), RedisStore(redis_server.url)
    await one.create(msgspec.structs.replace(room(), title="0"))
    await asyncio.gather(*(each.change("room", counted) for _ in range(25) for each in (one, two)))
    assert (await two.read("room")).title == "50"
    await one.close()
    await two.close()


async def test_a_follower_on_another_node_hears_of_a_change(redis_server: RedisServer) -> None:
    one, two = RedisStore(redis_server.url), RedisStore(redis_server.url)
    await one.create(room())
    follower = Follower(two, "room", 0)
    await one.change("room", titled("1"))
    await follower.has([1])
    await follower.stop()
    await one.close()
    await two.close()


async def test_a_follower_misses_nothing_over_a_restart(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    await store.create(room())
    follower = Follower(store, "room", 0)
    await store.change("room", titled("1"))
    await follower.has([1])
    await redis_server.stop()
    with pytest.raises(StoreUnavailable):
        await store.change("room", titled("lost"))
    await redis_server.start()
    await store.change("room", titled("2"))
    await store.change("room", titled("3"))
    await follower.has([1, 2, 3])
    assert not any(notice.skipped for notice in follower.notices)
    await follower.stop()
    await store.close()


async def test_every_call_says_unavailable_when_redis_is_not_there(tmp_path: Path) -> None:
    store = RedisStore(RedisServer(tmp_path).url)  # never started
    calls = (
        store.create(room()),
        store.read("room"),
        store.change("room", titled("x")),
        store.list_open(),
        store.settled("room"),
        store.publish(node(), 1),
        store.nodes(),
    )
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call
    await store.close()


async def test_a_follower_is_told_when_redis_lost_its_last_writes(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    store = RedisStore(redis_server.url)
    await store.create(room())
    await store.change("room", titled("1"))
    before_the_loss = files_of(tmp_path)
    await store.change("room", titled("2"))
    follower = Follower(store, "room", 0)
    await follower.has([1, 2])
    await redis_server.stop()
    for path, content in before_the_loss.items():
        path.write_bytes(content)
    await redis_server.start()
    await follower.has([1, 2, 1])
    assert follower.notices[-1].skipped
    await follower.stop()
    await store.close()


async def test_a_follower_ends_when_its_room_is_gone(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    store = RedisStore(redis_server.url)
    await store.create(room())
    follower = Follower(store, "room", 0)
    await store.change("room", titled("1"))
    await follower.has([1])
    await redis_server.stop()
    for path in files_of(tmp_path):
        if path.suffix == ".aof":
            path.write_bytes(b"")
    await redis_server.start()
    with pytest.raises(RoomUnknown):
        await follower.task
    await store.close()


async def test_a_trimmed_stream_is_noticed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.store.redis.MAX_NOTICES", 1)
    store = RedisStore(redis_server.url)
    await store.create(room())
    # Redis trims whole blocks of entries (stream-node-max-entries, 100).
    for number in range(250):
        await store.change("room", titled(str(number)))
    follower = Follower(store, "room", 0)
    await eventually(
        lambda: None if 250 in follower.versions() else f"at {follower.versions()[-1:]}"
    )
    assert follower.versions()[0] > 1
    assert follower.notices[0].skipped
    assert not any(notice.skipped for notice in follower.notices[1:])
    await follower.stop()
    await store.close()


async def test_a_write_whose_answer_was_lost_counts_once(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    await store.create(room())
    await store.change("room", titled("1"))
    # As redis-py does after a lost connection: the same script with the same arguments again.
    arguments: list[str | int | bytes] = [
        1,
        2,
        msgspec.json.encode(room()),
        "writer",
        b"[]",
        60_000,
        100,
    ]
    keys = store._keys("room")
    assert await store._change(keys=keys, args=arguments) == b"written"
    assert await store._change(keys=keys, args=arguments) == b"written"
    notices = store.follow("room", 1)
    assert (await anext(notices)).version == 2
    assert await store._change(keys=keys, args=[1, 2, b"{}", "other", *arguments[4:]]) == b"behind"
    await notices.aclose()
    await store.close()


async def test_both_keys_of_a_room_share_a_slot_and_expire(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url, "p")
    await store.create(room())
    await store.change("room", titled("1"))
    for key in store._keys("room"):
        assert key.startswith("p:{room}:")
        assert await store._redis.pttl(key) > 0
    await store.close()
