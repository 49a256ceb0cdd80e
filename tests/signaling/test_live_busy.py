"""Which SFU takes a room when some of them, or all, have all that they can do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from sfu.control import messages as sfu
from signaling.archive_spool import ArchiveSpool
from signaling.errors import RoomError, StoreUnavailable
from signaling.live.consultations import Consultations
from signaling.media import MediaBusy
from signaling.metrics import Metrics
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from signaling.rooms import commands as c
from signaling.rooms.room import Room
from signaling.web.problems import problem_of
from tests.signaling.live_desk import NODE, ROOM, FailingStore, visit
from tests.signaling.live_desk import store as store
from tests.support.control_server import ScriptedSfu
from tests.support.eventually import eventually


class Site:
    """A process with two SFUs; the room's chair is in the call."""

    def __init__(self, consultations: Consultations, metrics: Metrics, sfus: list[ScriptedSfu]):
        self.consultations = consultations
        self.metrics = metrics
        self.sfus = sfus

    async def offer(self) -> None:
        await self.consultations.negotiate(ROOM, "chair", wire.Offer(sdp="v=0"))

    def taken(self) -> list[str]:
        return [each.url for each in self.sfus if ROOM in each.rooms]

    async def host(self) -> str:
        room = await self.consultations.read(ROOM)
        return room.media.url if room.media is not None else ""

    async def tells_load(self, one: ScriptedSfu, *, busy: bool) -> None:
        load = sfu.Load(rooms=0, peers=0, cpu=0.1, packets_per_s=0.0, busy=busy)

        async def complaint() -> str | None:
            await one.emit(load)
            return None if self.consultations.media.busy() == busy else "not told"

        await eventually(complaint)


@pytest_asyncio.fixture
async def site(tmp_path: Path, store: FailingStore) -> AsyncIterator[Site]:
    metrics = Metrics()
    consultations = Consultations(
        node=NODE,
        store=store,
        metrics=metrics,
        control_secret="secret",
        spool=ArchiveSpool(tmp_path / "spool"),
    )
    async with AsyncExitStack() as stack:
        sfus = [await stack.enter_async_context(ScriptedSfu()) for _ in range(2)]
        try:
            await store.create(visit())
            await consultations.media.use([each.url for each in sfus])
            await eventually(
                lambda: None if len(consultations.media.serving()) == 2 else "SFUs missing"
            )
            yield Site(consultations, metrics, sfus)
        finally:
            await consultations.close()
            await store.close()


async def refused(site: Site) -> ErrorCode:
    with pytest.raises(MediaBusy) as caught:
        await site.offer()
    found = problem_of(caught.value)
    assert found is not None
    status, problem = found
    assert status is HTTPStatus.SERVICE_UNAVAILABLE
    assert problem.text.vi.startswith("Máy chủ đang quá tải")
    return caught.value.code


@pytest.mark.parametrize("busy", [0, 1])
async def test_busy_sfu__the_next_one_takes_the_room(site: Site, busy: int) -> None:
    site.sfus[busy].busy = True
    # The scripted SFU answers no offer; who takes the room is decided before that.
    with pytest.raises(Exception, match="something else"):
        await site.offer()
    assert await site.host() == site.sfus[1 - busy].url
    assert site.sfus[busy].rooms == set()


async def test_all_busy__told_as_such_and_tried_again(site: Site) -> None:
    for each in site.sfus:
        each.busy = True
    assert await refused(site) is ErrorCode.MEDIA_BUSY
    assert await site.host() == ""
    site.sfus[0].busy = False
    with pytest.raises(Exception, match="something else"):
        await site.offer()
    assert await site.host() == site.sfus[0].url


async def test_room_that_has_its_sfu__goes_on_when_it_is_busy(site: Site) -> None:
    await site.consultations.change(ROOM, c.Admit(actor="chair", participant="patient"))
    url = await site.host()
    host = next(each for each in site.sfus if each.url == url)
    host.busy = True
    await site.consultations.media.open(host.url, ROOM)
    await site.consultations.reconcile(ROOM)
    assert await site.host() == host.url


async def test_own_sfu_began_anew_and_is_busy__another_takes_the_room(site: Site) -> None:
    await site.consultations.change(ROOM, c.Admit(actor="chair", participant="patient"))
    url = await site.host()
    (own,) = (each for each in site.sfus if each.url == url)
    (other,) = (each for each in site.sfus if each.url != url)
    own.rooms.clear()
    own.busy = True
    site.consultations.media.forget(ROOM)
    with pytest.raises(Exception, match="something else"):
        await site.offer()
    assert await site.host() == other.url
    assert ROOM in other.rooms


