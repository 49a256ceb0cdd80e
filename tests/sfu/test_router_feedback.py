"""Reports to peers and from them, on a real engine."""

from __future__ import annotations

import dataclasses

import pytest

from sfu.router import ticks
from sfu.rtp.rtcp import (
    Goodbye,
    Nack,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    middle_32,
    ntp_time,
)
from sfu.streams.congestion.estimator import START_BPS
from tests.sfu.routing import CALL, MS, SECOND, Stage, StagePeer, picture, voice
from tests.sfu.simulcast import HEAR, SEE


async def test_reports__keep_voice_and_picture_on_one_clock(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    an.send(picture(1, key=True))
    sent = {p.ssrc: p for p in binh.received()}
    # The sender's clock is a day off; both streams' RTP times of packet 1 are one instant of it.
    theirs = stage.now_ns - 86_400 * SECOND
    an.report(SenderReport(11, ntp_time(theirs), 960, 1, 4))
    an.report(SenderReport(21, ntp_time(theirs), 3000, 1, 7))
    stage.now_ns += 500 * MS
    ticks.reports(stage.router, stage.now_ns)
    told = binh.told()
    reports = {p.ssrc: p for p in told if isinstance(p, SenderReport)}
    audio, video = reports[binh.ssrc(0, "audio")], reports[binh.ssrc(0, "video")]
    assert audio.ntp_time == video.ntp_time == ntp_time(stage.now_ns)
    assert abs(audio.rtp_time - sent[audio.ssrc].timestamp - 24_000) <= 1
    assert abs(video.rtp_time - sent[video.ssrc].timestamp - 45_000) <= 1
    assert (audio.packet_count, audio.octet_count) == (1, 4)
    names = dict(n for p in told if isinstance(p, SourceDescription) for n in p.names)
    assert names[audio.ssrc] == names[video.ssrc] == "seat0"


async def test_receiver_report__says_what_was_lost_and_when(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    for sequence in (1, 2, 4):
        an.send(voice(sequence))
    report = SenderReport(11, ntp_time(stage.now_ns), 960, 1, 4)
    an.report(report)
    stage.now_ns += 250 * MS
    ticks.reports(stage.router, stage.now_ns)
    block = next(b for p in an.told(ReceiverReport) for b in p.reports if b.ssrc == 11)
    assert (block.lost, block.highest_sequence, block.fraction_lost) == (1, 4, 64)
    assert block.last_sender_report == middle_32(report.ntp_time)
    assert block.delay == 65_536 // 4


async def test_receiver_report__comes_each_second_also_to_one_who_sends_and_is_sent_nothing(
    stage: Stage,
) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.told()
    for _ in range(3):
        stage.now_ns += SECOND
        ticks.reports(stage.router, stage.now_ns)
        assert [report.reports for report in an.told(ReceiverReport)] == [()]


async def test_round_trip_and_loss__are_read_from_receiver_reports(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    _, binh = pair
    sent = middle_32(ntp_time(stage.now_ns))
    stage.now_ns += 150 * MS
    an, _ = pair
    an.send(voice(1))
    block = ReportBlock(binh.ssrc(0, "audio"), 128, 1, 1, 0, sent, 65_536 // 10)
    binh.report(ReceiverReport(1, (block,)))
    row = next(r for r in stage.statistics().transports if r.peer == "binh")
    assert row.round_trip_ms == pytest.approx(50, abs=0.1)
    legs = [leg for leg in stage.statistics().legs if leg.peer == "binh" and leg.kind == "audio"]
    assert [leg.fraction_lost for leg in legs] == [0.5]


async def test_nack__on_a_path_that_loses_repeats__answered_twice(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    (packet,) = [p for p in binh.received() if p.ssrc == binh.ssrc(0, "audio")]
    answers = []
    for lost in (0, 13):
        block = ReportBlock(packet.ssrc, lost, 0, 0, 0, 0, 0)
        binh.report(ReceiverReport(1, (block,)))
        stage.wire.sent.clear()
        binh.report(Nack(1, packet.ssrc, (packet.sequence,)))
        answers.append(len(stage.wire.sent))
    assert answers == [1, 2]


async def test_goodbye__ends_the_stream(stage: Stage, pair: tuple[StagePeer, StagePeer]) -> None:
    an, _ = pair
    an.send(voice(1))
    an.report(ReceiverReport(1), Goodbye((11,)))
    assert stage.statistics().streams == ()
    an.send(voice(2))
    assert len(stage.statistics().streams) == 1


async def test_flood_of_rtcp__is_passed_over_unread(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    counters = stage.router.state.feedback
    an.send(picture(1, key=True))
    (packet,) = binh.received()
    for _ in range(1000):
        binh.report(Nack(1, packet.ssrc, (packet.sequence + 1 & 0xFFFF,)))
    assert counters.nack_received + counters.too_many == 1000
    assert counters.nack_received == 400
    an.report(Nack(1, 1, (1,)))
    assert counters.nack_received == 401
    stage.now_ns += SECOND
    for _ in range(300):
        binh.report(Nack(1, packet.ssrc, (packet.sequence + 1 & 0xFFFF,)))
    assert counters.nack_received == 601


async def test_first_picture_over_the_estimate__is_not_settled_anew_with_each_report(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    an = await stage.peer("an", "mic", "cam").connected()
    binh = await stage.peer("binh", HEAR, SEE).connected()
    for step in range(320):
        frame = picture(1 + step, key=step % 40 == 0)
        an.send(dataclasses.replace(frame, payload=frame.payload + bytes(1000)))
        if step % 40 == 39:
            stage.now_ns += 200 * MS
            ticks.pictures(stage.router, stage.now_ns)
    home = next(home for home in stage.router.homes() if home.peer.id == "binh")
    allocation = home.connection.downlink.allocation
    assert allocation is not None
    assert allocation.used_bps > START_BPS
    settled: list[object] = []
    monkeypatch.setattr(home.room, "settle_pictures", lambda *of: settled.append(of))
    for _ in range(10):
        binh.report(ReceiverReport(1))
    assert settled == []


async def test_broken_rtcp__is_counted(stage: Stage, pair: tuple[StagePeer, StagePeer]) -> None:
    an, _ = pair
    an.stage.receive(an._dtls._tx_srtp.protect_rtcp(b"\x80\xc8\0\x09" + bytes(8)), an.address)
    assert stage.router.state.feedback.malformed == 1
