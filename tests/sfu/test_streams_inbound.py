from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import extension_block
from sfu.rtp.packet import RtpFormatError, RtpPacket, payload_bounds
from sfu.rtp.payload import PayloadFormatError, build_vp8, parse_vp8
from sfu.streams.history import NO_SWITCH, StreamPacket
from sfu.streams.inbound import (
    AUDIO_SLOTS,
    MAX_AUDIO_SLOTS,
    MAX_VIDEO_SLOTS,
    Codec,
    InboundStream,
)

NOW_NS = 1_700_000_000_000_000_000
VP8_LEAD = 0x90E0  # start of a frame, with picture id, TL0PICIDX and TID
KEY, INTER = b"\x20\0frame", b"\x20\1frame"


def take(
    stream: InboundStream, packet: RtpPacket | bytes, now_ns: int = NOW_NS
) -> StreamPacket | None:
    data = bytes(packet)
    start, end = payload_bounds(data)
    read = RtpPacket.parse(data)
    return stream.take(data, data[1], read.sequence, read.timestamp, start, end, now_ns)


def vp8(sequence: int, frame: bytes, picture_id: int = 5, tl0: int = 6) -> RtpPacket:
    payload = build_vp8(VP8_LEAD, picture_id, tl0) + frame
    return RtpPacket(96, sequence & 0xFFFF, sequence * 10, 1, payload, marker=True)


def test_take__vp8__is_taken_apart() -> None:
    stream = InboundStream("VP8", 96, 90_000)
    slot = take(stream, vp8(7, INTER, 300, 9))
    assert slot is not None
    assert (slot.index, slot.timestamp, slot.marker, slot.arrival_ns) == (7, 70, 0x80, NOW_NS)
    assert (slot.descriptor, slot.picture_id, slot.tl0) == (VP8_LEAD, 300, 9)
    assert slot.payload == INTER
    assert stream.history.find(7, NOW_NS) is slot


def test_take__vp8_picture_id_goes_to_seven_bits__is_continued_in_fifteen() -> None:
    stream = InboundStream("VP8", 96, 90_000)
    take(stream, vp8(1, INTER, 0x7FFF))
    short = bytes.fromhex("908000") + INTER[1:]
    slot = take(stream, RtpPacket(96, 2, 0, 1, short))
    assert slot is not None
    assert slot.picture_id == 0
    take(stream, vp8(3, INTER, 1000))
    short = bytes((0x90, 0x80, 1001 & 0x7F)) + INTER[1:]
    slot = take(stream, RtpPacket(96, 4, 0, 1, short))
    assert slot is not None
    assert slot.picture_id == 1001


def test_take__key_frames__counted_once_each() -> None:
    stream = InboundStream("H264", 96, 90_000)
    kinds = [(1, "67"), (1, "68"), (1, "65"), (1, "65"), (2, "41"), (3, "65")]
    began = []
    for sequence, (time, kind) in enumerate(kinds):
        take(stream, RtpPacket(96, sequence, time, 1, bytes.fromhex(kind) + b"nal"))
        began.append(stream.key_frame)
    assert began == [True, False, False, False, False, True]
    assert stream.key_frames == 2


def test_take__audio_level__is_read() -> None:
    stream = InboundStream("opus", 111, 48_000, audio_level_id=3)
    block = extension_block([(1, b"mid"), (3, b"\xa5")])
    for sequence, (extension, level) in enumerate([(block[4:], 0xA5), (b"", -1)]):
        packet = RtpPacket(111, sequence, 0, 1, b"opus", False, (), 0xBEDE, extension)
        slot = take(stream, packet)
        assert slot is not None
        assert (slot.level, slot.payload) == (level, b"opus")


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(96, 1, 2, 3, b"", padding_bytes=200),
        RtpPacket(97, 1, 2, 3, b"another payload type"),
        RtpPacket(96, 1, 2, 3, b"\x90"),
    ],
    ids=["padding only", "another payload type", "broken descriptor"],
)
def test_take__nothing_for_a_decoder__is_counted_with_an_empty_payload(packet: RtpPacket) -> None:
    stream = InboundStream("VP8", 96, 90_000)
    slot = take(stream, packet)
    assert slot is not None
    assert slot.payload == b""
    assert not stream.key_frame
    assert (stream.reception.packets, stream.reception.lost) == (1, 0)


def test_take__nothing_for_a_decoder__has_no_layer_of_the_packet_before_it_in_the_ring() -> None:
    stream = InboundStream("VP8", 96, 90_000)
    payload = build_vp8(VP8_LEAD, 5, 6) + bytes((2 << 6,)) + b"\1frame"
    first = take(stream, RtpPacket(96, 0, 0, 1, payload))
    assert first is not None
    assert first.temporal == 2
    size, later_ns = stream.history.size, NOW_NS + 10_000_000_000
    padding = take(stream, RtpPacket(96, size, 30, 1, b"", padding_bytes=20), later_ns)
    assert padding is first
    assert (padding.spatial, padding.temporal) == (0, 0)


def test_take__twice__duplicate() -> None:
    stream = InboundStream("VP8", 96, 90_000)
    assert take(stream, vp8(1, KEY)) is not None
    assert take(stream, vp8(2, INTER)) is not None
    assert take(stream, vp8(1, KEY)) is None
    assert (stream.reception.duplicates, stream.reception.packets) == (1, 2)


def test_take__later_than_the_ring_is_long__is_not_taken() -> None:
    stream = InboundStream("opus", 111, 48_000)
    for sequence in range(1, AUDIO_SLOTS + 2):
        take(stream, RtpPacket(111, sequence, 0, 1, b"opus"), NOW_NS + sequence * 20_000_000)
    assert stream.history.size == AUDIO_SLOTS
    assert take(stream, RtpPacket(111, 0, 0, 1, b"opus"), 2 * NOW_NS) is None


