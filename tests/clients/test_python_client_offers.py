"""When the Python client offers, with a server's side of the signalling that the test plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidStateError

from clients.python.call import Call
from clients.python.errors import Refused
from clients.python.room_copy import RoomCopy
from clients.python.signalling import Signalling
from clients.python.synthetic import Tone
from signaling.protocol.messages import (
    Answer,
    ClientMessage,
    Done,
    OfferWanted,
    ParticipantState,
    ServerMessage,
    Text,
)
from tests.clients.test_python_client import JOINED, person, room
from tests.support.eventually import eventually


class Stage(Signalling):
    """A session without a connection: `says` is heard from the server, and each offer is answered
    by a real PeerConnection, or raises the next of `failures`."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", cast(Any, None))
        self._room = RoomCopy(JOINED)
        self.failures: list[Exception] = []
        #: Of each offer, whether it was fresh.
        self.offers: list[bool] = []
        self.far: list[RTCPeerConnection] = []
        self.is_now("admitted")

    def is_now(self, state: ParticipantState) -> None:
        """The person's own state changes."""
        self.says(room(person("me", state)))

    def says(self, message: ServerMessage) -> None:
        """The server says something."""
        self._take(message)

    async def request(self, message: ClientMessage, **_: Any) -> Done:
        """Everything is done."""
        return Done(ref="")

    async def tell(self, message: ClientMessage) -> None:
        """Nobody needs it."""

    async def offer(self, sdp: str, *, fresh: bool) -> Answer:
        """Answer, or refuse."""
        self.offers.append(fresh)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Refused):
                self.is_now("held")  # the hold was on its way when the offer was made
            raise failure
        if fresh:
            self.far.append(RTCPeerConnection())
        far = self.far[-1]
        await far.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        for each in far.getTransceivers():
            each.direction = "sendrecv"
        await far.setLocalDescription(await far.createAnswer())
        return Answer(ref="", sdp=far.localDescription.sdp, seats=1)


@asynccontextmanager
async def calling() -> AsyncIterator[tuple[Stage, Call]]:
    stage = Stage()
    try:
        async with Call(stage, audio=Tone(440.0)) as call:
            await call.connected()
            yield stage, call
            await call.connected()
    finally:
        for far in stage.far:
            await far.close()


def offers(stage: Stage, *fresh: bool) -> Callable[[], str | None]:
    return lambda: None if stage.offers == list(fresh) else f"offers: {stage.offers}"


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_wanted_on_hold__offered_after_the_return_on_the_same_connection() -> None:
    async with calling() as (stage, call):
        connection = call._peer_connection
        stage.is_now("held")
        stage.says(OfferWanted(reason="codec"))
        await turns()
        assert stage.offers == [True]
        stage.is_now("admitted")
        await eventually(offers(stage, True, False))
        assert call._peer_connection is connection


async def test_offer_that_crosses_a_hold__the_connection_is_kept_and_replaced_once() -> None:
    async with calling() as (stage, call):
        connection = call._peer_connection
        stage.failures = [Refused("not_admitted", Text(vi="", en=""))]
        stage.says(OfferWanted(reason="codec"))
        await eventually(offers(stage, True, False))
        await turns()
        assert call._peer_connection is connection
        assert call.state == "connected"
        stage.is_now("admitted")
        await eventually(offers(stage, True, False, True))


@pytest.mark.parametrize("error", [InvalidStateError("closed"), ValueError("no such codec")])
async def test_what_aiortc_raises__offered_anew(error: Exception) -> None:
    async with calling() as (stage, _):
        stage.failures = [error]
        stage.says(OfferWanted(reason="codec"))
        await eventually(offers(stage, True, False, True))
