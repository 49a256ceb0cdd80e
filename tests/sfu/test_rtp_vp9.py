from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.packet import payload_bounds
from sfu.rtp.payload import PayloadFormatError
from sfu.rtp.vp9 import Vp9Descriptor, parse_vp9
from sfu.transport.description import parse_offer
from tests import vectors

FRAME = b"\x82\x49\x83"


def described(payload: str, frame: bytes = FRAME) -> Vp9Descriptor:
    """The descriptor written as hexadecimal, with two bytes before it and a frame behind it."""
    data = bytes.fromhex(payload)
    found = parse_vp9(b"\0\0" + data + frame, 2, 2 + len(data) + len(frame))
    assert found.rest == 2 + len(data)
    return found


def test_shortest__one_byte() -> None:
    found = described("0c")
    assert (found.picture_id, found.tl0, found.spatial, found.temporal) == (-1, -1, 0, 0)
    assert (found.begins, found.ends, found.key_frame) == (True, True, True)


def test_non_flexible__picture_id_layers_and_tl0() -> None:
    found = described("ec 92 34 35 07")  # I P L B E; TID 1, U, SID 2, D
    assert (found.picture_id, found.picture_id_bits, found.tl0) == (0x1234, 15, 7)
    assert (found.temporal, found.up_switch, found.spatial) == (1, True, 2)
    assert not found.key_frame


def test_short_picture_id__seven_bits() -> None:
    found = described("88 7f")
    assert (found.picture_id, found.picture_id_bits) == (127, 7)


def test_flexible__references_are_stepped_over_and_there_is_no_tl0() -> None:
    found = described("f8 85 00 00 03 05 06")
    assert (found.picture_id, found.tl0, found.key_frame) == (0x500, -1, False)


def test_flexible__without_picture_id__format_error() -> None:
    with pytest.raises(PayloadFormatError, match="picture id"):
        described("18")


def test_flexible__four_references__format_error() -> None:
    with pytest.raises(PayloadFormatError, match="references"):
        described("d8 05 03 03 03 02")


@pytest.mark.parametrize(
    "structure",
    [
        "00",
        "50 0140 00b4 0280 0168 0500 02d0",  # the sizes of three layers
        "08 00",  # a group of no pictures
        "08 03 10 14 01 28 01 02",  # of three, with 0, 1 and 2 references
        "18 0140 00b4 01 00",
    ],
)
def test_structure__is_stepped_over(structure: str) -> None:
    assert described("0a" + structure).key_frame


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("08", True),
        ("04", False),  # the end of the key picture's frame
        ("48", False),  # needs earlier pictures
        ("28 00 00", True),
        ("28 02 00", False),  # another spatial layer of the key picture
        ("28 03 00", False),
    ],
)
def test_key_frame__begins_with_the_lowest_layer(payload: str, expected: bool) -> None:
    assert described(payload).key_frame is expected


@given(st.binary(max_size=40), st.integers(0, 8), st.integers(0, 45))
def test_any_bytes__descriptor_or_format_error(data: bytes, start: int, end: int) -> None:
    try:
        found = parse_vp9(data, start, min(end, len(data)))
    except PayloadFormatError:
        return
    assert start < found.rest < min(end, len(data))


def test_chromium__three_spatial_layers_and_three_temporal() -> None:
    found = read_vector()
    assert {(d.spatial, d.temporal) for d in found} == {(s, t) for s in range(3) for t in range(3)}
    assert found[0].key_frame
    assert all(d.picture_id_bits == 15 for d in found)


def test_chromium__picture_ids_follow_each_other_and_layers_rise() -> None:
    pictures = [list(group) for _, group in groupby(read_vector(), lambda d: d.picture_id)]
    ids = [picture[0].picture_id for picture in pictures]
    assert ids == [ids[0] + n & 0x7FFF for n in range(len(ids))]
    for picture in pictures[:-1]:  # the last may be cut off
        layers = [[d.begins for d in g] for _, g in groupby(picture, lambda d: d.spatial)]
        assert all(begins[0] and not any(begins[1:]) for begins in layers)
        assert [d.spatial for d in picture] == sorted(d.spatial for d in picture)
        assert picture[-1].ends


def read_vector() -> list[Vp9Descriptor]:
    camera = parse_offer(vectors.offer("chromium-vp9-svc")).of_role("camera")
    assert camera is not None
    packets = vectors.packets("chromium-vp9-svc")
    media = [p for p in packets if p[1] & 0x7F == camera.codecs[0].payload_type]
    assert len(media) > 100
    return [parse_vp9(p, *payload_bounds(p)) for p in media]
