"""The bots' RTP, read by the SFU's own parsers."""

from __future__ import annotations

import pytest

from load_tests.rtp_source import (
    ABS_SEND_TIME_ID,
    AUDIO_BYTES,
    AUDIO_LEVEL_ID,
    MID_ID,
    OPUS,
    TRANSPORT_CC_ID,
    VIDEO_BYTES,
    VP8,
    AudioSource,
    Source,
    VideoSource,
)
from load_tests.stamp import STAMP
from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket, payload_bounds
from sfu.rtp.payload import Vp8Descriptor, parse_vp8

SECOND_NS = 1_000_000_000


def described(packet: bytes) -> Vp8Descriptor:
    return parse_vp8(packet, *payload_bounds(packet))


def test_audio_is_opus_like_packets_20_ms_apart() -> None:
    source = AudioSource(7, "0")
    packets = [source.packet(0, 0) for _ in range(3)]
    read = [RtpPacket.parse(packet) for packet in packets]
    assert source.interval_ns == SECOND_NS // 50
    assert {len(packet) for packet in packets} == {AUDIO_BYTES}
    assert {one.payload_type for one in read} == {OPUS}
    assert {one.ssrc for one in read} == {source.ssrc}
    assert [(one.sequence - read[0].sequence) & 0xFFFF for one in read] == [0, 1, 2]
    assert [(one.timestamp - read[0].timestamp) & 0xFFFFFFFF for one in read] == [0, 960, 1920]


def test_audio_carries_mid_and_a_level_that_speaks_and_pauses() -> None:
    source = AudioSource(7, "0")
    source.negotiated((MID_ID, AUDIO_LEVEL_ID))
    packets = [source.packet(0, 0) for _ in range(100)]
    assert {value(packet, MID_ID) for packet in packets} == {b"0"}
    levels = [value(packet, AUDIO_LEVEL_ID) for packet in packets]
    assert levels == [b"\x9e"] * 50 + [b"\x5a"] * 50


def test_video_frames_end_with_a_marker_and_share_a_timestamp() -> None:
    source = VideoSource(8, "1", packets_per_s=150)
    packets = [source.packet(0, 0) for _ in range(10)]
    read = [RtpPacket.parse(packet) for packet in packets]
    assert {len(packet) for packet in packets} == {VIDEO_BYTES}
    assert {one.payload_type for one in read} == {VP8}
    assert [one.marker for one in read] == [False, False, False, False, True] * 2
    times = [(one.timestamp - read[0].timestamp) & 0xFFFFFFFF for one in read]
    assert times == [0] * 5 + [3_000] * 5


def test_video_picture_ids_and_tl0_go_up_by_one_each_frame() -> None:
    source = VideoSource(8, "1", packets_per_s=150)
    found = [described(source.packet(0, 0)) for _ in range(10)]
    first = found[0]
    assert {one.picture_id_bits for one in found} == {15}
    assert [one.picture_id - first.picture_id for one in found] == [0] * 5 + [1] * 5
    assert [(one.tl0 - first.tl0) & 0xFF for one in found] == [0] * 5 + [1] * 5


def test_video_begins_with_a_key_frame_and_gives_one_when_asked() -> None:
    source = VideoSource(8, "1", packets_per_s=150)
    assert [described(source.packet(0, 0)).key_frame for _ in range(10)] == [True] + [False] * 9
    source.packet(0, 0)  # in the midst of a frame
    source.want_key_frame()
    keys = [described(source.packet(0, 0)).key_frame for _ in range(14)]
    assert [index for index, key in enumerate(keys) if key] == [4]
    assert source.key_frames == 2


def test_video_abs_send_time_is_6_18_fixed_point_seconds() -> None:
    source = VideoSource(8, "1", packets_per_s=150)
    source.negotiated((ABS_SEND_TIME_ID,))
    sent = value(source.packet(64 * SECOND_NS + SECOND_NS // 2, 0), ABS_SEND_TIME_ID)
    assert sent is not None
    assert int.from_bytes(sent, "big") == 1 << 17


@pytest.mark.parametrize("source", [AudioSource(7, "0"), VideoSource(8, "1", 150)])
def test_packets_carry_what_was_negotiated_and_nothing_else(source: Source) -> None:
    source.negotiated((TRANSPORT_CC_ID,))
    packet = source.packet(0, 0xABCD)
    assert value(packet, TRANSPORT_CC_ID) == b"\xab\xcd"
    assert value(packet, MID_ID) is None
    assert len(packet) == (AUDIO_BYTES if source.kind == "audio" else VIDEO_BYTES)


@pytest.mark.parametrize("packets_per_s", [1, 30, 300, 3_000])
def test_video_packets_come_at_the_asked_rate(packets_per_s: int) -> None:
    source = VideoSource(8, "1", packets_per_s)
    read = [RtpPacket.parse(source.packet(0, 0)) for _ in range(packets_per_s + 1)]
    assert source.interval_ns == SECOND_NS // packets_per_s
    # One second of packets is about one second of the RTP clock, but for the last frame's rest.
    ticks = (read[-1].timestamp - read[0].timestamp) & 0xFFFFFFFF
    assert ticks == pytest.approx(90_000, abs=90_000 // min(30, packets_per_s) + 1)


def test_each_packet_ends_with_its_stamp() -> None:
    for source, begins in ((AudioSource(7, "0"), [1, 1, 1]), (VideoSource(7, "1", 150), [1, 0, 0])):
        packets = [source.packet(123, 0) for _ in range(3)]
        stamps = [STAMP.unpack(packet[-STAMP.size :]) for packet in packets]
        assert stamps == [(7, begins[number], number, 123) for number in range(3)]


def test_a_mid_of_two_letters_is_refused() -> None:
    with pytest.raises(ValueError, match="one letter"):
        AudioSource(1, "10")
