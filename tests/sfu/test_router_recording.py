"""Taps in the router: one track for each picture, through layers, SSRCs and permissions."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sfu.control.messages import Layers, StartTap
from sfu.control.tap import Record, RecordKind, SenderReport, decode_track, parse_records
from sfu.ids import PeerId, TapId
from sfu.rtp import rtcp
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import Goodbye, ReceiverReport, ntp_time
from tests.sfu.offers import Line
from tests.sfu.routing import MS, ROOM, Stage, StagePeer, picture
from tests.sfu.simulcast import CAMERA, RIDS, SSRCS, Camera

TAP = TapId("recording-1")
H264 = ("a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1;profile-level-id=42e01f")


@pytest.fixture
async def an(stage: Stage) -> StagePeer:
    an = await stage.peer("an", "mic", CAMERA).connected()
    stage.do(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"),)))
    return an


def records(stage: Stage) -> list[Record]:
    tap = stage.router.taps.get(TAP)
    assert tap is not None
    return list(parse_records(tap.read(0, 1 << 30)[0]))


def kinds(stage: Stage) -> list[str]:
    """Of all records, with repetitions left out."""
    names = [record.kind.name for record in records(stage)]
    return [name for name, before in zip(names, ["", *names], strict=False) if name != before]


def packets(stage: Stage) -> list[RtpPacket]:
    return [RtpPacket.parse(r.body) for r in records(stage) if r.kind is RecordKind.RTP]


def sizes(taken: list[RtpPacket]) -> set[int]:
    return {len(packet.payload) for packet in taken}


async def test_picture__is_one_track_of_the_best_layer_that_comes(
    stage: Stage, an: StagePeer
) -> None:
    camera = Camera(an, obeys=True, on={0, 1})
    camera.run(12)
    reduced = packets(stage)
    assert sizes(reduced[-20:]) == {1102}
    assert len(reduced) > 12 * 30 * 2 - 20, "it goes on all the time"
    camera.on = {0, 1, 2}
    camera.run(4)
    taken = packets(stage)
    assert sizes(taken[-20:]) == {1152}
    assert kinds(stage) == ["OPEN", "RTP"]
    numbers = [packet.sequence for packet in taken]
    assert numbers == [(numbers[0] + n) % 65_536 for n in range(len(numbers))]
    steps = [(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(taken)]
    assert max(steps) < 70_000
    assert all(
        layer.active for e in stage.events if isinstance(e, Layers) for layer in e.layers[2:]
    )


async def test_picture__whose_layer_falls_silent__goes_on_with_a_lower_one(
    stage: Stage, an: StagePeer
) -> None:
    camera = Camera(an, obeys=True)
    camera.run(4)
    whole = len(packets(stage))
    camera.on = {0, 1}
    camera.run(8)
    taken = packets(stage)
    assert sizes(taken[whole - 20 : whole]) == {1152}
    assert sizes(taken[-20:]) == {1102}
    assert kinds(stage) == ["OPEN", "RTP"]


async def test_layer_that_is_taken__goes_on_until_the_better_one_begins(
    stage: Stage, an: StagePeer
) -> None:
    camera = Camera(an, obeys=True)
    camera.run(4)
    camera.on = {0, 1}
    camera.run(8)
    camera.on, camera.answers = {0, 1, 2}, False
    for _ in range(25):
        before = len(packets(stage))
        camera.run(0.2)
        assert len(packets(stage)) > before
    assert sizes(packets(stage)[-10:]) == {1102}
    camera.answers = True
    camera.run(1.5)
    assert sizes(packets(stage)[-10:]) == {1152}


async def test_camera_that_begins_late__is_recorded(stage: Stage, an: StagePeer) -> None:
    camera = Camera(an, obeys=True, on=set())
    camera.run(4)
    camera.on = {0, 1, 2}
    camera.run(1)
    assert sizes(packets(stage)[-50:]) == {1152}


async def test_lower_layers__are_stopped_while_only_the_recorder_looks(
    stage: Stage, an: StagePeer
) -> None:
    Camera(an).run(4)
    told = [e for e in stage.events if isinstance(e, Layers)][-1]
    assert {layer.rid: layer.active for layer in told.layers} == dict(
        zip(RIDS, (False, False, True), strict=True)
    )


async def test_report__is_in_the_time_of_the_track(stage: Stage, an: StagePeer) -> None:
    camera = Camera(an)
    camera.run(1)
    last = packets(stage)[-1]
    sent_time = camera.frames * 3000
    for ssrc in SSRCS:
        an.report(rtcp.SenderReport(ssrc, ntp_time(stage.now_ns), sent_time + 900, 1, 1))
    (report,) = (r for r in records(stage) if r.kind is RecordKind.REPORT)
    parsed = SenderReport.parse(report.body)
    assert parsed.ntp_time == ntp_time(stage.now_ns)
    assert parsed.rtp_time == (last.timestamp + 900) % 2**32


async def test_new_ssrc_of_the_same_camera__goes_on_in_the_same_track(stage: Stage) -> None:
    an = await stage.peer("an", "mic", "cam").connected()
    stage.do(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"),)))
    an.send(picture(1, key=True))
    stage.now_ns += 33 * MS
    an.send(picture(700, key=True, ssrc=99))
    assert kinds(stage) == ["OPEN", "RTP"]
    assert len(packets(stage)) == 2


async def test_goodbye__ends_the_track(stage: Stage) -> None:
    an = await stage.peer("an", "mic", "cam").connected()
    stage.do(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"),)))
    an.send(picture(1, key=True))
    an.report(ReceiverReport(1), Goodbye((21,)))
    assert kinds(stage) == ["OPEN", "RTP", "CLOSE"]


async def test_goodbye_of_a_layer_that_is_waited_for__what_is_taken_goes_on(
    stage: Stage, an: StagePeer
) -> None:
    camera = Camera(an, answers=False, on={0})
    camera.run(1)
    taken = len(packets(stage))

    def middle_layer() -> None:
        for part in range(2):
            an.send(camera.packet(1, part=part))

    camera.run(1, after=middle_layer)
    waiting = stage.router.state.key_frames._waits_for
    assert [sink.stream and sink.stream.rid for sink in waiting] == ["h"]
    an.report(ReceiverReport(SSRCS[1]), Goodbye((SSRCS[1],)))
    camera.run(1)
    assert len(packets(stage)) == taken + 60
    assert kinds(stage) == ["OPEN", "RTP"]


async def test_another_codec__is_another_track(stage: Stage) -> None:
    an = await stage.peer("an", "mic", "cam").connected()
    stage.do(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"),)))
    an.send(picture(1, key=True))
    an.negotiate("mic", Line("cam", codecs=H264))
    sps = bytes((0x67, 0x42, 0xE0, 0x1F))
    idr = bytes((0x65, 0x88))
    body = bytes((0x78, 0, 4)) + sps + bytes((0, 2)) + idr
    an.send(RtpPacket(96, 2, 6000, 21, body, True, (), 0xBEDE, bytes((0x40, ord("1"), 0, 0))))
    assert kinds(stage) == ["OPEN", "RTP", "CLOSE", "OPEN", "RTP"]
    opened = [decode_track(r.body).codec for r in records(stage) if r.kind is RecordKind.OPEN]
    assert opened == ["VP8", "H264"]


async def test_consent_withdrawn__cuts_all_layers_at_once(stage: Stage, an: StagePeer) -> None:
    camera = Camera(an)
    camera.run(1)
    stage.do(StartTap(room=ROOM, tap=TAP, peers=(), version=1))
    before = len(packets(stage))
    lost = camera.packet(2)
    camera.run(1)
    an.send(camera.repair(2, lost))
    assert len(packets(stage)) == before
