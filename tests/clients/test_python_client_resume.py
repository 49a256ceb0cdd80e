"""The Python client with a server that says what no sound server says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from clients.python.errors import SessionOver
from clients.python.signalling import Signalling
from signaling.protocol.codec import SUBPROTOCOL, encode
from signaling.protocol.codes import CloseCode, ErrorCode
from signaling.protocol.messages import Joined, Room
from signaling.protocol.replies import error
from tests.clients.test_python_client import JOINED, person, room
from tests.support.eventually import eventually

Part = Callable[[ServerConnection], Awaitable[None]]


def saying(*messages: Joined | Room, code: CloseCode | None = None) -> Part:
    """Say these; then close with the code, or stay."""

    async def play(socket: ServerConnection) -> None:
        for message in messages:
            await socket.send(encode(message))
        if code is None:
            await socket.wait_closed()
        else:
            await socket.close(code)

    return play


def refusing(code: ErrorCode, close: CloseCode) -> Part:
    """Refuse the first message."""

    async def play(socket: ServerConnection) -> None:
        await socket.send(encode(error(code)))
        await socket.close(close)

    return play


class Stage:
    """Plays a part for each connection in turn, and keeps when each came (seconds)."""

    def __init__(self, *parts: Part) -> None:
        self.parts = list(parts)
        self.came_at: list[float] = []

    async def handle(self, socket: ServerConnection) -> None:
        self.came_at.append(asyncio.get_running_loop().time())
        await socket.recv()
        await self.parts.pop(0)(socket)

    def pauses_s(self) -> list[float]:
        """Between one connection and the next."""
        return [later - earlier for earlier, later in pairwise(self.came_at)]


@asynccontextmanager
async def meeting(stage: Stage) -> AsyncIterator[Signalling]:
    async with serve(
        stage.handle, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)]
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with Signalling.connect(f"http://127.0.0.1:{port}", "token") as session:
            yield session


ROOM = room(person("me"))
GOOD = saying(JOINED, ROOM)
BROKEN = saying(JOINED, code=CloseCode.INTERNAL)


async def test_pauses_grow_while_a_server_says_joined_and_no_more() -> None:
    stage = Stage(BROKEN, BROKEN, BROKEN, GOOD)
    async with meeting(stage) as session:
        await eventually(lambda: None if session.room.me else "no room yet", within_s=5)
    first_s, second_s, third_s = stage.pauses_s()
    assert first_s < 0.25
    assert second_s >= 0.25
    assert third_s >= 0.5


async def test_the_first_room_makes_the_next_try_quick_again() -> None:
    room_then_gone = saying(JOINED, ROOM, code=CloseCode.INTERNAL)
    stage = Stage(BROKEN, BROKEN, room_then_gone, GOOD)
    async with meeting(stage) as session:
        await eventually(
            lambda: None if session.resumes == 3 and session.room.me else "not back", within_s=5
        )
    assert stage.pauses_s()[1] >= 0.25
    assert stage.pauses_s()[2] < 0.25


@pytest.mark.parametrize(
    ("code", "close"),
    [
        (ErrorCode.STORE_UNAVAILABLE, CloseCode.INTERNAL),
        (ErrorCode.INTERNAL, CloseCode.INTERNAL),
        (ErrorCode.TOO_MANY, CloseCode.TOO_MANY),
    ],
)
async def test_a_refusal_that_passes_is_waited_for(code: ErrorCode, close: CloseCode) -> None:
    stage = Stage(saying(JOINED, ROOM, code=CloseCode.GOING_AWAY), refusing(code, close), GOOD)
    async with meeting(stage) as session:
        await eventually(lambda: None if session.resumes == 1 else "not back", within_s=5)
        assert session.over is None


async def test_a_session_that_is_not_known_any_more_is_over() -> None:
    stage = Stage(
        saying(JOINED, ROOM, code=CloseCode.GOING_AWAY),
        refusing(ErrorCode.SESSION_UNKNOWN, CloseCode.REFUSED),
    )
    async with meeting(stage) as session:
        await eventually(lambda: None if session.over else "not over", within_s=5)
        assert isinstance(session.over, SessionOver)
        assert session.over.reason == "session_unknown"
