"""What a leg sends on its retransmission SSRC (RFC 4588): packets again, and padding."""

from __future__ import annotations

from sfu.rtp.packet import (
    FIXED_HEADER,
    MARKER_BIT,
    PADDING_BIT,
    header_length,
)
from sfu.streams.header import STAMP_BYTES, LegHeader

#: RFC 3550 §5.1: the padding's last byte counts it.
MAX_PADDING_BYTES = 255


class RtxWriter:
    """The packets of one retransmission SSRC, numbered on their own.

    `header` is that of this SSRC: the same extensions as the leg's. `stamp` is the transport-wide
    sequence number (16 bit), not used when the leg has none.
    """

    __slots__ = ("_header", "_sequence")

    def __init__(self, header: LegHeader, first_sequence: int) -> None:
        self._header = header
        self._sequence = first_sequence

    def repeat(self, data: bytes, payload_type: int, stamp: int) -> bytes:
        """The leg's packet `data` again (§4): its number first in the payload."""
        start = header_length(data)
        extension_end = start - STAMP_BYTES if self._header.stamped else start
        self._sequence += 1
        return b"".join(
            (
                data[:1],
                bytes((data[1] & MARKER_BIT | payload_type,)),
                (self._sequence & 0xFFFF).to_bytes(2, "big"),
                data[4:8],
                self._header.ssrc,
                data[FIXED_HEADER.size : extension_end],
                stamp.to_bytes(STAMP_BYTES, "big") if self._header.stamped else b"",
                data[2:4],
                data[start:],
            )
        )

    def padding(self, size_bytes: int, payload_type: int, timestamp: int, stamp: int) -> bytes:
        """A packet of only padding, to see what the path carries; a receiver drops it."""
        size_bytes = max(1, min(size_bytes, MAX_PADDING_BYTES))
        header = self._header
        self._sequence += 1
        return (
            header.pack(
                header.lead | PADDING_BIT << 8 | payload_type,
                self._sequence & 0xFFFF,
                timestamp,
                header.head,
                stamp if header.stamped else header.tail,
            )
            + bytes(size_bytes - 1)
            + bytes((size_bytes,))
        )
