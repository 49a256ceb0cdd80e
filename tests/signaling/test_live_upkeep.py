"""What time does: appointments that pass, and rooms that nobody is in any more."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp

from signaling.protocol import messages as wire
from signaling.protocol.messages import Facility
from signaling.rooms.room import Room
from tests.support.eventually import eventually
from tests.support.rest_consultation import Consultation
from tests.support.signaling_server import signaling_server
from tests.support.wire_client import WireClient, both_inside


async def test_appointment_that_passed_is_closed(tmp_path: Path) -> None:
    async with signaling_server(tmp_path) as server:
        now = time.time()
        room = Room(
            id="c1",
            mode="DIRECT_TO_PATIENT",
            title="Khám",
            facility=Facility(code="01"),
            recording_policy="none",
            created_at=now,
            expires_at=now + 0.1,
        )
        await server.consultations.create(room)

        async def complaint() -> str | None:
            state = (await server.consultations.read("c1")).state
            return None if state == "ended" else state

        await eventually(complaint)


async def test_room_is_followed_only_while_somebody_is_there(tmp_path: Path) -> None:
    async with (
        signaling_server(tmp_path, SIGNALING_GRACE_S="0.2") as server,
        aiohttp.ClientSession() as session,
    ):
        visit = await Consultation.create(
            session, server.public_url, "treating_clinician", "patient"
        )
        clinician, patient = await both_inside(session, visit.links)
        assert [live.room.id for live in server.consultations.rooms.live()] == [visit.id]
        await clinician.close()
        await patient.close()
        await eventually(
            lambda: "still followed" if list(server.consultations.rooms.live()) else None
        )
        people = (await visit.read(session))["participants"]
        assert [each["connection"] for each in people] == ["lost", "lost"]
        assert [each["state"] for each in people] == ["admitted", "admitted"]


async def test_large_room_hears_of_everything_in_the_end(tmp_path: Path) -> None:
    roles = ("treating_clinician", *["consulting_clinician"] * 20)
    async with signaling_server(tmp_path) as server, aiohttp.ClientSession() as session:
        visit = await Consultation.create(session, server.public_url, *roles, policy="none")
        clients = [await WireClient.join(session, link) for link in visit.links]
        for client in clients:
            assert isinstance(await client.ask(wire.Ready(ref="r")), wire.Done)
        for number, client in enumerate(clients):
            line = wire.Chat(ref="c", id=str(number), text=f"điểm cầu {number}")
            assert isinstance(await client.ask(line), wire.Done)
        for client in clients:
            # In a burst, what was said may come within a whole room.
            await client.next(wire.Wire, lambda told: "điểm cầu 20" in lines(told))
            await client.close()


def lines(told: wire.Wire) -> list[str]:
    if isinstance(told, wire.Room):
        return [line.text for line in told.chat]
    return [told.text] if isinstance(told, wire.ChatLine) else []
