"""Two signalling processes on one Redis hold one consultation; one of them dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest_asyncio

from signaling.__main__ import Server
from signaling.protocol import messages as wire
from signaling.protocol.codes import CloseCode
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.rest_consultation import Consultation
from tests.support.servers import Program
from tests.support.signaling_server import environment, signaling_server
from tests.support.signalled_call import SignalledCall
from tests.support.wire_client import WireClient, both_inside, state_of

CHAIR, PATIENT = "treating_clinician", "patient"


@pytest_asyncio.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    directory = tmp_path / "redis"
    directory.mkdir()
    server = RedisServer(directory)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def at(link: str, server: Server) -> str:
    """The same link, opened at another node."""
    return f"{server.public_url}/#t={link.partition('#t=')[2]}"


async def sfus_known(server: Server, count: int) -> None:
    def complaint() -> str | None:
        there = len(server.consultations.media.serving())
        return None if there >= count else f"{there} SFUs"

    await eventually(complaint)


async def test_people_on_two_nodes_see_hear_and_write_to_each_other(
    tmp_path: Path, redis: RedisServer, session: aiohttp.ClientSession
) -> None:
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(
                signaling_server(tmp_path / name, media=True, SIGNALING_REDIS_URL=redis.url)
            )
            for name in ("one", "other")
        ]
        await sfus_known(one, 2)
        await sfus_known(other, 2)
        visit = await Consultation.create(session, one.public_url, CHAIR, PATIENT)
        clinician, patient = await both_inside(session, (visit.links[0], at(visit.links[1], other)))
        calls = [SignalledCall(clinician), SignalledCall(patient)]
        try:
            for call in calls:
                assert isinstance(await call.offer(), wire.Answer)
            for call in calls:
                await call.receives()
            assert isinstance(await patient.ask(wire.Chat(ref="c", id="1", text="Chào")), wire.Done)
            assert (await clinician.next(wire.ChatLine)).text == "Chào"
            hold = await clinician.ask(wire.Hold(ref="h", participant=patient.participant))
            assert isinstance(hold, wire.Done)
            held = await patient.next(
                wire.Room, lambda room: state_of(room, patient.participant) == "held"
            )
            assert held.chat == ()
        finally:
            for call in calls:
                await call.hang_up()


async def test_resume_on_the_other_node_replaces_the_old_websocket(
    tmp_path: Path, redis: RedisServer, session: aiohttp.ClientSession
) -> None:
    async with (
        signaling_server(tmp_path / "one", SIGNALING_REDIS_URL=redis.url) as one,
        signaling_server(tmp_path / "other", SIGNALING_REDIS_URL=redis.url) as other,
    ):
        visit = await Consultation.create(session, one.public_url, CHAIR, PATIENT)
        _, patient = await both_inside(session, visit.links)
        assert patient.joined is not None
        again = await WireClient.resume(session, other.public_url, patient.joined.session)
        assert state_of(await again.next(wire.Room), again.participant) == "admitted"
        assert (await patient.next(wire.Ended)).reason == "replaced"
        assert await patient.closed() == CloseCode.REPLACED


async def test_killed_node_costs_nobody_their_place(
    tmp_path: Path, redis: RedisServer, session: aiohttp.ClientSession
) -> None:
    settings = environment(tmp_path / "b", SIGNALING_REDIS_URL=redis.url, SIGNALING_GRACE_S="1")
    doomed = Program("signaling", settings, tmp_path / "b.log")
    async with signaling_server(
        tmp_path / "a", SIGNALING_REDIS_URL=redis.url, SIGNALING_GRACE_S="1"
    ) as server:
        await doomed.start()
        try:
            url = f"http://127.0.0.1:{doomed.ready['http_port']}"
            visit = await Consultation.create(session, url, CHAIR, PATIENT, PATIENT)
            clinician, patient = await both_inside(
                session, (at(visit.links[0], server), visit.links[1])
            )
            silent = await WireClient.join(session, visit.links[2])
            await silent.ask(wire.Ready(ref="r"))
        finally:
            await doomed.kill()
        assert patient.joined is not None
        again = await WireClient.resume(session, server.public_url, patient.joined.session)
        assert state_of(await again.next(wire.Room), again.participant) == "admitted"
        # Who does not come back is seen as lost, and keeps the place in the queue.
        lost = await clinician.next(
            wire.Participant,
            lambda each: each.id == silent.participant and each.connection == "lost",
            within_s=20,
        )
        assert (lost.state, lost.place) == ("waiting", 1)


async def test_redis_away_for_a_while_drops_nobody(
    tmp_path: Path, redis: RedisServer, session: aiohttp.ClientSession
) -> None:
    async with signaling_server(tmp_path / "a", SIGNALING_REDIS_URL=redis.url) as server:
        visit = await Consultation.create(session, server.public_url, CHAIR, PATIENT)
        clinician, patient = await both_inside(session, visit.links)
        await redis.stop()
        answer = await patient.ask(wire.Chat(ref="c", id="1", text="Chào"))
        assert isinstance(answer, wire.Error)
        assert answer.code.value == "store_unavailable"
        await redis.start()

        async def complaint() -> str | None:
            told = await patient.ask(wire.Chat(ref="d", id="2", text="Lại đây"))
            return None if isinstance(told, wire.Done) else str(told)

        await eventually(complaint)
        assert (await clinician.next(wire.ChatLine)).text == "Lại đây"
