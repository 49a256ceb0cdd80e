from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import value
from sfu.rtp.packet import payload_bounds
from sfu.rtp.payload import (
    PayloadFormatError,
    build_vp8,
    h264_starts_key_frame,
    parse_vp8,
)
from sfu.transport.description import AUDIO_LEVEL_URI, RID_URI, Section, parse_offer
from tests import vectors


@st.composite
def vp8_payloads(draw: st.DrawFn) -> tuple[bytes, int, int, bytes, bool]:
    """A payload, its picture id, its TL0PICIDX (-1 when absent), frame bytes, key frame or not."""
    start, partition = draw(st.booleans()), draw(st.integers(0, 7))
    frame = draw(st.binary(min_size=1, max_size=20))
    key_frame = start and partition == 0 and frame[0] & 1 == 0
    first = (0x10 if start else 0) | partition
    if draw(st.booleans()):
        return bytes((first,)) + frame, -1, -1, frame, key_frame
    flags, fields, picture_id, tl0 = 0, b"", -1, -1
    if draw(st.booleans()):
        flags |= 0x80
        picture_id = draw(st.integers(0, 0x7FFF))
        short = picture_id < 128 and draw(st.booleans())
        fields += bytes((picture_id,)) if short else (picture_id | 0x8000).to_bytes(2, "big")
    if draw(st.booleans()):
        flags |= 0x40
        tl0 = draw(st.integers(0, 255))
        fields += bytes((tl0,))
    layer = draw(st.sampled_from([0, 0x20, 0x10, 0x30]))
    flags |= layer
    fields += draw(st.binary(min_size=1, max_size=1)) if layer else b""
    return bytes((first | 0x80, flags)) + fields + frame, picture_id, tl0, frame, key_frame


@given(vp8_payloads(), st.binary(max_size=20))
def test_vp8__any_descriptor__is_read(
    made: tuple[bytes, int, int, bytes, bool], header: bytes
) -> None:
    payload, picture_id, tl0, _, key_frame = made
    packet = header + payload
    found = parse_vp8(packet, len(header), len(packet))
    assert (found.picture_id, found.tl0, found.key_frame) == (picture_id, tl0, key_frame)


@given(vp8_payloads(), st.integers(0, 0x7FFF), st.integers(0, 255))
def test_vp8__rewritten__only_the_numbers_change(
    made: tuple[bytes, int, int, bytes, bool], new_picture_id: int, new_tl0: int
) -> None:
    payload, picture_id, tl0, frame, key_frame = made
    found = parse_vp8(payload, 0, len(payload))
    if found.rest == 0:
        assert (picture_id, tl0) == (-1, -1)
        return
    new_picture_id = new_picture_id if picture_id >= 0 else -1
    new_tl0 = new_tl0 if tl0 >= 0 else -1
    rewritten = build_vp8(found.lead, new_picture_id, new_tl0) + payload[found.rest :]
    again = parse_vp8(rewritten, 0, len(rewritten))
    assert (again.picture_id, again.tl0, again.key_frame) == (new_picture_id, new_tl0, key_frame)
    assert again.picture_id_bits == (15 if picture_id >= 0 else 7)
    assert again.lead == found.lead
    assert rewritten[again.rest :] == payload[found.rest :]
    assert rewritten.endswith(frame)


@given(vp8_payloads(), st.binary(max_size=30))
def test_vp8__descriptor_cut_short__format_error(
    made: tuple[bytes, int, int, bytes, bool], padding: bytes
) -> None:
    payload, _, _, frame, _ = made
    for end in range(len(payload) - len(frame) + 1):
        with pytest.raises(PayloadFormatError):
            parse_vp8(payload[:end], 0, end)
        with pytest.raises(PayloadFormatError):
            parse_vp8(payload + padding, 0, end)


@pytest.mark.parametrize(
    ("payload", "temporal", "layer_sync"),
    [
        ("10 00", 0, False),
        ("90 20 a0 00", 2, True),
        ("90 20 40 00", 1, False),
        ("90 f0 92 34 07 60 00", 1, True),
        ("90 10 a5 00", 0, False),  # a key index only: the upper bits say nothing
        ("90 80 05 00", 0, False),
    ],
)
def test_vp8__temporal_layer_and_sync__as_rfc_7741(
    payload: str, temporal: int, layer_sync: bool
) -> None:
    data = bytes.fromhex(payload)
    found = parse_vp8(data, 0, len(data))
    assert (found.temporal, found.layer_sync) == (temporal, layer_sync)


