"""The VP9 payload descriptor (RFC 9628 §4.2), as far as an SFU reads and rewrites it."""

from __future__ import annotations

from typing import NamedTuple

from sfu.rtp.payload import PayloadFormatError

_HAS_PICTURE_ID = 0x80
_INTER_PICTURE = 0x40
_HAS_LAYERS = 0x20
_FLEXIBLE = 0x10
_BEGINS = 0x08
_ENDS = 0x04
_HAS_STRUCTURE = 0x02
_LONG_PICTURE_ID = 0x80
_SWITCH_UP = 0x10
_MORE_REFERENCES = 0x01
_MAX_REFERENCES = 3
_STRUCTURE_HAS_SIZES = 0x10
_STRUCTURE_HAS_GROUP = 0x08
#: Width and height of a spatial layer, 16 bits each.
_SIZE_BYTES = 4


class Vp9Descriptor(NamedTuple):
    """A VP9 payload descriptor.

    `picture_id` has `picture_id_bits` (7 or 15) and is -1 when absent, as `tl0` is; flexible mode
    has no TL0PICIDX. `spatial` and `temporal` count from 0. `up_switch`: whoever had the lower
    temporal layers may take this one from here. `begins` and `ends` are about one spatial layer's
    frame. `key_frame` is true for the first packet of a key picture only. `rest` is where the VP9
    bitstream begins.
    """

    picture_id: int
    picture_id_bits: int
    tl0: int
    spatial: int
    temporal: int
    up_switch: bool
    begins: bool
    ends: bool
    key_frame: bool
    rest: int


def parse_vp9(packet: bytes, start: int, end: int) -> Vp9Descriptor:
    """Read the descriptor of `packet[start:end]`. Raises `PayloadFormatError`."""
    try:
        found = _read(packet, start)
    except IndexError:
        raise PayloadFormatError("a VP9 payload is cut short") from None
    if found.rest >= end:
        raise PayloadFormatError("a VP9 payload is cut short")
    return found


def _read(packet: bytes, start: int) -> Vp9Descriptor:
    first = packet[start]
    position = start + 1
    picture_id, bits = -1, 7
    tl0, layer = -1, 0
    flexible = first & _FLEXIBLE
    if first & _HAS_PICTURE_ID:
        picture_id = packet[position]
        position += 1
        if picture_id & _LONG_PICTURE_ID:
            picture_id = (picture_id & 0x7F) << 8 | packet[position]
            bits = 15
            position += 1
    elif flexible:
        raise PayloadFormatError("a VP9 payload in flexible mode has no picture id")
    if first & _HAS_LAYERS:
        layer = packet[position]
        position += 1
        if not flexible:
            tl0 = packet[position]
            position += 1
    if flexible and first & _INTER_PICTURE:
        position = _after_references(packet, position)
    if first & _HAS_STRUCTURE:
        position = _after_structure(packet, position)
    spatial = layer >> 1 & 7
    return Vp9Descriptor(
        picture_id,
        bits,
        tl0,
        spatial,
        layer >> 5,
        layer & _SWITCH_UP != 0,
        first & _BEGINS != 0,
        first & _ENDS != 0,
        not spatial and first & (_INTER_PICTURE | _BEGINS) == _BEGINS,
        position,
    )


def _after_references(packet: bytes, position: int) -> int:
    for _ in range(_MAX_REFERENCES):
        position += 1
        if not packet[position - 1] & _MORE_REFERENCES:
            return position
    raise PayloadFormatError("a VP9 picture has more than three references")


def _after_structure(packet: bytes, position: int) -> int:
    """Where the scalability structure ends (RFC 9628 §4.2.1)."""
    head = packet[position]
    position += 1
    if head & _STRUCTURE_HAS_SIZES:
        position += _SIZE_BYTES * ((head >> 5) + 1)
    if head & _STRUCTURE_HAS_GROUP:
        pictures = packet[position]
        position += 1
        for _ in range(pictures):
            position += 1 + (packet[position] >> 2 & 3)
    return position