async def test_ended_meanwhile__no_room_is_left_behind(site: Site) -> None:
    room = await site.consultations.read(ROOM)
    await site.consultations.rooms.change(ROOM, c.End(actor="chair"))
    with pytest.raises(RoomError):
        await site.consultations._performer.host(room)
    assert [each.rooms for each in site.sfus] == [set(), set()]


@pytest.mark.parametrize("room_goes", [False, True])
async def test_store_away_meanwhile__the_room_is_given_back(
    site: Site, store: FailingStore, room_goes: bool
) -> None:
    room = await site.consultations.read(ROOM)
    store.away = True
    with pytest.raises(StoreUnavailable):
        await site.consultations._performer.host(room)
    assert len(site.taken()) == 1
    with pytest.raises(StoreUnavailable):
        await site.consultations.catch_up()
    (taken,) = site.taken()
    # So another is chosen the next time.
    await site.tells_load(next(each for each in site.sfus if each.url == taken), busy=True)
    store.away = False
    if room_goes:
        await store.change(ROOM, lambda room: (msgspec.structs.replace(room, state="ended"), ()))
    # The chair is in the call: the room, which is doubtful, gets a host.
    await site.consultations.catch_up()
    host = await site.host()
    assert site.taken() == ([host] if host else [])
    assert bool(host) is not room_goes


async def test_another_process_makes_it_the_host_meanwhile__all_begin_anew(
    site: Site, store: FailingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Consultations(
        node="other",
        store=store,
        metrics=Metrics(),
        control_secret="secret",
        spool=ArchiveSpool(tmp_path / "other"),
    )
    read, (url, _) = site.consultations.rooms.read, site.consultations.media.serving()
    room = await site.consultations.read(ROOM)
    store.away = True
    with pytest.raises(StoreUnavailable):
        await site.consultations._performer.host(room)
    store.away = False
    site.consultations.rooms.doubtful.clear()

    async def read_and_be_too_late(room_id: str) -> Room:
        room = await read(room_id)
        if room.media is None:
            await other._performer.host(room)
        return room

    monkeypatch.setattr(site.consultations.rooms, "read", read_and_be_too_late)
    try:
        await other.media.use([url])
        await eventually(lambda: None if other.media.serving() else "no SFU")
        other.rooms.enter(room)
        host = next(each for each in site.sfus if each.url == url)
        await site.consultations.catch_up()
        await eventually(lambda: None if site.taken() == [url] else f"taken: {site.taken()}")
        assert host.heard(sfu.CloseRoom)
        since = len(host.told)
        await site.consultations.catch_up()
        permits = [each.peer for each in host.told[since:] if isinstance(each, sfu.Permit)]
        assert "chair" in permits
    finally:
        await other.close()


async def test_answer_of_the_store_lost__the_host_keeps_the_room(
    site: Site, store: FailingStore
) -> None:
    room = await site.consultations.read(ROOM)
    store.loses_answers = True
    with pytest.raises(StoreUnavailable):
        await site.consultations._performer.host(room)
    store.loses_answers = False
    await site.consultations.catch_up()
    assert site.taken() == [await site.host()]


async def test_cancelled_meanwhile__the_room_is_given_back(site: Site, store: FailingStore) -> None:
    room = await site.consultations.read(ROOM)
    store.hangs = True
    hosting = asyncio.create_task(site.consultations._performer.host(room))
    await eventually(lambda: None if site.taken() else "no SFU has the room")
    hosting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hosting
    store.hangs = False
    await site.consultations._performer.give_back()
    assert site.taken() == []


async def test_serving__busy_ones_last(site: Site) -> None:
    first = site.sfus[0]
    await site.tells_load(first, busy=True)
    assert site.consultations.media.serving()[-1] == first.url
    exposition = site.metrics.text().decode()
    assert 'vtelehealth_signaling_sfus{state="busy"} 1.0' in exposition
    assert 'vtelehealth_signaling_sfus{state="serving"} 1.0' in exposition
    await site.tells_load(first, busy=False)
    assert site.consultations.media.busy() == 0


async def test_all_busy__is_no_failure_of_theirs(site: Site) -> None:
    for each in site.sfus:
        each.busy = True
    await site.consultations.change(ROOM, c.Admit(actor="chair", participant="patient"))
    assert "effect_failures_total{" not in site.metrics.text().decode()
