"""A header extension element of one stream, found without a search while its place is the same."""

from __future__ import annotations

from sfu.rtp.extensions import ONE_BYTE_PROFILE, position_of
from sfu.rtp.packet import CSRC_MASK, FIXED_HEADER_BYTES


class Element:
    """Element `wanted` with a value of `size_bytes` in the packets of one SSRC (RFC 8285).

    A sender hardly ever changes the order of its elements. So the place in the last packet is
    tried first: it is the right one when the header is as long and the byte before the value is
    the same. Only a packet that looks different is searched.
    """

    __slots__ = ("_at", "_first", "_lead", "_size_bytes", "_start", "_wanted")

    def __init__(self, wanted: int, size_bytes: int) -> None:
        self._wanted = wanted
        self._size_bytes = size_bytes
        self._lead = wanted << 4 | size_bytes - 1
        self._first = self._start = self._at = 0

    def position(self, packet: bytes, start: int) -> int:
        """Where the value lies, 0 when there is none; `start` is the packet's header length."""
        at = self._at
        if start == self._start and packet[at - 1] == self._lead and packet[0] == self._first:
            return at
        return self._search(packet, start)

    def _search(self, packet: bytes, start: int) -> int:
        at = position_of(packet, self._wanted, self._size_bytes, start)
        self._start = 0
        if at:
            profile_at = FIXED_HEADER_BYTES + 4 * (packet[0] & CSRC_MASK)
            profile = packet[profile_at] << 8 | packet[profile_at + 1]
            if profile == ONE_BYTE_PROFILE:
                self._first, self._start, self._at = packet[0], start, at
        return at
