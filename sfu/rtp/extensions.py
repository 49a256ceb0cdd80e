"""RTP header extensions with one- and two-byte headers (RFC 8285 §4.2, §4.3).

Both functions that read expect a whole RTP packet whose `header_length` was found without error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sfu.rtp.packet import CSRC_MASK, EXTENSION_BIT, FIXED_HEADER_BYTES, header_length

ONE_BYTE_PROFILE = 0xBEDE
#: RFC 8285 §4.3: the low four bits are left to the application.
TWO_BYTE_PROFILE = 0x1000
_TWO_BYTE_MASK = 0xFFF0

#: RFC 8285 §4.2: 15 is reserved in the one-byte form, and ends the reading.
_LAST_ONE_BYTE_ID = 14
#: Longer headers are not searched: it would take long, and nobody has so much to say in one.
MAX_SEARCHED_BYTES = 400
_STOP_ID = 15


def elements(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """(id, position of the value, size in bytes) of each whole element, in order.

    What follows a broken element is not read, nor a header of more than `MAX_SEARCHED_BYTES`.
    Raises `RtpFormatError` when the header is broken.
    """
    end = header_length(packet)
    if not packet[0] & EXTENSION_BIT or end > MAX_SEARCHED_BYTES:
        return
    position = FIXED_HEADER_BYTES + 4 * (packet[0] & CSRC_MASK)
    profile = packet[position] << 8 | packet[position + 1]
    one_byte = profile == ONE_BYTE_PROFILE
    if not one_byte and profile & _TWO_BYTE_MASK != TWO_BYTE_PROFILE:
        return
    position += 4
    while position < end:
        lead = packet[position]
        if lead == 0:
            position += 1
            continue
        if one_byte:
            found, size = lead >> 4, (lead & 0x0F) + 1
            position += 1
            if found == _STOP_ID:
                return
        else:
            if position + 1 >= end:
                return
            found, size = lead, packet[position + 1]
            position += 2
        if position + size > end:
            return
        # RFC 8285 §4.2: id 0 with a length is not an element, but its bytes are stepped over.
        if found:
            yield found, position, size
        position += size


def value(packet: bytes, wanted: int) -> bytes | None:
    """The value of the element with id `wanted`, None when there is none."""
    for found, position, size in elements(packet):
        if found == wanted:
            return packet[position : position + size]
    return None


def position_of(packet: bytes, wanted: int, size_bytes: int, end: int) -> int:
    """Where the value of element `wanted` lies, 0 when there is none of `size_bytes` bytes.

    `end` is the packet's `header_length`. It makes no object: the fast path calls it.
    """
    first = packet[0]
    if not first & EXTENSION_BIT or end > MAX_SEARCHED_BYTES:
        return 0
    position = FIXED_HEADER_BYTES + 4 * (first & CSRC_MASK)
    profile = packet[position] << 8 | packet[position + 1]
    if profile == ONE_BYTE_PROFILE:
        return _position_one_byte(packet, wanted, size_bytes, position + 4, end)
    if profile & _TWO_BYTE_MASK == TWO_BYTE_PROFILE:
        return _position_two_byte(packet, wanted, size_bytes, position + 4, end)
    return 0


def _position_one_byte(packet: bytes, wanted: int, size_bytes: int, position: int, end: int) -> int:
    while position < end:
        lead = packet[position]
        position += 1
        if lead == 0:
            continue
        found = lead >> 4
        size = (lead & 0x0F) + 1
        if found == _STOP_ID:
            return 0
        if found == wanted:
            return position if size == size_bytes and position + size <= end else 0
        position += size
    return 0


def _position_two_byte(packet: bytes, wanted: int, size_bytes: int, position: int, end: int) -> int:
    last = end - 1
    while position < last:
        found = packet[position]
        if found == 0:
            position += 1
            continue
        size = packet[position + 1]
        position += 2
        if found == wanted:
            return position if size == size_bytes and position + size <= end else 0
        position += size
    return 0


def extension_block(items: Sequence[tuple[int, bytes]]) -> bytes:
    """A header extension with preamble that carries `items` of (id, value), empty for none.

    The padding stands before the last element, so that the block ends with the last value: who
    sends one that changes with each packet replaces only the end. Raises `ValueError` for an id
    outside 1 to 255 or a value of more than 255 bytes.
    """
    if not items:
        return b""
    if any(not 1 <= wanted <= 255 or len(item) > 255 for wanted, item in items):
        raise ValueError("an extension has an id from 1 to 255 and at most 255 bytes")
    one_byte = all(wanted <= _LAST_ONE_BYTE_ID and 1 <= len(item) <= 16 for wanted, item in items)
    profile = ONE_BYTE_PROFILE if one_byte else TWO_BYTE_PROFILE
    parts = [_element(wanted, item, one_byte) for wanted, item in items]
    padding = -sum(map(len, parts)) % 4
    body = b"".join(parts[:-1]) + bytes(padding) + parts[-1]
    return profile.to_bytes(2, "big") + (len(body) // 4).to_bytes(2, "big") + body


def _element(wanted: int, item: bytes, one_byte: bool) -> bytes:
    lead = bytes((wanted << 4 | len(item) - 1,)) if one_byte else bytes((wanted, len(item)))
    return lead + item
