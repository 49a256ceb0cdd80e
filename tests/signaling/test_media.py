"""Signalling with a real SFU process: hosting, admission at the media, and an SFU that dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest_asyncio

from signaling.__main__ import Server
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from tests.support.caller import SECRET, running_sfu
from tests.support.eventually import eventually
from tests.support.rest_consultation import Consultation
from tests.support.signaling_server import signaling_server
from tests.support.signalled_call import SignalledCall
from tests.support.wire_client import WireClient, both_inside, state_of


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with signaling_server(tmp_path, media=True) as running:
        yield running


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@asynccontextmanager
async def calls(*clients: WireClient) -> AsyncIterator[list[SignalledCall]]:
    made = [SignalledCall(client) for client in clients]
    try:
        yield made
    finally:
        for call in made:
            await call.hang_up()


async def media_ready(session: aiohttp.ClientSession, server: Server) -> None:
    async def complaint() -> str | None:
        async with session.get(f"{server.public_url}/ready") as response:
            missing = (await response.json())["missing"]
        return "no SFU" if "sfu" in missing else None

    await eventually(complaint)


async def test_two_people_hear_and_see_each_other_and_hold_cuts_it(
    server: Server, session: aiohttp.ClientSession
) -> None:
    await media_ready(session, server)
    visit = await Consultation.create(session, server.public_url, "treating_clinician", "patient")
    clinician, patient = await both_inside(session, visit.links)
    async with calls(clinician, patient) as (one, other):
        assert isinstance(await one.offer(), wire.Answer)
        assert isinstance(await other.offer(), wire.Answer)
        await one.receives()
        await other.receives()
        seating = await clinician.next(wire.Seating, lambda each: any(each.seats))
        assert [seat.participant for seat in seating.seats if seat] == [patient.participant]
        await patient.next(wire.MediaConnection, lambda each: each.state == "connected")

        hold = await clinician.ask(wire.Hold(ref="h", participant=patient.participant))
        assert isinstance(hold, wire.Done)
        await clinician.next(wire.Seating, lambda each: not any(each.seats))
        refused = await patient.ask(wire.Offer(ref="o", sdp="v=0"))
        assert isinstance(refused, wire.Error)
        assert refused.code is ErrorCode.NOT_ADMITTED

        back = await clinician.ask(wire.Return(ref="t", participant=patient.participant))
        assert isinstance(back, wire.Done)
        await one.receives()
        await other.receives()


async def test_bad_offer_is_told_as_such(server: Server, session: aiohttp.ClientSession) -> None:
    await media_ready(session, server)
    visit = await Consultation.create(session, server.public_url, "treating_clinician", "patient")
    clinician, patient = await both_inside(session, visit.links)
    answer = await clinician.ask(wire.Offer(ref="o", sdp="v=0\r\nm=nonsense\r\n"))
    assert isinstance(answer, wire.Error)
    assert answer.code is ErrorCode.BAD_OFFER
    assert isinstance(await patient.ask(wire.Ping(ref="p")), wire.Pong)


async def test_seating_is_told_again_to_one_who_resumes(
    server: Server, session: aiohttp.ClientSession
) -> None:
    await media_ready(session, server)
    visit = await Consultation.create(session, server.public_url, "treating_clinician", "patient")
    clinician, patient = await both_inside(session, visit.links)
    assert clinician.joined is not None
    async with calls(clinician, patient) as (one, other):
        await one.offer()
        await other.offer()
        await one.receives()
        await clinician.close()
        again = await WireClient.resume(session, server.public_url, clinician.joined.session)
        seating = await again.next(wire.Seating, lambda each: any(each.seats))
        assert [seat.participant for seat in seating.seats if seat] == [patient.participant]
        await one.receives()  # the media never noticed


async def test_killed_sfu_comes_back_and_the_call_is_set_up_anew(
    server: Server, session: aiohttp.ClientSession
) -> None:
    await media_ready(session, server)
    visit = await Consultation.create(session, server.public_url, "treating_clinician", "patient")
    clinician, patient = await both_inside(session, visit.links)
    async with calls(clinician, patient) as (one, other):
        await one.offer()
        await other.offer()
        await one.receives()
        sfu = next(child for child in server.children if child.kind == "sfu")
        assert sfu.pid is not None
        os.kill(sfu.pid, signal.SIGKILL)
        for client in (clinician, patient):
            await client.next(wire.MediaConnection, lambda each: each.state == "renegotiate")
    async with calls(clinician, patient) as (one, other):
        assert isinstance(await one.offer(), wire.Answer)
        assert isinstance(await other.offer(), wire.Answer)
        await one.receives()
        await other.receives()


async def test_lost_person_loses_the_media_and_is_admitted_still(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with signaling_server(tmp_path / "short", media=True, SIGNALING_GRACE_S="0.3") as server:
        await media_ready(session, server)
        visit = await Consultation.create(
            session, server.public_url, "treating_clinician", "patient"
        )
        clinician, patient = await both_inside(session, visit.links)
        assert patient.joined is not None
        async with calls(clinician, patient) as (one, other):
            await one.offer()
            await other.offer()
            await one.receives()
            await patient.close()
            await clinician.next(wire.Participant, lambda each: each.connection == "lost")
            await clinician.next(wire.Seating, lambda each: not any(each.seats))
        again = await WireClient.resume(session, server.public_url, patient.joined.session)
        room = await again.next(wire.Room)
        assert state_of(room, again.participant) == "admitted"
        async with calls(again) as (call,):
            assert isinstance(await call.offer(), wire.Answer)
            await again.next(wire.MediaConnection, lambda each: each.state == "connected")


async def test_sfu_that_stays_away_gives_its_room_to_another(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with AsyncExitStack() as stack:
        first, second = AsyncExitStack(), AsyncExitStack()
        await stack.enter_async_context(first)
        await stack.enter_async_context(second)
        sfus = [await each.enter_async_context(running_sfu()) for each in (first, second)]
        server = await stack.enter_async_context(
            signaling_server(
                tmp_path / "far",
                SIGNALING_SFU_URLS=",".join(sfu.url for sfu in sfus),
                SIGNALING_CONTROL_SECRET=SECRET,
            )
        )
        await media_ready(session, server)
        visit = await Consultation.create(
            session, server.public_url, "treating_clinician", "patient"
        )
        clinician, patient = await both_inside(session, visit.links)
        async with calls(clinician, patient) as (one, other):
            await one.offer()
            await other.offer()
            await one.receives()
            room = await server.consultations.read(visit.id)
            assert room.media is not None
            lost = next(
                each
                for each, sfu in zip((first, second), sfus, strict=True)
                if room.media is not None and sfu.url == room.media.url
            )
            await lost.aclose()
        async with calls(clinician, patient) as (one, other):
            tried_at = float("-inf")

            async def complaint() -> str | None:
                nonlocal tried_at
                if time.monotonic() - tried_at < 0.5:  # as a client would: not too often
                    return "no SFU has taken the room over"
                tried_at = time.monotonic()
                answer = await one.offer()
                return None if isinstance(answer, wire.Answer) else "no SFU has taken it over"

            await eventually(complaint, within_s=20)
            await patient.next(wire.MediaConnection, lambda each: each.state == "renegotiate")
            assert isinstance(await other.offer(), wire.Answer)
            await one.receives()
            await other.receives()