@given(st.binary(max_size=30))
def test_vp8__any_bytes__descriptor_or_format_error(data: bytes) -> None:
    try:
        found = parse_vp8(data, 0, len(data))
    except PayloadFormatError:
        return
    assert 0 <= found.rest <= len(data)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("65", True),  # IDR
        ("67", True),  # SPS
        ("68", False),  # PPS
        ("41", False),  # another slice
        ("78 0002 6742 0002 68ce", True),  # STAP-A of SPS and PPS
        ("78 0002 68ce 0002 6588", True),  # STAP-A of PPS and IDR
        ("78 0002 68ce 0002 4188", False),
        ("78 00ff 68ce", False),  # longer than the packet
        ("78 0000 0000", False),
        ("7c 85 00", True),  # FU-A, start of an IDR
        ("7c 05 00", False),  # FU-A, middle of an IDR
        ("7c 45 00", False),  # FU-A, end of an IDR
        ("7c 81 00", False),  # FU-A, start of another slice
        ("7c", False),
        ("", False),
    ],
)
def test_h264__key_frame__as_rfc_6184(payload: str, expected: bool) -> None:
    data = bytes.fromhex(payload)
    assert h264_starts_key_frame(b"\0\0" + data + b"\0", 2, 2 + len(data)) is expected


@given(st.binary(max_size=60))
def test_h264__any_bytes__no_crash(data: bytes) -> None:
    assert h264_starts_key_frame(data, 0, len(data)) in (True, False)


def sent(name: str, role: Literal["microphone", "camera"]) -> tuple[Section, list[bytes]]:
    """A vector's section and its packets, without retransmissions."""
    section = parse_offer(vectors.offer(name)).of_role(role)
    assert section is not None
    kind = section.codecs[0].payload_type
    packets = vectors.packets("chromium-opus" if role == "microphone" else name)
    return section, [packet for packet in packets if packet[1] & 0x7F == kind]


def test_vp8__chromium__each_encoding_begins_with_a_key_frame_and_has_three_layers() -> None:
    section, packets = sent("chromium-vp8-simulcast", "camera")
    by_rid: dict[bytes | None, list[bytes]] = {}
    for packet in packets:
        by_rid.setdefault(value(packet, section.extensions[RID_URI]), []).append(packet)
    assert set(by_rid) == {b"q", b"h", b"f"}
    for one in by_rid.values():
        found = [parse_vp8(packet, *payload_bounds(packet)) for packet in one]
        assert found[0].key_frame
        assert {d.temporal for d in found} == {0, 1, 2}
        steps = {(b.picture_id - a.picture_id) & 0x7FFF for a, b in pairwise(found)}
        assert steps == {0, 1} or steps == {1}
        # TL0PICIDX counts the pictures of the lowest layer (RFC 7741 §4.2).
        for before, after in pairwise(found):
            new = after.picture_id != before.picture_id and after.temporal == 0
            assert (after.tl0 - before.tl0) & 0xFF == new


def test_h264__chromium__key_frames_begin_with_a_parameter_set() -> None:
    section, packets = sent("chromium-h264-simulcast", "camera")
    begun: dict[bytes | None, bool] = {}
    for packet in packets:
        rid = value(packet, section.extensions[RID_URI])
        begun.setdefault(rid, h264_starts_key_frame(packet, *payload_bounds(packet)))
    assert begun == {b"q": True, b"h": True, b"f": True}


def test_opus__chromium__every_packet_has_its_level() -> None:
    section, packets = sent("chromium-vp8-simulcast", "microphone")
    levels = [value(packet, section.extensions[AUDIO_LEVEL_URI]) for packet in packets]
    assert len(levels) == 60
    loud = [level[0] & 0x7F for level in levels if level is not None]
    assert len(loud) == len(levels)
    assert min(loud) < 30
