"""The control protocol over real sockets: server and client together, and hostile callers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.control import (
    Answers,
    Archived,
    Commands,
    Done,
    Events,
    Failed,
    PutDossier,
    RecorderClient,
    RecorderFailure,
    RecorderUnavailable,
    StopRecording,
)
from recorder.metrics import Metrics
from recorder.server import ControlServer
from tests.recorder.visits import visit
from tests.support.eventually import eventually

SECRET = "c" * 32


class Desk:
    """Answers commands as it is told, after `gate` is open."""

    def __init__(self) -> None:
        self.commands: list[Commands] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, command: Commands) -> Answers:
        self.commands.append(command)
        await self.gate.wait()
        match command:
            case StopRecording(recording="full"):
                return Failed(id=command.id, code="disk_full", detail="no room")
            case StopRecording(recording="broken"):
                raise ZeroDivisionError
            case _:
                return Done(id=command.id)


class Site:
    """A control server on a port that can be closed and opened again."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.metrics = Metrics()
        self.server = ControlServer(SECRET, self.metrics)
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        self.server = ControlServer(SECRET, self.metrics)
        self._runner = web.AppRunner(self.server.app(self.desk), shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def url(self, path: str = "/control", scheme: str = "ws") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[Site]:
    one = Site()
    await one.open()
    try:
        yield one
    finally:
        await one.close()


class Caller:
    """A client and what it was told."""

    def __init__(self, url: str, secret: str = SECRET) -> None:
        self.events: list[Events] = []
        self.states: list[bool] = []
        self.client = RecorderClient(url, secret, self.events.append, self.states.append)

    async def __aenter__(self) -> Caller:
        await self.client.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def until(self, *states: bool) -> None:
        await eventually(lambda: None if tuple(self.states) == states else f"{self.states}")


async def test_request__done_with_a_fresh_id_each() -> None:
    async with site() as one, Caller(one.url()) as caller:
        await caller.until(True)
        answers = [
            await caller.client.request(StopRecording(recording="r")),
            await caller.client.request(PutDossier(dossier=visit())),
        ]
        assert answers == [Done(id=1), Done(id=2)]
        assert one.desk.commands[1] == PutDossier(id=2, dossier=visit())


async def test_request__refusal_is_raised_with_its_code() -> None:
    async with site() as one, Caller(one.url()) as caller:
        await caller.until(True)
        with pytest.raises(RecorderFailure) as refused:
            await caller.client.request(StopRecording(recording="full"))
        assert (refused.value.code, refused.value.detail) == ("disk_full", "no room")
        with pytest.raises(RecorderFailure) as broken:
            await caller.client.request(StopRecording(recording="broken"))
        assert broken.value.code == "internal"
        assert await caller.client.request(StopRecording(recording="r")) == Done(id=3)


async def test_events__reach_every_connection() -> None:
    event = Archived(consultation="c-1", directory="c-1")
    async with site() as one, Caller(one.url()) as first, Caller(one.url()) as second:
        await first.until(True)
        await second.until(True)
        for caller in (first, second):
            await caller.client.request(StopRecording(recording="r"))
        one.server.emit(event)
        for caller in (first, second):

            def complaint(caller: Caller = caller) -> str | None:
                return None if caller.events == [event] else f"{caller.events}"

            await eventually(complaint)


async def test_recorder_goes_and_comes__waiting_request_fails_and_the_client_is_back() -> None:
    async with site() as one, Caller(one.url()) as caller:
        await caller.until(True)
        one.desk.gate.clear()
        waiting = asyncio.create_task(caller.client.request(StopRecording(recording="r")))
        await eventually(lambda: None if one.desk.commands else "not yet asked")
        await one.close()
        with pytest.raises(RecorderUnavailable):
            await waiting
        await caller.until(True, False)
        with pytest.raises(RecorderUnavailable):
            await caller.client.request(StopRecording(recording="r"))
        one.desk.gate.set()
        await one.open()
        await caller.until(True, False, True)
        assert await caller.client.request(StopRecording(recording="r")) == Done(id=2)


async def test_owner_that_fails__does_not_break_the_client() -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    async with site() as one:
        client = RecorderClient(one.url(), SECRET, fail, fail)
        await client.start()
        await eventually(lambda: None if client.connected else "not connected")
        await client.request(StopRecording(recording="r"))
        one.server.emit(Archived(consultation="c", directory="c"))
        assert await client.request(StopRecording(recording="r")) == Done(id=2)
        await client.close()


async def test_wrong_secret__is_refused() -> None:
    async with site() as one, aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer " + "d" * 32}, {"Authorization": "é"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(one.url(), headers=headers)
            assert refused.value.status == 401


@settings(deadline=None, max_examples=60)
@given(
    text=st.one_of(
        st.text(max_size=200),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["type", "id", "recording", "dossier"]), inner)
            ),
        ).map(json.dumps),
        st.just('{"type":"archive","id":7,"dossier":{}}'),
    )
)
def test_garbage__is_answered_and_harms_nothing(text: str) -> None:
    async def answer() -> Answers:
        server = ControlServer(SECRET, Metrics())
        server.app(Desk())
        return await server._answer(text)

    said = asyncio.run(answer())
    assert isinstance(said, (Done, Failed))


async def test_bad_command__failed_with_its_id_and_the_connection_stays() -> None:
    async with site() as one, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {SECRET}"}
        async with session.ws_connect(one.url(), headers=headers) as socket:
            await socket.send_str('{"type":"format_disk","id":9}')
            assert await socket.receive_json() == {
                "type": "failed",
                "id": 9,
                "code": "bad_message",
                "detail": "not a command",
            }
            await socket.send_str('{"type":"stop_recording","id":10,"recording":"r"}')
            assert await socket.receive_json() == {"type": "done", "id": 10}


async def test_oversized_message__closes_that_connection_only() -> None:
    async with site() as one, Caller(one.url()) as caller, aiohttp.ClientSession() as session:
        await caller.until(True)
        headers = {"Authorization": f"Bearer {SECRET}"}
        async with session.ws_connect(one.url(), headers=headers) as socket:
            with contextlib.suppress(ConnectionError):
                await socket.send_str("x" * ((4 << 20) + 1))
            message = await socket.receive()
            assert message.type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            )
        assert await caller.client.request(StopRecording(recording="r")) == Done(id=1)


async def test_metrics_and_health__are_served_without_a_person_in_them() -> None:
    async with site() as one, aiohttp.ClientSession() as session:
        async with session.get(one.url("/health", "http")) as health:
            assert await health.json() == {"status": "ok"}
        async with Caller(one.url()) as caller:
            await caller.until(True)
            await caller.client.request(PutDossier(dossier=visit()))
            async with session.get(one.url("/metrics", "http")) as response:
                text = await response.text()
        assert "vtelehealth_recorder_control_connections 1.0" in text
        assert (
            'vtelehealth_recorder_control_commands_total{command="put_dossier",result="done"} 1.0'
            in text
        )
        assert "Ấn" not in text
        assert "c-1" not in text
