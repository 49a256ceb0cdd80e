"""What a sender is told of loss: a voice that of its listeners too, so that it repeats in band."""

from __future__ import annotations

from sfu.control.messages import View
from sfu.ids import SourceId
from sfu.router import ticks
from sfu.rtp.rtcp import ReceiverReport, ReportBlock
from tests.sfu.routing import CALL, ROOM, SECOND, Stage, StagePeer, picture, voice


def listener_lost(stage: Stage, peer: StagePeer, share: float) -> None:
    """A peer reports that it lost a share of what it hears and sees."""
    fraction = int(256 * share)
    blocks = [
        ReportBlock(peer.ssrc(0, kind), fraction, 9, 0, 0, 0, 0) for kind in ("audio", "video")
    ]
    peer.report(ReceiverReport(1, tuple(blocks)))


def told(stage: Stage, peer: StagePeer) -> dict[int, ReportBlock]:
    """The newest report to a peer, by SSRC."""
    stage.now_ns += 1_000_000_000
    ticks.reports(stage.router, stage.now_ns)
    return {block.ssrc: block for report in peer.told(ReceiverReport) for block in report.reports}


async def test_voice__is_told_the_loss_of_its_listener_and_a_picture_is_not(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    an.send(picture(1, key=True))
    assert told(stage, an)[11].fraction_lost == 0
    listener_lost(stage, binh, 0.05)
    blocks = told(stage, an)
    assert 0.08 < blocks[11].fraction_lost / 256 <= 0.1
    assert blocks[11].lost == 0
    assert blocks[21].fraction_lost == 0


async def test_ruined_path_of_one_listener__is_told_within_bounds(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    listener_lost(stage, binh, 0.9)
    assert told(stage, an)[11].fraction_lost == int(256 * 0.2)


async def test_outage_of_the_sender__is_told_once(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(voice(1))
    told(stage, an)
    an.send(voice(101))
    assert told(stage, an)[11].fraction_lost / 256 > 0.9
    an.send(voice(102))
    assert told(stage, an)[11].fraction_lost / 256 <= 0.2


async def test_told_loss__is_forgotten_slowly(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    listener_lost(stage, binh, 0.05)
    first = told(stage, an)[11].fraction_lost
    listener_lost(stage, binh, 0)
    falling = [told(stage, an)[11].fraction_lost for _ in range(30)]
    assert falling == sorted(falling, reverse=True)
    assert 0.8 * first < falling[0] < first
    assert falling[-1] < 0.1 * first


def hold_on(stage: Stage, seconds: int, *alive: StagePeer) -> int:
    """What an's voice was told last, after so long in which only some are heard."""
    lost = 0
    for _ in range(seconds):
        for peer in alive:
            peer.check()
        stage.transports.watch(stage.now_ns)
        alive[0].send(voice(2 + stage.now_ns // SECOND % 10_000))
        blocks = told(stage, alive[0])
        lost = blocks[11].fraction_lost if 11 in blocks else lost
    return lost


async def test_listener_who_is_gone__is_forgotten(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    listener_lost(stage, binh, 0.5)
    assert told(stage, an)[11].fraction_lost == int(256 * 0.2)
    assert hold_on(stage, 60, an) <= 1
    row = next(r for r in stage.statistics().transports if r.peer == "binh")
    assert row.state == "failed"


async def test_listener_who_is_there_and_tells_no_more__is_forgotten(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    listener_lost(stage, binh, 0.5)
    assert hold_on(stage, 5, an, binh) == int(256 * 0.2)
    assert hold_on(stage, 35, an, binh) <= 1


async def test_loss_of_who_sat_in_the_seat_before__is_not_told_to_who_sits_there(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    chi = await stage.peer("chi", *CALL).connected()
    for peer in (an, chi):
        peer.send(voice(1))
    assert stage.seating("binh") == ["an/camera"]
    block = ReportBlock(binh.ssrc(0, "audio"), 128, 9, 0, 0, 0, 0)
    binh.report(ReceiverReport(1, (block,)))
    (home,) = (h for h in stage.router.homes() if h.peer.id == "binh")
    home.connection.downlink.loss_report(0.0, stage.now_ns)  # of all that it hears
    stage.do(View(room=ROOM, peer=binh.name, pinned=(SourceId("chi/camera"),)))
    assert stage.seating("binh") == ["chi/camera"]
    assert told(stage, chi)[11].fraction_lost == 0
