"""WebSockets of the real server: joining, the waiting room, resuming, and who may not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from signaling.__main__ import Server
from signaling.protocol import messages as wire
from signaling.protocol.codec import SUBPROTOCOL
from signaling.protocol.codes import CloseCode, ErrorCode
from signaling.rooms.room import ChatLine, Room, TimelineEntry
from tests.support.eventually import eventually
from tests.support.rest_consultation import HEADERS, Consultation
from tests.support.signaling_server import signaling_server
from tests.support.wire_client import WireClient, both_inside, state_of

CHAIR, PATIENT = "treating_clinician", "patient"


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with signaling_server(tmp_path, SIGNALING_GRACE_S="0.5") as running:
        yield running


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest_asyncio.fixture
async def visit(server: Server, session: aiohttp.ClientSession) -> Consultation:
    return await Consultation.create(session, server.public_url, CHAIR, PATIENT)


async def error_of(client: WireClient) -> ErrorCode:
    return (await client.next(wire.Error)).code


async def test_waiting_room_is_shown_to_the_clinician_and_admission_to_the_patient(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    clinician = await WireClient.join(session, visit.links[0])
    await clinician.ask(wire.Ready(ref="1"))
    patient = await WireClient.join(session, visit.links[1])
    lobby = await patient.next(wire.Room)
    assert state_of(lobby, patient.participant) == "knocking"
    await patient.ask(wire.Ready(ref="1"))
    waiting = await clinician.next(
        wire.Participant, lambda each: each.id == patient.participant and each.state == "waiting"
    )
    assert waiting.place == 1
    await clinician.ask(wire.Admit(ref="2", participant=patient.participant))
    room = await patient.next(
        wire.Room, lambda each: state_of(each, patient.participant) == "admitted"
    )
    assert room.consultation.state == "active"


async def test_chat_reaches_those_in_the_call_and_nobody_else(
    session: aiohttp.ClientSession, server: Server
) -> None:
    visit = await Consultation.create(session, server.public_url, CHAIR, PATIENT, PATIENT)
    clinician, patient = await both_inside(session, visit.links)
    waiting = await WireClient.join(session, visit.links[2])
    await waiting.ask(wire.Ready(ref="r"))
    assert isinstance(await patient.ask(wire.Chat(ref="c", id="1", text="Chào bác sĩ")), wire.Done)
    line = await clinician.next(wire.ChatLine)
    assert (line.participant, line.text) == (patient.participant, "Chào bác sĩ")
    assert isinstance(await waiting.ask(wire.Ping(ref="p")), wire.Pong)
    assert not [each for each in waiting.told if isinstance(each, wire.ChatLine)]


async def test_held_person_sees_no_chat_until_returned(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    clinician, patient = await both_inside(session, visit.links)
    await clinician.ask(wire.Hold(ref="h", participant=patient.participant))
    held = await patient.next(wire.Room, lambda each: state_of(each, patient.participant) == "held")
    assert held.chat == ()
    await clinician.ask(wire.Chat(ref="c", id="1", text="Riêng"))
    answer = await patient.ask(wire.Chat(ref="c", id="2", text="Tôi đây"))
    assert isinstance(answer, wire.Error)
    assert answer.code is ErrorCode.NOT_ADMITTED
    await clinician.ask(wire.Return(ref="t", participant=patient.participant))
    back = await patient.next(
        wire.Room, lambda each: state_of(each, patient.participant) == "admitted"
    )
    assert back.chat == ()


async def test_stats_are_taken_and_answered_only_when_they_ask_for_it(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    _, patient = await both_inside(session, visit.links)
    stats = wire.Stats(microphone="on", camera="off", seats=(wire.SeatStats(seat=0),))
    await patient.send(stats)
    assert await patient.ask(msgspec.structs.replace(stats, ref="s")) == wire.Done(ref="s")
    done = [each for each in patient.told if isinstance(each, wire.Done)]
    assert [each.ref for each in done if not each.ref] == []


async def test_patient_may_not_admit_themselves(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    patient = await WireClient.join(session, visit.links[1])
    await patient.ask(wire.Ready(ref="1"))
    answer = await patient.ask(wire.Admit(ref="2", participant=patient.participant))
    assert isinstance(answer, wire.Error)
    assert answer.code is ErrorCode.NOT_ALLOWED


async def test_resume_keeps_the_place_in_the_call(
    session: aiohttp.ClientSession, server: Server, visit: Consultation
) -> None:
    clinician, patient = await both_inside(session, visit.links)
    assert patient.joined is not None
    await patient.close()
    away = await clinician.next(
        wire.Participant, lambda each: each.id == patient.participant and each.connection == "away"
    )
    assert away.state == "admitted"
    again = await WireClient.resume(session, server.public_url, patient.joined.session)
    assert state_of(await again.next(wire.Room), again.participant) == "admitted"


async def test_lost_after_the_grace_period_and_back_without_admission(
    session: aiohttp.ClientSession, server: Server, visit: Consultation
) -> None:
    clinician, patient = await both_inside(session, visit.links)
    assert patient.joined is not None
    await patient.close()
    await clinician.next(wire.Participant, lambda each: each.connection == "lost")
    again = await WireClient.resume(session, server.public_url, patient.joined.session)
    assert state_of(await again.next(wire.Room), again.participant) == "admitted"
    await clinician.next(
        wire.Participant,
        lambda each: each.id == patient.participant and each.connection == "connected",
    )


async def test_resume_beside_the_old_websocket_replaces_it(
    session: aiohttp.ClientSession, server: Server, visit: Consultation
) -> None:
    _, patient = await both_inside(session, visit.links)
    assert patient.joined is not None
    again = await WireClient.resume(session, server.public_url, patient.joined.session)
    assert (await patient.next(wire.Ended)).reason == "replaced"
    assert await patient.closed() == CloseCode.REPLACED
    assert isinstance(await again.ask(wire.Ping(ref="p")), wire.Pong)


async def test_same_link_on_a_second_device_is_refused_while_the_first_is_there(
    session: aiohttp.ClientSession, server: Server, visit: Consultation
) -> None:
    first = await WireClient.join(session, visit.links[1])
    second = await WireClient.connect(session, server.public_url)
    await second.send(wire.Join(token=visit.links[1].partition("#t=")[2]))
    assert await error_of(second) is ErrorCode.INVITATION_IN_USE
    assert await second.closed() == CloseCode.REFUSED
    assert isinstance(await first.ask(wire.Ping(ref="p")), wire.Pong)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (wire.Join(token="x.y.z"), ErrorCode.TOKEN_INVALID),
        (wire.Resume(session="a.b." + "c" * 43), ErrorCode.CONSULTATION_UNKNOWN),
        (wire.Resume(session="nonsense"), ErrorCode.SESSION_UNKNOWN),
    ],
)
async def test_bad_first_message_is_refused_with_4401(
    session: aiohttp.ClientSession, server: Server, message: wire.FromClient, code: ErrorCode
) -> None:
    client = await WireClient.connect(session, server.public_url)
    await client.send(message)
    assert await error_of(client) is code
    assert await client.closed() == CloseCode.REFUSED


async def test_anything_before_join_is_told_to_join_first(
    session: aiohttp.ClientSession, server: Server
) -> None:
    client = await WireClient.connect(session, server.public_url)
    answer = await client.ask(wire.Chat(ref="c", id="1", text="x"))
    assert isinstance(answer, wire.Error)
    assert answer.code is ErrorCode.JOIN_FIRST


@pytest.mark.parametrize("text", ["{", '{"type":"unknown"}', "[]", '{"type":"ping","more":1}'])
async def test_third_malformed_message_closes_with_4400(
    session: aiohttp.ClientSession, server: Server, text: str
) -> None:
    client = await WireClient.connect(session, server.public_url)
    for _ in range(3):
        await client.socket.send_str(text)
        assert await error_of(client) is ErrorCode.BAD_MESSAGE
    assert await client.closed() == CloseCode.BAD_MESSAGE


async def test_binary_message_is_malformed(session: aiohttp.ClientSession, server: Server) -> None:
    client = await WireClient.connect(session, server.public_url)
    await client.socket.send_bytes(b'{"type":"ping"}')
    assert await error_of(client) is ErrorCode.BAD_MESSAGE


async def test_message_over_128_kib_closes_with_1009(
    session: aiohttp.ClientSession, server: Server
) -> None:
    client = await WireClient.connect(session, server.public_url)
    await client.socket.send_str("x" * (128 * 1024 + 1))
    assert await client.closed() == CloseCode.TOO_LARGE


async def test_flood_is_refused_then_closed_and_harms_nobody_else(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    clinician, patient = await both_inside(session, visit.links)
    for _ in range(300):
        await patient.send(wire.Ping())
    assert await patient.closed() == CloseCode.TOO_MANY
    assert isinstance(await clinician.ask(wire.Ping(ref="p")), wire.Pong)


async def test_removed_person_is_told_and_their_link_is_void(
    session: aiohttp.ClientSession, server: Server, visit: Consultation
) -> None:
    clinician, patient = await both_inside(session, visit.links)
    await clinician.ask(wire.Remove(ref="x", participant=patient.participant))
    assert (await patient.next(wire.Ended)).reason == "removed"
    assert await patient.closed() == CloseCode.ENDED
    again = await WireClient.connect(session, server.public_url)
    await again.send(wire.Join(token=visit.links[1].partition("#t=")[2]))
    assert await error_of(again) is ErrorCode.INVITATION_REVOKED


async def test_leaving_ends_the_connection_and_the_link_leads_back_to_the_lobby(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    _, patient = await both_inside(session, visit.links)
    await patient.send(wire.Leave())
    assert (await patient.next(wire.Ended)).reason == "left"
    assert await patient.closed() == CloseCode.ENDED
    again = await WireClient.join(session, visit.links[1])
    assert state_of(await again.next(wire.Room), again.participant) == "knocking"


async def test_end_is_told_to_everyone_then_closes_with_4410(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    clinician, patient = await both_inside(session, visit.links)
    await clinician.send(wire.End())
    for client in (clinician, patient):
        await client.next(wire.Consultation, lambda each: each.state == "ended")
        assert (await client.next(wire.Ended)).reason == "ended"
        assert await client.closed() == CloseCode.ENDED


async def test_offer_without_an_sfu_is_media_unavailable(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    _, patient = await both_inside(session, visit.links)
    answer = await patient.ask(wire.Offer(ref="o", sdp="v=0"))
    assert isinstance(answer, wire.Error)
    assert answer.code is ErrorCode.MEDIA_UNAVAILABLE


async def test_offer_before_admission_is_not_admitted(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    patient = await WireClient.join(session, visit.links[1])
    answer = await patient.ask(wire.Offer(ref="o", sdp="v=0"))
    assert isinstance(answer, wire.Error)
    assert answer.code is ErrorCode.NOT_ADMITTED


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://elsewhere.example", 403), ("null", 403), ("", 403), ("https://khoa.example", 101)],
)
async def test_pages_of_other_origins_may_not_connect(
    tmp_path: Path, session: aiohttp.ClientSession, origin: str, status: int
) -> None:
    async with (
        signaling_server(
            tmp_path / "other", SIGNALING_ALLOWED_ORIGINS="https://khoa.example"
        ) as server,
        session.get(
            f"{server.public_url}/v1/ws",
            headers={
                "Origin": origin,
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                "Sec-WebSocket-Protocol": "vtelehealth.v1",
            },
        ) as response,
    ):
        assert response.status == status
        response.close()


async def test_subprotocol_is_required(session: aiohttp.ClientSession, server: Server) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(f"{server.public_url}/v1/ws", protocols=("other",))
    assert refused.value.status == 400


async def test_no_more_websockets_than_the_setting_allows(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with signaling_server(tmp_path / "few", SIGNALING_MAX_WEBSOCKETS="1") as server:
        first = await WireClient.connect(session, server.public_url)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await WireClient.connect(session, server.public_url)
        assert refused.value.status == 503
        await first.close()


async def test_too_many_joins_from_one_address(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with signaling_server(tmp_path / "slow", SIGNALING_JOINS_PER_MINUTE="2") as server:
        codes = []
        for _ in range(3):
            client = await WireClient.connect(session, server.public_url)
            await client.send(wire.Join(token="bad"))
            codes.append((await error_of(client), await client.closed()))
        assert codes[:2] == [(ErrorCode.TOKEN_INVALID, CloseCode.REFUSED)] * 2
        assert codes[2] == (ErrorCode.TOO_MANY, CloseCode.TOO_MANY)


async def test_resumes_have_an_allowance_of_their_own(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with signaling_server(tmp_path / "slow", SIGNALING_JOINS_PER_MINUTE="1") as server:
        codes = []
        for message in (wire.Join(token="bad"), *[wire.Resume(session="bad")] * 11):
            client = await WireClient.connect(session, server.public_url)
            await client.send(message)
            codes.append((await error_of(client), await client.closed()))
        assert codes[1:11] == [(ErrorCode.SESSION_UNKNOWN, CloseCode.REFUSED)] * 10
        assert codes[11] == (ErrorCode.TOO_MANY, CloseCode.TOO_MANY)


async def test_no_more_websockets_from_one_address_than_the_setting_allows(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with signaling_server(
        tmp_path / "few",
        SIGNALING_MAX_WEBSOCKETS_PER_ADDRESS="1",
        SIGNALING_TRUSTED_PROXIES="127.0.0.1",
    ) as server:

        async def knock(address: str) -> aiohttp.ClientWebSocketResponse:
            return await session.ws_connect(
                f"{server.public_url}/v1/ws",
                protocols=(SUBPROTOCOL,),
                headers={"X-Forwarded-For": address},
            )

        first, other = await knock("192.0.2.1"), await knock("192.0.2.2")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await knock("192.0.2.1")
        assert refused.value.status == 503
        await first.close()

        async def complaint() -> str | None:
            try:
                await (await knock("192.0.2.1")).close()
            except aiohttp.WSServerHandshakeError as error:
                return str(error.status)
            return None

        await eventually(complaint)
        await other.close()


async def test_promoted_observer_learns_what_they_may_do(
    session: aiohttp.ClientSession, server: Server
) -> None:
    visit = await Consultation.create(session, server.public_url, CHAIR, "observer")
    clinician, observer = await both_inside(session, visit.links)
    await clinician.ask(wire.Promote(ref="p", participant=observer.participant, role="interpreter"))
    own = await observer.next(
        wire.Participant, lambda each: each.id == observer.participant and bool(each.permissions)
    )
    assert (own.role, own.permissions) == ("interpreter", ("speak", "chat"))
    seen = await clinician.next(wire.Participant, lambda each: each.role == "interpreter")
    assert seen.permissions == ()


async def test_a_full_chat_does_not_lock_out_who_comes_back(
    session: aiohttp.ClientSession, server: Server, visit: Consultation
) -> None:
    clinician, _ = await both_inside(session, visit.links)
    assert clinician.joined is not None

    def fill(room: Room) -> tuple[Room, tuple[TimelineEntry, ...]]:
        line = ChatLine(
            id="x", participant=clinician.participant, at=time.time(), text="\x01" * 2_000
        )
        return msgspec.structs.replace(room, chat=(line,) * 250), ()

    await server.consultations.rooms._store.change(visit.id, fill)
    await clinician.close()
    again = await WireClient.resume(session, server.public_url, clinician.joined.session)
    assert len((await again.next(wire.Room)).chat) == 250
    assert isinstance(await again.ask(wire.Ping(ref="p")), wire.Pong)


async def test_silent_client_is_closed_as_away(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with signaling_server(tmp_path / "quick", SIGNALING_PING_INTERVAL_S="0.2") as server:
        visit = await Consultation.create(session, server.public_url, CHAIR, PATIENT)
        client = await WireClient.join(session, visit.links[0])
        assert await client.closed() == CloseCode.GOING_AWAY


async def test_revoked_invitation_puts_out_who_came_by_it(
    session: aiohttp.ClientSession, server: Server, visit: Consultation
) -> None:
    _, patient = await both_inside(session, visit.links)
    url = f"{server.public_url}/v1/consultations/{visit.id}/invitations/{visit.invitations[1]}"
    async with session.delete(url, headers=HEADERS) as response:
        assert response.status == 204
    assert (await patient.next(wire.Ended)).reason == "removed"


async def test_disconnect_is_seen_by_rest(
    session: aiohttp.ClientSession, visit: Consultation
) -> None:
    patient = await WireClient.join(session, visit.links[1])
    await patient.close()

    async def complaint() -> str | None:
        people = (await visit.read(session))["participants"]
        return None if people[1]["connection"] in ("away", "lost") else str(people[1])

    await eventually(complaint)
