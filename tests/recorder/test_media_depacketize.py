"""Frames are what the encoder made, or they are not there."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import av
import pytest
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from hypothesis import given
from hypothesis import strategies as st

from recorder.media.depacketize import (
    Frame,
    VideoFrames,
    depacketizer,
    nal_kinds,
    opus_duration_ms,
    vp8_size,
)
from recorder.media.reorder import Ordered, Packet
from sfu.rtp.payload import h264_starts_key_frame
from tests.recorder.tracks import h264_frames, opus_frames, vp8_frames

Video = Literal["VP8", "H264"]
FRAMES = {"VP8": vp8_frames(90), "H264": h264_frames(90)}
#: The encoder of H.264 puts key frames of its own between those that were asked for.
KEYS = {
    "VP8": [0, 30, 60],
    "H264": [n for n, p in enumerate(FRAMES["H264"]) if h264_starts_key_frame(p[0], 0, len(p[0]))],
}


def packets(frames: list[list[bytes]]) -> list[Packet]:
    return [
        Packet(3000 * number, number, index == len(payloads) - 1, payload)
        for number, payloads in enumerate(frames)
        for index, payload in enumerate(payloads)
    ]


def run(codec: Video, kept: list[Packet | None]) -> list[Frame]:
    """Feed packets; None stands for one that was lost."""
    machine = depacketizer(codec)
    frames = []
    after_gap = True
    for packet in kept:
        if packet is None:
            after_gap = True
            continue
        frames += machine.push(Ordered(packet, after_gap))
        after_gap = False
    return frames + machine.flush()


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_whole_stream__every_frame_as_encoded(codec: Video) -> None:
    frames = run(codec, list(packets(FRAMES[codec])))
    depayload = vp8_depayload if codec == "VP8" else h264_depayload
    assert [frame.rtp_time for frame in frames] == [3000 * n for n in range(90)]
    for frame, payloads in zip(frames, FRAMES[codec], strict=True):
        assert frame.data == b"".join(depayload(payload) for payload in payloads)
    assert [n for n, frame in enumerate(frames) if frame.key] == KEYS[codec]


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_whole_stream__decodes(codec: Video) -> None:
    decoder = av.CodecContext.create("vp8" if codec == "VP8" else "h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures = []
    for frame in run(codec, list(packets(FRAMES[codec]))):
        pictures += decoder.decode(av.Packet(frame.data))
    pictures += decoder.decode(None)
    assert len(pictures) == 90
    assert {(picture.width, picture.height) for picture in pictures} == {(320, 240)}


@pytest.mark.parametrize("codec", ["VP8", "H264"])
@given(lost=st.sets(st.integers(0, 400), max_size=12))
def test_loss__only_whole_frames_and_after_it_none_before_a_key_frame(
    codec: Video, lost: set[int]
) -> None:
    all_packets = packets(FRAMES[codec])
    numbered: list[Packet | None] = [
        None if index in lost else packet for index, packet in enumerate(all_packets)
    ]
    whole = {frame.rtp_time: frame.data for frame in run(codec, list(all_packets))}
    damaged = sorted({all_packets[i].rtp_time // 3000 for i in lost if i < len(all_packets)})
    out = run(codec, numbered)
    assert all(whole[frame.rtp_time] == frame.data for frame in out)
    shown = {frame.rtp_time // 3000 for frame in out}
    for key, following in pairwise([*KEYS[codec], 90]):
        # From the first damage on nothing is shown until the next key frame; all before it is.
        first_damage = min((n for n in damaged if key <= n < following), default=following)
        assert shown & set(range(key, following)) == set(range(key, first_damage))


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_padding_between_frames__harms_nothing(codec: Video) -> None:
    probed: list[Packet | None] = []
    for packet in packets(FRAMES[codec]):
        probed.append(packet)
        if packet.marker:
            probed.append(packet._replace(payload=b"", marker=False))
    assert len(run(codec, probed)) == 90


@given(
    codec=st.sampled_from(["opus", "VP8", "H264"]),
    stream=st.lists(
        st.tuples(st.integers(0, 5), st.booleans(), st.booleans(), st.binary(max_size=40))
    ),
)
def test_garbage__never_raises(
    codec: Literal["opus", "VP8", "H264"], stream: list[tuple[int, bool, bool, bytes]]
) -> None:
    machine = depacketizer(codec)
    for rtp_time, marker, after_gap, payload in stream:
        for frame in machine.push(Ordered(Packet(rtp_time, 0, marker, payload), after_gap)):
            assert frame.data
    machine.flush()


def test_endless_frame__is_given_up() -> None:
    machine = depacketizer("VP8")
    assert isinstance(machine, VideoFrames)
    start, more = FRAMES["VP8"][0][0], b"\x00" + bytes(60_000)
    machine.push(Ordered(Packet(0, 0, False, start), True))
    for _ in range(300):
        assert machine.push(Ordered(Packet(0, 0, False, more), False)) == []
    assert machine.dropped == 1


def test_opus__a_packet_is_a_frame_of_its_own_length() -> None:
    (payload,) = opus_frames(1)[0]
    assert opus_duration_ms(payload) == 20
    machine = depacketizer("opus")
    (frame,) = machine.push(Ordered(Packet(960, 7, False, payload), True))
    assert frame == Frame(960, 7, payload, True)
    assert machine.push(Ordered(Packet(960, 7, False, b""), False)) == []


@pytest.mark.parametrize(
    ("packet", "length_ms"),
    [
        (bytes([0 << 3]), 10.0),
        (bytes([3 << 3]), 60.0),
        (bytes([13 << 3 | 1]), 40.0),
        (bytes([16 << 3]), 2.5),
        (bytes([31 << 3 | 3, 3]), 60.0),
        (bytes([3 << 3 | 3, 3]), None),  # RFC 6716 §3.2.5: at most 120 ms
        (bytes([31 << 3 | 3, 0]), None),
        (bytes([31 << 3 | 3]), None),
        (b"", None),
    ],
)
def test_opus_duration__as_the_rfc_counts(packet: bytes, length_ms: float | None) -> None:
    assert opus_duration_ms(packet) == length_ms


def test_h264__aggregated_and_fragmented_units_are_taken_apart() -> None:
    machine = depacketizer("H264")
    aggregate = b"\x78\x00\x02\x67\x01\x00\x02\x68\x02"
    fragments = [b"\x7c\x85abc", b"\x7c\x05def", b"\x7c\x45ghi"]
    frames = machine.push(Ordered(Packet(0, 0, False, aggregate), True))
    for index, payload in enumerate(fragments):
        frames += machine.push(Ordered(Packet(0, 0, index == 2, payload), False))
    (frame,) = frames
    assert frame.data == b"\0\0\0\1\x67\x01\0\0\0\1\x68\x02\0\0\0\1\x65abcdefghi"
    assert frame.key
    assert nal_kinds(frame.data) == {5, 7, 8}


def test_vp8_size__of_a_key_frame_only() -> None:
    frames = run("VP8", list(packets(FRAMES["VP8"][:2])))
    assert vp8_size(frames[0].data) == (320, 240)
    assert vp8_size(frames[1].data) is None
    assert vp8_size(b"") is None
