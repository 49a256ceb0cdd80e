"""Whoever calls an SFU of the tests is hung up with it, also where a test fails before."""

from __future__ import annotations

from sfu.control.messages import OpenRoom, Permit
from sfu.ids import PeerId, RoomId
from tests.support.caller import running_sfu

ROOM = RoomId("room-1")


async def test_running_sfu__hangs_up_whoever_is_left() -> None:
    async with running_sfu() as sfu:
        await sfu.client.request(OpenRoom(room=ROOM))
        await sfu.client.request(Permit(room=ROOM, peer=PeerId("an"), send=("audio",)))
        caller = sfu.caller(ROOM, "an")
        await caller.call(send=("audio",))
    assert caller.pc.connectionState == "closed"
