"""What signalling is told of each peer's second."""

from __future__ import annotations

from sfu.control.messages import Flows, PeerFlow, Permit
from sfu.ids import PeerId
from sfu.router import ticks
from sfu.rtp.rtcp import ReceiverReport, ReportBlock
from tests.sfu.routing import CALL, MS, ROOM, SECOND, Stage, StagePeer, picture, voice


def second(stage: Stage, *talking: StagePeer, level: int = 20, lose: int = 0) -> None:
    """A second in which these peers talk and show themselves."""
    start = len(talking) and stage.now_ns // (20 * MS) % 50_000
    for number in range(50):
        for peer in talking:
            if number >= lose:
                peer.send(voice(start + number, level=level))
            if number % 2 == 0:
                peer.send(picture((start + number) // 2, key=number == 0))
        stage.now_ns += 20 * MS
    ticks.speakers(stage.router, stage.now_ns)
    ticks.flows(stage.router, stage.now_ns)


def flow(stage: Stage, peer: str) -> PeerFlow:
    """The last that was told of a peer."""
    told = [e for e in stage.events if isinstance(e, Flows)][-1]
    return next(row for row in told.peers if row.peer == peer)


async def test_flows__tell_what_came_and_went(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    second(stage)
    second(stage, an)
    sent, taken = flow(stage, "an"), flow(stage, "binh")
    assert (sent.audio_packets, sent.video_frames, sent.screen_frames) == (50, 25, 0)
    assert sent.level == 20
    assert taken.level is None
    assert sent.up_bps > 10_000
    assert taken.up_bps == 0
    assert taken.down_packets == 75
    assert taken.down_bps > 10_000
    assert not taken.down_acknowledged
    block = ReportBlock(binh.ssrc(0, "audio"), 64, 1, 1, 0, 0, 0)
    binh.report(ReceiverReport(1, (block,)))
    second(stage, an)
    assert flow(stage, "binh").down_acknowledged
    assert flow(stage, "binh").down_loss == 0.25


async def test_blocked_way_to_a_viewer__is_seen_within_seconds(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    block = ReportBlock(binh.ssrc(0, "audio"), 0, 1, 1, 0, 0, 0)
    second(stage, an)
    binh.report(ReceiverReport(1, (block,)))
    for _ in range(7):
        second(stage, an)
    assert not flow(stage, "binh").down_acknowledged


async def test_loss_on_the_way_to_us__is_told(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    second(stage, an)
    second(stage, an)
    second(stage, an, lose=10)
    assert 0.05 < flow(stage, "an").up_loss < 0.2


def told(stage: Stage) -> list[Flows]:
    """What two more seconds tell."""
    before = len(stage.events)
    for _ in range(2):
        stage.now_ns += SECOND
        ticks.flows(stage.router, stage.now_ns)
    return [e for e in stage.events[before:] if isinstance(e, Flows)]


async def test_room_where_nobody_may_do_anything__is_not_told_of(stage: Stage) -> None:
    stage.do(Permit(room=ROOM, peer=PeerId("an")))
    assert told(stage) == []


async def test_room_without_connections__is_told_to_have_none(stage: Stage) -> None:
    stage.peer("binh", *CALL)
    assert told(stage) == [Flows(room=ROOM, peers=())] * 2
