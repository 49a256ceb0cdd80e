"""Commands and what they answer, on a real engine."""

from __future__ import annotations

import pytest

from sfu.control.messages import (
    CloseRoom,
    MediaState,
    Negotiate,
    OpenRoom,
    PeerTransport,
    Permit,
    RemovePeer,
    Seating,
    View,
)
from sfu.errors import CommandError
from sfu.ids import PeerId, RoomId
from sfu.router import ticks
from sfu.router.router import ORPHAN_NS
from tests.sfu.offers import offer
from tests.sfu.routing import CALL, ROOM, SECOND, Stage, StagePeer, voice


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Permit(room=RoomId("no"), peer=PeerId("an")), "unknown_room"),
        (Negotiate(room=ROOM, peer=PeerId("no"), sdp=offer("mic")), "unknown_peer"),
        (View(room=ROOM, peer=PeerId("no")), "unknown_peer"),
        (
            MediaState(room=ROOM, peer=PeerId("no"), audio=True, video=True, screen=True),
            "unknown_peer",
        ),
    ],
)
async def test_command_for_nobody__is_refused(
    stage: Stage, command: Permit | Negotiate, code: str
) -> None:
    with pytest.raises(CommandError) as caught:
        stage.do(command)
    assert caught.value.code == code


async def test_repeated_commands__are_harmless(stage: Stage) -> None:
    peer = stage.peer("an", *CALL)
    first = peer.field("ice-ufrag")
    stage.do(OpenRoom(room=ROOM))
    stage.permit("an")
    peer.negotiate(*CALL)
    assert peer.field("ice-ufrag") == first
    for _ in range(2):
        stage.do(RemovePeer(room=ROOM, peer=PeerId("an")))
        stage.do(RemovePeer(room=RoomId("no"), peer=PeerId("an")))
    for _ in range(2):
        stage.do(CloseRoom(room=ROOM))
    assert stage.router.rooms == {}


async def test_bad_offer__changes_nothing(stage: Stage) -> None:
    peer = await stage.peer("an", *CALL).connected()
    with pytest.raises(CommandError) as caught:
        stage.do(Negotiate(room=ROOM, peer=PeerId("an"), sdp=offer("data"), fresh=True))
    assert caught.value.code == "bad_offer"
    assert stage.router.state.offers_refused == 1
    peer.send(voice(1))
    assert stage.statistics().streams[0].packets == 1


async def test_removed_peer__is_told_to_all_once(stage: Stage) -> None:
    await stage.peer("an", *CALL).connected()
    stage.events.clear()
    stage.do(RemovePeer(room=ROOM, peer=PeerId("an")))
    assert stage.events == [PeerTransport(room=ROOM, peer=PeerId("an"), state="closed")]


async def test_room_that_nobody_wants__is_closed_after_a_while(stage: Stage) -> None:
    stage.router.close_orphans(lambda _: False, stage.now_ns + ORPHAN_NS)
    assert ROOM in stage.router.rooms
    stage.router.close_orphans(lambda _: False, stage.now_ns + ORPHAN_NS + SECOND)
    assert ROOM not in stage.router.rooms


async def test_room_that_was_watched__is_closed_a_while_after_nobody_watches(
    stage: Stage,
) -> None:
    stage.now_ns += 3 * ORPHAN_NS
    stage.router.close_orphans(lambda _: True, stage.now_ns)
    stage.router.close_orphans(lambda _: False, stage.now_ns + ORPHAN_NS)
    assert ROOM in stage.router.rooms
    stage.router.close_orphans(lambda _: False, stage.now_ns + ORPHAN_NS + SECOND)
    assert ROOM not in stage.router.rooms


async def test_room_with_packets__is_no_orphan(stage: Stage) -> None:
    peer = await stage.peer("an", *CALL).connected()
    stage.now_ns += ORPHAN_NS
    peer.send(voice(1))
    ticks.housekeeping(stage.router, stage.now_ns)
    stage.router.close_orphans(lambda _: False, stage.now_ns + 2 * SECOND)
    assert ROOM in stage.router.rooms


async def test_snapshot__tells_a_newcomer_what_is(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    told = list(stage.router.snapshot(ROOM))
    assert PeerTransport(room=ROOM, peer=PeerId("an"), state="connected") in told
    assert [e for e in stage.events if isinstance(e, Seating)][-1] in told
    assert list(stage.router.snapshot(RoomId("no"))) == []
