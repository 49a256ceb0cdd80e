"""Commands and punts, and what peers get and do not get, on a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
    SeatView,
    Speakers,
    View,
)
from sfu.errors import CommandError
from sfu.ids import PeerId, RoomId, SourceId
from sfu.router import ticks
from sfu.router.router import ORPHAN_NS
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import (
    FullIntraRequest,
    Goodbye,
    Nack,
    PictureLossIndication,
    ReceiverReport,
    Remb,
    ReportBlock,
    SenderReport,
    SourceDescription,
    middle_32,
    ntp_time,
)
from tests.sfu.offers import Line, offer
from tests.sfu.routing import ALL, MS, ROOM, SECOND, Stage, StagePeer, picture, voice

CALL = ("mic", "cam", "hear", "see")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()


@pytest.fixture
async def pair(stage: Stage) -> tuple[StagePeer, StagePeer]:
    """Two connected peers who may do everything."""
    an = await stage.peer("an", *CALL).connected()
    binh = await stage.peer("binh", *CALL).connected()
    return an, binh


# ------------------------------------------------------------------ commands


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
    assert stage.router.offers_refused == 1
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


# --------------------------------------------------------------------- media


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
    assert stage.router.feedback.pli_received == 20


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
    assert [row.resent for row in stage.statistics().legs if row.kind == "video"] == [1]


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


# ------------------------------------------------------------------- reports


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
    assert [leg.fraction_lost for leg in stage.statistics().legs if leg.peer == "binh"] == [0.5]


async def test_goodbye__ends_the_stream(stage: Stage, pair: tuple[StagePeer, StagePeer]) -> None:
    an, _ = pair
    an.send(voice(1))
    an.report(ReceiverReport(1), Goodbye((11,)))
    assert stage.statistics().streams == ()
    an.send(voice(2))
    assert len(stage.statistics().streams) == 1


async def test_broken_rtcp__is_counted(stage: Stage, pair: tuple[StagePeer, StagePeer]) -> None:
    an, _ = pair
    an.stage.receive(an._dtls._tx_srtp.protect_rtcp(b"\x80\xc8\0\x09" + bytes(8)), an.address)
    assert stage.router.feedback.malformed == 1


# ------------------------------------------------------------------ identity


def bare_picture(*, ssrc: int) -> RtpPacket:
    """A key frame without header extensions."""
    return RtpPacket(96, 1, 3000, ssrc, picture(1, key=True).payload, True)


async def test_stream_without_mid__is_found_by_its_ssrc(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(bare_picture(ssrc=21))
    assert [row.source for row in stage.statistics().streams] == ["an/camera"]


async def test_unknown_ssrc_without_mid__is_nobodys_when_two_sections_could_have_it(
    stage: Stage,
) -> None:
    an = await stage.peer("an", "mic", "cam", "screen").connected()
    an.send(picture(1, key=True, ssrc=77, mid="9"))  # a MID that is no section's
    an.send(bare_picture(ssrc=78))
    assert stage.statistics().streams == ()
    an.send(picture(1, key=True, ssrc=79, mid="2"))
    assert [row.source for row in stage.statistics().streams] == ["an/screen"]


async def test_unknown_ssrc_without_mid__is_the_only_sections_that_could_have_it(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(bare_picture(ssrc=78))
    assert [row.source for row in stage.statistics().streams] == ["an/camera"]


async def test_new_ssrc_on_a_section__takes_the_place_of_the_old(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    an.send(picture(500, key=True, ssrc=99))
    assert [row.packets for row in stage.statistics().streams] == [1]
    first, second = binh.received()
    assert first.ssrc == second.ssrc == binh.ssrc(0, "video")
    assert second.sequence == (first.sequence + 1) % 65_536


async def test_flood_of_ssrcs__is_bounded(stage: Stage, pair: tuple[StagePeer, StagePeer]) -> None:
    an, _ = pair
    for ssrc in range(1000, 1100):
        an.send(picture(1, key=True, ssrc=ssrc))
    assert len(stage.statistics().streams) == 1
    assert stage.statistics().streams[0].packets == 1
    (home,) = (h for h in stage.router.homes() if h.peer.id == "an")
    counters = stage.engine.transport_counters(home.connection.transport.handle)
    assert counters.dropped_packets == 92


async def test_offer_with_another_codec__begins_a_new_stream(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(picture(1, key=True))
    h264 = Line(
        "cam",
        codecs=(
            "a=rtpmap:96 H264/90000",
            "a=fmtp:96 packetization-mode=1;profile-level-id=42e01f",
        ),
    )
    an.negotiate("mic", h264, "hear", "see")
    assert stage.statistics().streams == ()
    an.send(picture(2))
    assert [row.codec for row in stage.statistics().streams] == ["H264"]


# --------------------------------------------------------------- permissions


async def test_not_permitted__nothing_goes_either_way(stage: Stage) -> None:
    stage.permit("an")
    stage.permit("cho", (), receive=False)
    an = await stage.peer("an", *CALL).connected()
    waiting = await stage.peer("cho", *CALL, permitted=False).connected()
    for peer in (an, waiting):
        peer.send(voice(1))
        peer.send(picture(1, key=True))
    assert waiting.received() == []
    assert an.received() == []
    assert [row for row in stage.statistics().legs if row.peer == "cho"] == []
    row = next(r for r in stage.statistics().transports if r.peer == "cho")
    assert row.rtp_sent_packets == 0
    assert stage.seating("cho") == [None]
    assert stage.seating("an") == [None]


async def test_hold__stops_both_ways_at_once_and_return_brings_all_back(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    for peer in pair:
        peer.send(voice(1))
        peer.send(picture(1, key=True))
    assert len(an.received()) == len(binh.received()) == 2
    stage.permit("binh", (), receive=False, version=1)
    for peer in pair:
        peer.send(voice(2))
        peer.send(picture(2, key=True))
    assert an.received() == binh.received() == []
    stage.permit("binh", ALL, version=2)
    for peer in pair:
        peer.send(voice(3))
        peer.send(picture(3, key=True))
    assert len(an.received()) == len(binh.received()) == 2


async def test_late_admission__does_not_undo_a_hold(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    stage.permit("binh", (), receive=False, version=7)
    stage.permit("binh", ALL, version=6)
    an.send(voice(1))
    binh.send(voice(1))
    assert an.received() == binh.received() == []
    stage.permit("binh", ALL, version=7)
    an.send(voice(2))
    assert len(binh.received()) == 1


async def test_permission_for_voice_only__lets_no_picture_through(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    stage.permit("an", ("audio",))
    an.send(voice(1))
    an.send(picture(1, key=True))
    assert [p.ssrc for p in binh.received()] == [binh.ssrc(0, "audio")]


async def test_observer__sees_and_is_not_seen(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    stage.permit("xem", ())
    observer = await stage.peer("xem", "hear", "see", permitted=False).connected()
    an.send(voice(1))
    assert len(observer.received()) == 1
    assert stage.seating("an") == [None]


# --------------------------------------------------------------------- seats


async def test_wanted__counts_all_that_a_peer_may_see(stage: Stage) -> None:
    for name in ("an", "binh", "chi"):
        stage.peer(name, *CALL)
    told = [e for e in stage.events if isinstance(e, Seating) and e.peer == "an"][-1]
    assert told.wanted == 2
    assert [s.peer if s else None for s in told.seats] == ["binh"]


async def test_more_seats__are_filled_after_renegotiation(stage: Stage) -> None:
    an = stage.peer("an", *CALL)
    for name in ("binh", "chi"):
        stage.peer(name, *CALL)
    assert an.negotiate(*CALL, "hear", "see").seats == 2
    assert stage.seating("an") == ["binh/camera", "chi/camera"]


async def test_speaker__takes_the_seat_and_is_told(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    await stage.peer("binh", *CALL).connected()
    chi = await stage.peer("chi", *CALL).connected()
    assert stage.seating("an") == ["binh/camera"]
    for sequence in range(60):
        chi.send(voice(sequence + 1, level=20))
        stage.now_ns += 20 * MS
        ticks.speakers(stage.router, stage.now_ns)
    assert [e.peers for e in stage.events if isinstance(e, Speakers)] == [("chi",)]
    assert stage.seating("an") == ["chi/camera"]
    an.received()
    chi.send(voice(99))
    assert len(an.received()) == 1


async def test_hidden_seat__gets_no_picture_until_it_is_shown(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    stage.do(View(room=ROOM, peer=binh.name, seats=(SeatView(seat=0, height_px=0),)))
    an.send(picture(2, key=True))
    an.send(voice(1))
    video = binh.ssrc(0, "video")
    assert [p.ssrc for p in binh.received()] == [video, binh.ssrc(0, "audio")]
    an.told()
    stage.now_ns += 2 * SECOND
    stage.do(View(room=ROOM, peer=binh.name, seats=(SeatView(seat=0, height_px=360),)))
    assert an.told(PictureLossIndication) != []
    an.send(picture(3, key=True))
    assert [p.ssrc for p in binh.received()] == [video]


async def test_view__hidden_before_there_is_a_picture__stays_hidden(stage: Stage) -> None:
    binh = await stage.peer("binh", *CALL).connected()
    view = (SeatView(seat=0, height_px=0), SeatView(seat=9, height_px=0))
    stage.do(View(room=ROOM, peer=binh.name, seats=view))
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1, key=True))
    assert binh.received() == []


async def test_pin__brings_to_the_seat(stage: Stage) -> None:
    for name in ("an", "binh", "chi"):
        stage.peer(name, *CALL)
    stage.do(View(room=ROOM, peer=PeerId("an"), pinned=(SourceId("chi/camera"),)))
    assert stage.seating("an") == ["chi/camera"]


async def test_screen__is_a_source_of_its_own_while_it_is_shared(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    binh = await stage.peer("binh", "mic", "cam", "screen").connected()
    assert stage.seating("an") == ["binh/screen"]
    binh.send(picture(1, key=True, ssrc=31, mid="2"))
    assert [p.ssrc for p in an.received()] == [an.ssrc(0, "video")]
    off = MediaState(room=ROOM, peer=binh.name, audio=False, video=False, screen=False)
    stage.do(off)
    assert stage.seating("an") == ["binh/camera"]


# ------------------------------------------------------------------- renewal


async def test_fresh_offer__replaces_the_transport_and_keeps_the_seats(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    again = StagePeer(stage, "an")
    stage.peers.append(again)
    before = len(stage.events)
    again.negotiate(*CALL, fresh=True)
    await again.connected()
    told = [e for e in stage.events[before:] if isinstance(e, PeerTransport)]
    assert [(e.peer, e.state) for e in told] == [("an", "connecting"), ("an", "connected")]
    assert stage.seating("binh") == ["an/camera"]
    binh.received()
    an.send(voice(2))
    assert binh.received() == []
    again.send(voice(1))
    assert len(binh.received()) == 1
    assert len(stage.statistics().transports) == 2


async def test_another_fingerprint__is_a_fresh_connection_too(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    again = StagePeer(stage, "an")
    stage.peers.append(again)
    again.negotiate(*CALL)
    assert again.field("ice-ufrag") != pair[0].field("ice-ufrag")
    await again.connected()


async def test_new_ufrag__restarts_ice_and_media_goes_on(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    old = an.field("ice-ufrag")
    an.ufrag = "another"
    an.negotiate(*CALL)
    assert an.field("ice-ufrag") != old
    an.send(voice(1))
    assert len(binh.received()) == 1
    an.address = ("198.51.100.1", 5)
    an.check()
    an.send(voice(2))
    assert len(binh.received()) == 1


async def test_further_offer__that_leaves_out_what_we_did__keeps_streams_and_legs(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    an.send(picture(1, key=True))
    first = {p.ssrc: p.sequence for p in binh.received()}
    left_out = ("a=rtcp-fb:96 transport-cc", "a=rtcp-fb:96 goog-remb")
    for peer in pair:
        peer.negotiate("mic", "cam", "hear", Line("see", without=left_out))
    an.send(voice(2))
    an.send(picture(2))
    after = {p.ssrc: p.sequence for p in binh.received()}
    assert after == {ssrc: (sequence + 1) % 65_536 for ssrc, sequence in first.items()}


async def test_totals__do_not_fall_when_a_peer_goes(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(voice(1))
    stage.do(RemovePeer(room=ROOM, peer=an.name))
    stage.do(RemovePeer(room=ROOM, peer=PeerId("binh")))
    totals = stage.router.retired.by_kind["audio"]
    assert (totals.received_packets, totals.sent_packets) == (1, 1)
