"""What publishers are told of their own way to us."""

from __future__ import annotations

from dataclasses import replace

from sfu.router import ticks
from sfu.rtp.extensions import extension_block
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import Remb, TransportFeedback
from tests.sfu.routing import MS, Stage, StagePeer, picture
from tests.sfu.simulcast import CAMERA, CC_ID, Camera


def numbered(packet: RtpPacket, number: int) -> RtpPacket:
    """The packet with a transport-wide sequence number."""
    block = extension_block([(CC_ID, number.to_bytes(2, "big"))])
    return replace(packet, extension=packet.extension + block[4:])


async def sender(stage: Stage) -> StagePeer:
    return await stage.peer("an", "mic", CAMERA).connected()


async def test_feedback__tells_what_arrived_and_what_did_not(stage: Stage) -> None:
    an = await sender(stage)
    camera = Camera(an)
    for number in (65_534, 65_535, 1):
        an.send(numbered(camera.packet(0, key=True), number))
        stage.now_ns += MS
    ticks.feedback(stage.router)
    (feedback,) = an.told(TransportFeedback)
    assert (feedback.base_sequence, feedback.status_count) == (65_534, 4)
    assert feedback.offsets == (0, 1, 3)
    assert [b - a for a, b in zip(feedback.ticks, feedback.ticks[1:], strict=False)] == [4, 4]
    ticks.feedback(stage.router)
    assert an.told(TransportFeedback) == []


async def test_probe_that_comes_before_its_stream__is_told_of_too(stage: Stage) -> None:
    an = await sender(stage)
    camera = Camera(an)
    early = camera.repair(1, camera.packet(1))
    an.send(numbered(early, 7))
    assert stage.statistics().streams == ()
    an.send(numbered(camera.packet(1, key=True), 8))
    ticks.feedback(stage.router)
    told = an.told(TransportFeedback)
    arrived = {f.base_sequence + offset for f in told for offset in f.offsets}
    assert arrived == {7, 8}


async def test_remb__is_for_those_who_do_not_number(stage: Stage) -> None:
    an = await sender(stage)
    binh = await stage.peer("binh", "mic", "cam").connected()
    an.send(numbered(Camera(an).packet(0, key=True), 1))
    binh.send(picture(1, key=True))
    ticks.bitrate(stage.router)
    ticks.feedback(stage.router)
    assert an.told(Remb) == []
    assert len(binh.told(Remb)) == 1
    assert binh.told(TransportFeedback) == []