def test_take__a_hole__is_asked_for_until_it_is_filled() -> None:
    stream = InboundStream("VP8", 96, 90_000)
    for sequence in (65534, 65535 + 2, 65535 + 4):
        take(stream, vp8(sequence, INTER))
    later_ns = NOW_NS + 1_000_000_000
    assert stream.missing.due(later_ns, 0) == [65535, 65536, 65538]
    take(stream, vp8(65536, INTER))
    assert stream.missing.due(later_ns + 500_000_000, 0) == [65535, 65538]
    assert stream.reception.repaired == 1


def test_forget__keeps_nothing() -> None:
    stream = InboundStream("VP8", 96, 90_000)
    for sequence in (1, 3):
        take(stream, vp8(sequence, INTER))
    stream.forget()
    assert stream.history.find(1, NOW_NS) is None
    assert stream.missing.due(NOW_NS + 500_000_000, 0) == []
    assert stream.reception.packets == 2


def test_count__counts_and_keeps_nothing() -> None:
    stream = InboundStream("VP8", 96, 90_000)
    for sequence in (10, 11, 13):
        stream.count(sequence, 0, 100, NOW_NS)
    assert (stream.reception.packets, stream.reception.lost) == (3, 1)
    assert stream.history.find(11, NOW_NS) is None


@given(
    st.sampled_from(["opus", "VP8", "H264", "VP9", "AV1"]),
    st.lists(st.binary(max_size=60), max_size=30),
)
def test_take__any_packets__no_crash(codec: Codec, bodies: list[bytes]) -> None:
    stream = InboundStream(codec, 96, 90_000, audio_level_id=1, dependency_id=1)
    for body in bodies:
        data = b"\x90\x60" + body
        try:
            slot = take(stream, data)
        except RtpFormatError:
            continue
        assert slot is None or stream.history.find(slot.index, NOW_NS) is slot


def test_rings__hold_two_seconds_of_video_and_one_of_audio_at_most_so_many() -> None:
    rings: list[tuple[Codec, int, int]] = [("VP8", 1000, 1_900), ("opus", 200, 900)]
    for codec, rate, age_ms in rings:
        stream, step_ns = InboundStream(codec, 96, 90_000), 1_000_000_000 // rate
        for sequence in range(3 * rate):
            take(stream, RtpPacket(96, sequence, 0, 1, b"x"), NOW_NS + sequence * step_ns)
        now_ns = NOW_NS + 3_000_000_000
        assert stream.history.find(3 * rate - rate * age_ms // 1000, now_ns) is not None
        assert stream.history.find(1, now_ns) is None
    for sequence in range(5000, 15_000):
        take(stream, RtpPacket(96, sequence, 0, 1, b"x"), 2 * NOW_NS)
    assert stream.history.size == MAX_AUDIO_SLOTS < MAX_VIDEO_SLOTS


def test_h264__parameter_sets_lost__the_key_frame_begins_when_they_come() -> None:
    stream = InboundStream("H264", 96, 90_000)
    began = []
    for sequence, kind in ((1, 1), (3, 5), (4, 5), (2, 7), (5, 1), (6, 5)):
        time = {1: 1, 5: 3, 6: 4}.get(sequence, 2)
        take(stream, RtpPacket(96, sequence, time, 1, bytes((kind,)) + b"nal"))
        began.append(stream.key_frame)
    assert began == [False, False, False, True, False, True]


def test_h264__one_of_several_parameter_packets_lost__the_key_frame_begins_when_it_comes() -> None:
    stream = InboundStream("H264", 96, 90_000)
    began = []
    for sequence, kind in ((0, 1), (2, 8), (3, 5), (1, 7)):
        time = 1 if sequence == 0 else 2
        take(stream, RtpPacket(96, sequence, time, 1, bytes((kind,)) + b"nal"))
        began.append(stream.key_frame)
    assert began == [False, False, False, True]


@pytest.mark.parametrize("dependency_id", [0, 7])
def test_av1__without_descriptors__key_frames_by_the_aggregation_header(dependency_id: int) -> None:
    stream = InboundStream("AV1", 96, 90_000, dependency_id=dependency_id)
    for sequence, first in enumerate((0x18, 0x10)):
        slot = take(stream, RtpPacket(96, sequence, sequence, 1, bytes((first,)) + b"obu"))
        assert slot is not None
        assert slot.key_frame is stream.key_frame is (first == 0x18)


@given(st.binary(max_size=12))
def test_take__any_vp8_payload__read_as_the_parser_reads_it(payload: bytes) -> None:
    """The quick reading of the usual descriptor says what the whole parser says."""
    usual = (VP8_LEAD | payload[0] << 8 & 0x700 if payload else VP8_LEAD).to_bytes(2, "big")
    for data in (payload, usual + payload):
        stream = InboundStream("VP8", 96, 90_000)
        slot = take(stream, RtpPacket(96, 1, 0, 1, data))
        assert slot is not None
        try:
            found = parse_vp8(data, 0, len(data))
        except PayloadFormatError:
            assert slot.payload == b""
            continue
        assert (slot.tl0, slot.temporal, slot.key_frame) == (
            found.tl0,
            found.temporal,
            found.key_frame,
        )
        assert stream.key_frame is found.key_frame
        assert (slot.picture_id - found.picture_id) % (1 << found.picture_id_bits) == 0
        assert slot.payload == data[found.rest :]
        assert slot.switch_from == (found.temporal - 1 if found.layer_sync else NO_SWITCH)
