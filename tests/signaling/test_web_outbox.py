"""The outbox of one WebSocket: order, limits, and a client that reads nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from signaling.web.outbox import MAX_WAITING, MAX_WAITING_BYTES, Outbox
from tests.support.eventually import eventually

Client = aiohttp.ClientSession
Scenario = Callable[[Outbox], Awaitable[None]]
SLOW = 4408


class Stage:
    """Runs a scenario on the server's side of a WebSocket, and tells when the outbox is done."""

    def __init__(self) -> None:
        self.scenario: Scenario | None = None
        self.done = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        assert request.transport is not None
        outbox = Outbox(socket, request.transport.abort)
        writer = asyncio.create_task(outbox.run())
        assert self.scenario is not None
        reader = asyncio.create_task(_read(socket))
        await self.scenario(outbox)
        await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        reader.cancel()
        await asyncio.wait((reader,))
        outbox.close(1001)
        await writer
        await outbox.shut()
        self.done.set()
        return socket


async def _read(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


@pytest_asyncio.fixture
async def stage() -> Stage:
    return Stage()


@pytest_asyncio.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_get("/", stage.handle)
    runner = web.AppRunner(app)  # aiohttp's own test server cancels handlers; the real one waits
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as made:
        yield made
    await runner.cleanup()


async def test_texts_come_in_order_and_then_the_close_code(stage: Stage, client: Client) -> None:
    async def scenario(outbox: Outbox) -> None:
        for number in range(100):
            assert outbox.put(str(number))
        outbox.close(4410)
        assert outbox.put("too late"), "what is closed takes nothing, silently"

    stage.scenario = scenario
    async with client.ws_connect("/") as socket:
        assert [message.data async for message in socket] == [str(n) for n in range(100)]
        assert socket.close_code == 4410


async def test_first_close_code_counts(stage: Stage, client: Client) -> None:
    async def scenario(outbox: Outbox) -> None:
        outbox.close(4409)
        outbox.close(4410)

    stage.scenario = scenario
    async with client.ws_connect("/") as socket:
        await socket.receive()
        assert socket.close_code == 4409


@pytest.mark.parametrize(
    ("text", "most"),
    [("x", MAX_WAITING), ("x" * (MAX_WAITING_BYTES // 4), 4)],
)
async def test_no_more_waits_than_the_limit(
    stage: Stage, client: Client, text: str, most: int
) -> None:
    taken: list[bool] = []

    async def scenario(outbox: Outbox) -> None:
        taken.extend(outbox.put(text) for _ in range(most + 1))
        outbox.close(SLOW, at_once=True)

    stage.scenario = scenario
    async with client.ws_connect("/") as socket:
        await socket.receive()
    assert taken == [True] * most + [False]


async def test_bytes_are_counted_as_they_are_sent(stage: Stage, client: Client) -> None:
    taken: list[bool] = []

    async def scenario(outbox: Outbox) -> None:
        taken.extend(outbox.put("ế" * (MAX_WAITING_BYTES // 6 + 1)) for _ in range(3))
        outbox.close(SLOW, at_once=True)

    stage.scenario = scenario
    async with client.ws_connect("/") as socket:
        await socket.receive()
    assert taken == [True, True, False]


async def test_one_message_is_taken_however_large(stage: Stage, client: Client) -> None:
    async def scenario(outbox: Outbox) -> None:
        assert outbox.put("joined")
        assert outbox.put("x" * (2 * MAX_WAITING_BYTES))
        assert not outbox.put("y")
        outbox.close(4410)

    stage.scenario = scenario
    async with client.ws_connect("/", max_msg_size=0) as socket:
        assert (await socket.receive()).data == "joined"
        assert len((await socket.receive()).data) == 2 * MAX_WAITING_BYTES
        await socket.receive()
        assert socket.close_code == 4410


async def test_client_that_reads_nothing_is_dropped_soon(stage: Stage, client: Client) -> None:
    started_s = time.monotonic()

    async def scenario(outbox: Outbox) -> None:
        def complaint() -> str | None:
            return "there is room still" if outbox.put("x" * 500_000) else None

        await eventually(complaint)
        outbox.close(SLOW, at_once=True)

    stage.scenario = scenario
    async with client.ws_connect("/"):
        # No task reads, and the buffers between here and there fill up.
        async with asyncio.timeout(10):
            await stage.done.wait()
    assert time.monotonic() - started_s < 8


async def test_client_that_goes_ends_the_outbox(stage: Stage, client: Client) -> None:
    async def scenario(outbox: Outbox) -> None:
        outbox.put("hello")

    stage.scenario = scenario
    async with client.ws_connect("/") as socket:
        assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT
    async with asyncio.timeout(10):
        await stage.done.wait()
