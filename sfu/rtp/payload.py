"""What an SFU reads inside a payload: the VP8 descriptor (RFC 7741 §4.2) and key frames.

All functions take a whole packet and where its payload starts and ends, so that nothing is copied.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_VP8_EXTENDED = 0x80
_VP8_START = 0x10
_VP8_PARTITION = 0x07
_VP8_HAS_PICTURE_ID = 0x80
_VP8_HAS_TL0 = 0x40
_VP8_HAS_TID = 0x20
_VP8_HAS_TID_OR_KEY = 0x30
VP8_LAYER_SYNC = 0x20
VP8_TID_SHIFT = 6
_VP8_LONG_PICTURE_ID = 0x80
#: RFC 6386 §9.1: the lowest bit of a frame's first byte is 0 in a key frame.
VP8_INTER_FRAME = 0x01

PICTURE_ID_BITS = 15
PICTURE_ID_MASK = 0x7FFF
#: The M bit of a 15 bit picture id, in the 16 bits that carry it.
PICTURE_ID_LONG = 0x8000

#: What browsers send as a rule: X, I, L and T are set and the picture id is long; K may be.
#: `unpack_vp8` gives lead, picture id with its M bit, TL0PICIDX, layer byte, frame's first byte.
VP8_USUAL_LEAD = 0x80E0
unpack_vp8 = struct.Struct("!HHBBB").unpack_from
#: Where `Vp8Descriptor.rest` is then, and where the frame begins.
VP8_USUAL_REST, VP8_USUAL_BYTES = 5, 6

_H264_TYPE = 0x1F
_H264_IDR = 5
_H264_SPS = 7
_H264_STAP_A = 24
_H264_FU_A = 28
_H264_FU_START = 0x80


class PayloadFormatError(ValueError):
    """The payload is cut short."""


class Vp8Descriptor(NamedTuple):
    """A VP8 payload descriptor.

    `lead` is its first byte and, below, the extension flags; `picture_id` has `picture_id_bits`
    (7 or 15); either is -1 when absent, as `tl0` is. `rest` is the position of the first byte that
    is the same whatever the picture id and TL0PICIDX: those two and `lead` stand before it.
    `temporal` is the temporal layer from 0, `layer_sync` is true where a receiver of the lower
    layers may begin to take this one; a stream that names no layers has all in layer 0.
    """

    lead: int
    picture_id: int
    picture_id_bits: int
    tl0: int
    rest: int
    key_frame: bool
    temporal: int = 0
    layer_sync: bool = False


def parse_vp8(packet: bytes, start: int, end: int) -> Vp8Descriptor:
    """Read the descriptor of `packet[start:end]`. Raises `PayloadFormatError`.

    `key_frame` is true for the first packet of a key frame only.
    """
    try:
        first = packet[start]
        if not first & _VP8_EXTENDED:
            key_frame = _vp8_starts_key_frame(packet, first, start + 1)
            found = Vp8Descriptor(first << 8, -1, 7, -1, start, key_frame)
            size_end = start + 1
        else:
            flags = packet[start + 1]
            rest = start + 2
            picture_id, bits, tl0 = -1, 7, -1
            if flags & _VP8_HAS_PICTURE_ID:
                picture_id = packet[rest]
                rest += 1
                if picture_id & _VP8_LONG_PICTURE_ID:
                    picture_id = (picture_id << 8 | packet[rest]) & PICTURE_ID_MASK
                    bits = 15
                    rest += 1
            if flags & _VP8_HAS_TL0:
                tl0 = packet[rest]
                rest += 1
            size_end = rest + 1 if flags & _VP8_HAS_TID_OR_KEY else rest
            layer = packet[rest] if flags & _VP8_HAS_TID else 0
            found = Vp8Descriptor(
                first << 8 | flags,
                picture_id,
                bits,
                tl0,
                rest,
                _vp8_starts_key_frame(packet, first, size_end),
                layer >> VP8_TID_SHIFT,
                layer & VP8_LAYER_SYNC != 0,
            )
    except IndexError:
        raise PayloadFormatError("a VP8 payload is cut short") from None
    if size_end >= end:
        raise PayloadFormatError("a VP8 payload is cut short")
    return found


def _vp8_starts_key_frame(packet: bytes, first: int, frame: int) -> bool:
    starts = first & (_VP8_START | _VP8_PARTITION) == _VP8_START
    return starts and not packet[frame] & VP8_INTER_FRAME


def build_vp8(lead: int, picture_id: int, tl0: int) -> bytes:
    """The descriptor up to `Vp8Descriptor.rest`, the picture id always in 15 bits.

    RFC 7741 §4.2 lets the size of the picture id change from packet to packet. Absent fields are
    -1; others are cut to their size.
    """
    descriptor = lead.to_bytes(2, "big")
    if picture_id >= 0:
        descriptor += (picture_id & PICTURE_ID_MASK | PICTURE_ID_LONG).to_bytes(2, "big")
    if tl0 >= 0:
        descriptor += bytes((tl0 & 0xFF,))
    return descriptor


def h264_starts_key_frame(packet: bytes, start: int, end: int) -> bool:
    """Whether an IDR picture or a sequence parameter set begins here (RFC 6184 §5.2).

    Looks into single NAL units, STAP-A and the first fragment of a FU-A.
    """
    if start >= end:
        return False
    kind = packet[start] & _H264_TYPE
    if kind == _H264_FU_A:
        if end - start < 2 or not packet[start + 1] & _H264_FU_START:
            return False
        kind = packet[start + 1] & _H264_TYPE
    elif kind == _H264_STAP_A:
        return _stap_starts_key_frame(packet, start + 1, end)
    return kind in (_H264_IDR, _H264_SPS)


def _stap_starts_key_frame(packet: bytes, position: int, end: int) -> bool:
    while position + 2 < end:
        if packet[position + 2] & _H264_TYPE in (_H264_IDR, _H264_SPS):
            return True
        position += 2 + (packet[position] << 8 | packet[position + 1])
    return False
