"""A WebSocket client of the protocol that keeps what it was told, for tests of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

import aiohttp

from signaling.protocol import codec
from signaling.protocol import messages as wire

Told = TypeVar("Told", bound=wire.Wire)
_WITHIN_S = 10.0


class WireClient:
    """One connection. `told` is everything that came and was not yet taken by `next`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.told: list[wire.ServerMessage] = []
        self.joined: wire.Joined | None = None

    @classmethod
    async def connect(cls, session: aiohttp.ClientSession, url: str) -> Self:
        """Open a WebSocket at the server's address."""
        socket = await session.ws_connect(f"{url}/v1/ws", protocols=(codec.SUBPROTOCOL,))
        return cls(socket)

    @classmethod
    async def join(cls, session: aiohttp.ClientSession, link: str) -> Self:
        """Come in by a link, up to the first `Room`."""
        url, _, token = link.partition("/#t=")
        client = await cls.connect(session, url)
        await client.send(wire.Join(token=token))
        client.joined = await client.next(wire.Joined)
        return client

    @classmethod
    async def resume(cls, session: aiohttp.ClientSession, url: str, token: str) -> Self:
        """Take up a session again."""
        client = await cls.connect(session, url)
        await client.send(wire.Resume(session=token))
        client.joined = await client.next(wire.Joined)
        return client

    @property
    def participant(self) -> str:
        """Who we are."""
        assert self.joined is not None
        return self.joined.participant

    async def send(self, message: wire.FromClient) -> None:
        """Send, and wait for nothing."""
        await self.socket.send_str(codec.encode(message))  # type: ignore[arg-type]

    async def ask(self, message: wire.FromClient) -> wire.ServerMessage:
        """Send with a `ref`, and give what answers it."""
        assert message.ref
        await self.send(message)
        async with asyncio.timeout(_WITHIN_S):
            while True:
                for each in self.told:
                    if getattr(each, "ref", None) == message.ref:
                        self.told.remove(each)
                        return each
                await self._receive()

    async def next(
        self,
        kind: type[Told],
        is_it: Callable[[Told], bool] = lambda _: True,
        *,
        within_s: float = _WITHIN_S,
    ) -> Told:
        """The first message of a kind for which `is_it` holds; others stay in `told`."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for each in self.told:
                        if isinstance(each, kind) and is_it(each):
                            self.told.remove(each)
                            return each
                    await self._receive()
        except TimeoutError as error:
            kinds = [type(each).__name__ for each in self.told]
            raise AssertionError(f"no such {kind.__name__}; there was {kinds}") from error

    async def closed(self) -> int | None:
        """Wait until the server closes; gives the code."""
        async with asyncio.timeout(_WITHIN_S):
            while not self.socket.closed:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.told.append(codec.decode_server(message.data))
        return self.socket.close_code

    async def close(self) -> None:
        """Go without a word."""
        await self.socket.close()

    async def _receive(self) -> None:
        message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise AssertionError(f"the server closed with {self.socket.close_code}")
        self.told.append(codec.decode_server(message.data))


def state_of(room: wire.Room, participant: str) -> str:
    """The state of a participant in a view."""
    return next(each.state for each in room.participants if each.id == participant)


async def both_inside(
    session: aiohttp.ClientSession, links: Sequence[str]
) -> tuple[WireClient, WireClient]:
    """Who may admit, by the first link, and whom they admitted, by the second: in the call."""
    clinician = await WireClient.join(session, links[0])
    assert isinstance(await clinician.ask(wire.Ready(ref="ready")), wire.Done)
    patient = await WireClient.join(session, links[1])
    assert isinstance(await patient.ask(wire.Ready(ref="ready")), wire.Done)
    answer = await clinician.ask(wire.Admit(ref="admit", participant=patient.participant))
    assert isinstance(answer, wire.Done)
    await patient.next(wire.Room, lambda room: state_of(room, patient.participant) == "admitted")
    return clinician, patient
