"""The control connection from both ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sfu.control.client import SfuClient, SfuFailure, SfuUnavailable
from sfu.control.messages import Events, OpenRoom, Permit, ReadStatistics, Reply
from sfu.ids import PeerId, RoomId
from tests.support.caller import SECRET, Sfu, running_sfu
from tests.support.eventually import eventually

ROOM = RoomId("room-1")


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    async with running_sfu() as running:
        yield running


@asynccontextmanager
async def raw(sfu: Sfu, secret: str = SECRET) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {secret}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.ws_connect(sfu.url) as socket,
    ):
        yield socket


async def answer(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next message that is no sign of life."""
    while True:
        message = await socket.receive_json(timeout=5)
        if message["type"] != "load":
            return dict(message)


@asynccontextmanager
async def pretender(
    behave: Callable[[web.WebSocketResponse], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that behaves as an SFU should not."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=0.1)
        await socket.prepare(request)
        await behave(socket)
        return socket

    app = web.Application()
    app.add_routes([web.get("/control", handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/control"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(
    url: str, events: list[Events] | None = None, states: list[bool] | None = None
) -> AsyncIterator[SfuClient]:
    heard = events if events is not None else []
    seen = states if states is not None else []
    client = SfuClient(url, SECRET, heard.append, seen.append)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("path", ["/control", "/tap/x"])
@pytest.mark.parametrize("header", ["", "Bearer", f"Bearer {SECRET}x", f"Basic {SECRET}", SECRET])
async def test_wrong_secret__is_401(sfu: Sfu, path: str, header: str) -> None:
    url = f"http://127.0.0.1:{sfu.program.control_port}{path}"
    headers = {"Authorization": header} if header else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        assert response.status == 401


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("{}", 0),
        ("[]", 0),
        ('{"type":"fly","id":4}', 4),
        ('{"type":"open_room","id":5}', 5),
        ('{"type":"open_room","id":6,"room":7}', 6),
        ('{"type":"open_room","id":7,"room":"r","more":1}', 7),
        ('{"type":"open_room","id":"x","room":"r"}', 0),
    ],
)
async def test_bad_message__is_a_failure_and_the_next_one_is_done(
    sfu: Sfu, text: str, number: int
) -> None:
    async with raw(sfu) as socket:
        await socket.send_str(text)
        failure = await answer(socket)
        assert (failure["type"], failure["code"]) == ("failure", "bad_message")
        assert failure["id"] == number
        await socket.send_str('{"type":"open_room","id":9,"room":"r"}')
        assert await answer(socket) == {"type": "reply", "id": 9}


async def test_oversized_message__closes_the_connection(sfu: Sfu) -> None:
    async with raw(sfu) as socket:
        await socket.send_str(json.dumps({"type": "open_room", "id": 1, "room": "r" * 300_000}))
        while (message := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_commands__are_answered_under_ids_of_the_clients(sfu: Sfu) -> None:
    opened = await sfu.client.request(OpenRoom(room=ROOM))
    permitted = await sfu.client.request(Permit(room=ROOM, peer=PeerId("an")))
    assert isinstance(opened, Reply)
    assert isinstance(permitted, Reply)
    assert permitted.id == opened.id + 1


async def test_events__come_only_of_rooms_that_were_opened(sfu: Sfu) -> None:
    others: list[Events] = []
    async with client_of(sfu.url, others) as other:
        await eventually(lambda: None if other.connected else "not connected")
        await sfu.client.request(OpenRoom(room=ROOM))
        await sfu.client.request(Permit(room=ROOM, peer=PeerId("an"), receive=True))
        await sfu.client.request(ReadStatistics(room=ROOM))
        await eventually(lambda: None if others else "no sign of life")
        assert {type(event).__name__ for event in others} == {"Load"}
        assert any(type(event).__name__ == "Seating" for event in sfu.events)


async def test_failure__is_raised_with_its_code(sfu: Sfu) -> None:
    with pytest.raises(SfuFailure) as caught:
        await sfu.client.request(ReadStatistics(room=RoomId("nowhere")))
    assert caught.value.code == "unknown_room"


async def test_client__connects_when_the_sfu_comes(unused_tcp_port: int) -> None:
    states: list[bool] = []
    url = f"ws://127.0.0.1:{unused_tcp_port}/control"
    async with client_of(url, states=states) as client:
        with pytest.raises(SfuUnavailable):
            await client.request(OpenRoom(room=ROOM))
        async with running_sfu(control_port=unused_tcp_port):
            await eventually(lambda: None if client.connected else "not connected")
            await client.request(OpenRoom(room=ROOM))
        await eventually(lambda: None if states == [True, False] else f"states {states}")


async def test_request__whose_connection_is_lost__is_unavailable() -> None:
    async def hang_up(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.close()

    async with pretender(hang_up) as url, client_of(url) as client:
        await eventually(lambda: None if client.connected else "not connected")
        with pytest.raises(SfuUnavailable):
            await client.request(OpenRoom(room=ROOM))


async def test_silent_sfu__is_taken_for_lost() -> None:
    async def silence(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    states: list[bool] = []
    async with pretender(silence) as url, client_of(url, states=states) as client:
        await eventually(lambda: None if client.connected else "not connected")
        with pytest.raises(SfuUnavailable):
            await client.request(OpenRoom(room=ROOM))
        await eventually(lambda: None if states[:2] == [True, False] else f"states {states}")


async def test_nonsense_from_the_sfu__is_passed_over() -> None:
    async def babble(socket: web.WebSocketResponse) -> None:
        for text in ("", "{}", '{"type":"fly"}', '{"type":"reply","id":99}'):
            await socket.send_str(text)
        command = await socket.receive_json()
        await socket.send_json({"type": "reply", "id": command["id"]})
        await socket.receive()

    async with pretender(babble) as url, client_of(url) as client:
        await eventually(lambda: None if client.connected else "not connected")
        assert isinstance(await client.request(OpenRoom(room=ROOM)), Reply)


async def test_close__ends_a_waiting_request() -> None:
    async def listen(socket: web.WebSocketResponse) -> None:
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass

    async with pretender(listen) as url, client_of(url) as client:
        await eventually(lambda: None if client.connected else "not connected")
        waiting = asyncio.create_task(client.request(OpenRoom(room=ROOM)))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(SfuUnavailable):
            await waiting
