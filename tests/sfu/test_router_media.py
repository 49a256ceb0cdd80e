"""Voices and pictures, key frames and repairs through the router, on a real engine."""

from __future__ import annotations

from sfu.router import ticks
from sfu.rtp.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverReport,
    Remb,
)
from tests.sfu.routing import CALL, MS, SECOND, Stage, StagePeer, picture, voice


async def test_voice_and_picture__come_to_the_others_seat(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    an.send(picture(1, key=True))
    got = {p.ssrc: p for p in binh.received()}
    assert set(got) == {binh.ssrc(0, "audio"), binh.ssrc(0, "video")}
    assert an.received() == []
    assert stage.seating("binh") == ["an/camera"]


async def test_picture__waits_for_a_key_frame_that_is_asked_for(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(picture(1))
    assert binh.received() == []
    assert an.told(PictureLossIndication)[0].media_ssrc == 21
    an.send(picture(2, key=True))
    assert len(binh.received()) == 1
    stage.now_ns += 5 * SECOND
    ticks.repair(stage.router, stage.now_ns)
    assert an.told(PictureLossIndication) == []


async def test_key_frame_that_does_not_come__is_asked_for_again_each_second(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(picture(1))
    asked = len(an.told(PictureLossIndication))
    for _ in range(100):
        stage.now_ns += 20 * MS
        ticks.repair(stage.router, stage.now_ns)
    assert asked + len(an.told(PictureLossIndication)) == 3


async def test_silent_stream__is_not_asked_for_key_frames(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(picture(1))
    for _ in range(3):
        stage.now_ns += SECOND
        ticks.reports(stage.router, stage.now_ns)
    an.told()
    ticks.repair(stage.router, stage.now_ns)
    assert an.told(PictureLossIndication) == []


async def test_leg_that_waited_for_its_transport__asks_for_a_key_frame(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1, key=True))
    binh = stage.peer("binh", *CALL)
    an.told()
    stage.now_ns += 2 * SECOND
    await binh.connected()
    stage.router.settle(stage.now_ns)
    assert an.told(PictureLossIndication) != []


async def test_viewer_that_is_not_connected__has_no_key_frame_asked_for_until_it_is(
    stage: Stage,
) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1, key=True))
    binh = stage.peer("binh", *CALL)
    an.send(picture(2, key=True))
    ticks.repair(stage.router, stage.now_ns)
    assert an.told(PictureLossIndication) == []
    await binh.connected()
    ticks.repair(stage.router, stage.now_ns)
    assert len(an.told(PictureLossIndication)) == 1
    an.send(picture(3, key=True))
    assert len(binh.received()) == 1


async def test_viewer_that_moved__has_a_key_frame_asked_for(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    stage.now_ns += 2 * SECOND
    an.told()
    binh.check()
    ticks.repair(stage.router, stage.now_ns)
    assert an.told(PictureLossIndication) == []
    binh.address = ("198.51.100.1", 5)
    binh.check()
    ticks.repair(stage.router, stage.now_ns)
    assert len(an.told(PictureLossIndication)) == 1


async def test_pli_and_fir_of_receivers__are_throttled(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    an.told()
    stage.now_ns += 2 * SECOND
    ssrc = binh.ssrc(0, "video")
    for _ in range(10):
        binh.report(ReceiverReport(1), PictureLossIndication(1, ssrc))
        binh.report(ReceiverReport(1), FullIntraRequest(1, ((ssrc, 1),)))
    assert len(an.told(PictureLossIndication)) == 1
    assert stage.router.state.feedback.pli_received == 20


async def test_nack__is_answered_with_the_same_packet(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    (lost,) = binh.received()
    stage.wire.sent.clear()
    binh.report(ReceiverReport(1), Nack(1, lost.ssrc, (lost.sequence,)))
    # SRTP would refuse to decrypt it twice, so what is compared is that it was sent.
    assert [address for address, _ in stage.wire.sent] == [binh.address]
    rows = [row for row in stage.statistics().legs if row.peer == "binh" and row.kind == "video"]
    assert [row.resent for row in rows] == [1]


async def test_missing_packet__is_asked_for(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(picture(1, key=True))
    an.send(picture(3))
    stage.now_ns += 40 * MS
    ticks.repair(stage.router, stage.now_ns)
    (nack,) = an.told(Nack)
    assert (nack.media_ssrc, nack.sequences) == (21, (2,))
    assert stage.statistics().streams[0].nack_sent == 1


async def test_remb__starts_generously(stage: Stage, pair: tuple[StagePeer, StagePeer]) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    ticks.bitrate(stage.router)
    (remb,) = an.told(Remb)
    assert 1_490_000 <= remb.bitrate_bps <= 1_500_000
    assert remb.ssrcs == (21,)
    assert binh.told(Remb) == []
