"""The RTP header (RFC 3550 §5.1): read, write, and where the payload lies."""

from __future__ import annotations

import struct
from dataclasses import dataclass

#: First two bytes, sequence number, timestamp, SSRC.
FIXED_HEADER = struct.Struct("!BBHII")
FIXED_HEADER_BYTES = FIXED_HEADER.size
#: The same, and how many words the extension has in a packet without CSRCs.
EXTENDED_HEADER = struct.Struct("!BBHII2xH")
EXTENDED_HEADER_BYTES = EXTENDED_HEADER.size
#: The first byte of what browsers send, all but padding: an extension, no CSRC, no padding.
USUAL_FIRST_BYTE = 0x90

VERSION_BITS = 0x80
PADDING_BIT = 0x20
EXTENSION_BIT = 0x10
CSRC_MASK = 0x0F
MARKER_BIT = 0x80


class RtpFormatError(ValueError):
    """The bytes are not an RTP packet."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """An RTP packet, for the slow path and tests; the fast path reads bytes where they lie.

    `extension` is the content of the header extension without its four byte preamble, a multiple
    of four bytes; `extension_profile` says how to read it, None when there is no extension.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension_profile: int | None = None
    extension: bytes = b""
    padding_bytes: int = 0

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Read a whole decrypted packet. Raises `RtpFormatError`."""
        start, end = payload_bounds(data)
        first, second, sequence, timestamp, ssrc = FIXED_HEADER.unpack_from(data)
        csrc_end = FIXED_HEADER_BYTES + 4 * (first & CSRC_MASK)
        csrcs = struct.unpack_from(f"!{first & CSRC_MASK}I", data, FIXED_HEADER_BYTES)
        profile = None
        if first & EXTENSION_BIT:
            profile = int.from_bytes(data[csrc_end : csrc_end + 2], "big")
        return cls(
            payload_type=second & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=data[start:end],
            marker=bool(second & MARKER_BIT),
            csrcs=csrcs,
            extension_profile=profile,
            extension=data[csrc_end + 4 : start] if profile is not None else b"",
            padding_bytes=len(data) - end,
        )

    def __bytes__(self) -> bytes:
        first = VERSION_BITS | len(self.csrcs)
        second = self.payload_type | (MARKER_BIT if self.marker else 0)
        extension = padding = b""
        if self.extension_profile is not None:
            first |= EXTENSION_BIT
            words = len(self.extension) // 4
            extension = struct.pack("!HH", self.extension_profile, words) + self.extension
        if self.padding_bytes:
            first |= PADDING_BIT
            padding = bytes(self.padding_bytes - 1) + bytes((self.padding_bytes,))
        header = FIXED_HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)
        csrcs = struct.pack(f"!{len(self.csrcs)}I", *self.csrcs)
        return header + csrcs + extension + self.payload + padding


def header_length(data: bytes) -> int:
    """Bytes before the payload: fixed header, CSRCs and extension. Raises `RtpFormatError`."""
    size = len(data)
    if size < FIXED_HEADER_BYTES:
        raise RtpFormatError("an RTP packet has at least 12 bytes")
    first = data[0]
    if first & 0xC0 != VERSION_BITS:
        raise RtpFormatError("the RTP version is not 2")
    length = FIXED_HEADER_BYTES + 4 * (first & CSRC_MASK)
    if first & EXTENSION_BIT:
        if size < length + 4:
            raise RtpFormatError("the header extension is cut short")
        length += 4 + 4 * (data[length + 2] << 8 | data[length + 3])
    if length > size:
        raise RtpFormatError("the RTP header is cut short")
    return length


def payload_bounds(data: bytes) -> tuple[int, int]:
    """Where the payload starts and ends, padding left out. Raises `RtpFormatError`."""
    end = len(data)
    start = header_length(data)
    if data[0] & PADDING_BIT:
        padding = data[-1]
        # RFC 3550 §5.1: the count includes itself, so it is at least 1.
        if padding == 0 or end - padding < start:
            raise RtpFormatError("the RTP padding is longer than the packet")
        end -= padding
    return start, end
