"""Which stream a packet is of, and what takes the place of what, on a real engine."""

from __future__ import annotations

from sfu.rtp.packet import RtpPacket
from tests.sfu.offers import Line
from tests.sfu.routing import SECOND, Stage, StagePeer, picture


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
    assert counters.dropped_packets == 80


async def test_new_streams_without_end__end_at_the_total_of_a_connection(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    for ssrc in range(1000, 1510):
        stage.now_ns += SECOND // 4
        an.send(picture(1, key=True, ssrc=ssrc))
    (home,) = (h for h in stage.router.homes() if h.peer.id == "an")
    assert [stream.ssrc for stream in home.connection.publisher] == [1499]
    row = stage.engine._transports[home.connection.transport.handle]
    assert len(row.publishers) == 500
    an.send(picture(2, ssrc=1499))
    assert stage.statistics().streams[0].packets == 2


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
