"""One leg's outgoing packets: numbers that go on over switches, pauses and dropped packets.

Between two starts, the mapping from a stream's packets to a leg's is a function of the packet's
index alone, so a late packet falls where it belongs and a repeated one is the same byte for byte.
SRTP depends on that: two different packets with one sequence number would be encrypted with one
key stream (RFC 3711 §9.1).
"""

from __future__ import annotations

import struct
from collections import deque

from sfu.rtp.packet import EXTENSION_BIT, VERSION_BITS
from sfu.rtp.payload import PICTURE_ID_LONG, PICTURE_ID_MASK, build_vp8
from sfu.rtp.serial import unwrap_16
from sfu.streams.history import StreamPacket
from sfu.streams.reception import MAX_DROPOUT

_NS_PER_S = 1_000_000_000

#: Steps over dropped packets that are remembered, for packets that come late.
_PAST_SPANS = 64


class Rewriter:
    """Turns the `StreamPacket`s that a leg shows into RTP packets of the leg's own SSRC.

    Call `start` with the first packet to show of a stream, and again after a switch or a pause;
    then `write` for that and each later packet, or `skip` for one that carries nothing. Packets
    that were just not offered between two starts leave no hole; lost ones keep theirs.
    """

    __slots__ = (
        "_extension",
        "_first_byte",
        "_level_extension",
        "_newest",
        "_newest_ns",
        "_newest_picture_id",
        "_newest_time",
        "_newest_tl0",
        "_offset",
        "_pack",
        "_pack_level",
        "_pack_vp8",
        "_past",
        "_payload_type",
        "_picture_offset",
        "_ssrc",
        "_start",
        "_time_offset",
        "_tl0_offset",
    )

    def __init__(
        self,
        ssrc: int,
        *,
        first_sequence: int,
        first_time: int,
        extension: bytes = b"",
        level_extension: bytes = b"",
    ) -> None:
        """`first_sequence` and `first_time` are random (RFC 3550 §5.1).

        `extension` is the whole header extension of a packet without an audio level, and
        `level_extension` of one with a level, but for its last byte, which is the level's; empty
        when the leg carries no levels.
        """
        self._ssrc = ssrc
        self._extension = extension
        self._level_extension = level_extension
        self._first_byte = VERSION_BITS | (EXTENSION_BIT if extension else 0)
        header = f"!BBHII{len(extension)}s"
        self._pack = struct.Struct(header).pack
        self._pack_vp8 = struct.Struct(header + "HHB").pack
        self._pack_level = struct.Struct(f"!BBHII{len(level_extension)}sB").pack
        self._payload_type = 0
        #: The span that is written now: index `_start` and later go out as index + `_offset`.
        self._start = 0
        self._offset = first_sequence
        self._newest = -1
        #: Earlier spans since the last start: (first index, end index, offset).
        self._past: deque[tuple[int, int, int]] = deque(maxlen=_PAST_SPANS)
        self._time_offset = first_time
        self._newest_time = 0
        self._newest_ns: int | None = None
        self._picture_offset = self._newest_picture_id = 0
        self._tl0_offset = self._newest_tl0 = 0

    def start(self, packet: StreamPacket, payload_type: int, clock_rate: int) -> None:
        """Show from `packet` on; what comes before it is not written any more.

        Its sequence number follows the last one, its timestamp is the last one's and the time that
        passed since; its picture id and TL0PICIDX are one more than the last.
        """
        first_ever = self._newest_ns is None
        next_time = self._newest_time + self._time_offset
        if self._newest_ns is not None:
            elapsed_ns = packet.arrival_ns - self._newest_ns
            next_time += max(1, elapsed_ns * clock_rate // _NS_PER_S)
        self._time_offset = next_time - packet.timestamp & 0xFFFF_FFFF
        self._offset += self._newest + 1 - packet.index
        self._start = packet.index
        self._newest = packet.index - 1
        self._past.clear()
        self._payload_type = payload_type
        if packet.descriptor >= 0 and not first_ever:
            next_picture_id = self._newest_picture_id + self._picture_offset + 1
            self._picture_offset = next_picture_id - packet.picture_id
            self._tl0_offset += self._newest_tl0 + 1 - packet.tl0

    def write(self, packet: StreamPacket) -> bytes | None:
        """The leg's packet, None when it comes from before the start."""
        index = packet.index
        if index >= self._start:
            if index > self._newest:
                if index - self._newest > MAX_DROPOUT:
                    self._leap(index)
                self._newest = index
                self._newest_time = packet.timestamp
                self._newest_ns = packet.arrival_ns
                if packet.descriptor >= 0:
                    self._newest_picture_id = packet.picture_id
                    self._newest_tl0 = packet.tl0
            return self._build(packet, index + self._offset & 0xFFFF)
        for start, end, offset in reversed(self._past):
            if start <= index < end:
                return self._build(packet, index + offset & 0xFFFF)
        return None

    def skip(self, index: int) -> bool:
        """Step over a packet without leaving a hole; False when later ones have been written."""
        if index <= self._newest:
            return False
        if index - self._newest > MAX_DROPOUT:
            self._leap(index)
        if index > self._start:
            self._past.append((self._start, index, self._offset))
        self._start = index + 1
        self._offset -= 1
        self._newest = index
        return True

    def index_of(self, sequence: int) -> int | None:
        """The index of the packet that went out with `sequence`, None when it is not known."""
        newest = self._newest + self._offset
        outgoing = unwrap_16(sequence, newest)
        if outgoing > newest:
            return None
        index = outgoing - self._offset
        if index >= self._start:
            return index
        for start, end, offset in reversed(self._past):
            if start <= outgoing - offset < end:
                return outgoing - offset
        return None

    def time_of(self, rtp_time: int) -> int:
        """The leg's RTP timestamp of the shown stream's `rtp_time`."""
        return rtp_time + self._time_offset & 0xFFFF_FFFF

    def _leap(self, index: int) -> None:
        # A sender that started anew: receivers would take the leap for thousands of losses.
        if self._newest >= self._start:
            self._past.append((self._start, self._newest + 1, self._offset))
        self._offset += self._newest + 1 - index
        self._start = index

    def _build(self, packet: StreamPacket, sequence: int) -> bytes:
        second = packet.marker | self._payload_type
        time = packet.timestamp + self._time_offset & 0xFFFF_FFFF
        descriptor = packet.descriptor
        if descriptor >= 0:
            return self._build_vp8(packet, second, sequence, time)
        if packet.level >= 0 and self._level_extension:
            first = VERSION_BITS | EXTENSION_BIT
            extension = self._level_extension
            return (
                self._pack_level(first, second, sequence, time, self._ssrc, extension, packet.level)
                + packet.payload
            )
        return (
            self._pack(self._first_byte, second, sequence, time, self._ssrc, self._extension)
            + packet.payload
        )

    def _build_vp8(self, packet: StreamPacket, second: int, sequence: int, time: int) -> bytes:
        picture_id = packet.picture_id
        tl0 = packet.tl0
        if picture_id >= 0 and tl0 >= 0:
            return (
                self._pack_vp8(
                    self._first_byte,
                    second,
                    sequence,
                    time,
                    self._ssrc,
                    self._extension,
                    packet.descriptor,
                    picture_id + self._picture_offset & PICTURE_ID_MASK | PICTURE_ID_LONG,
                    tl0 + self._tl0_offset & 0xFF,
                )
                + packet.payload
            )
        if picture_id >= 0:
            picture_id = picture_id + self._picture_offset & PICTURE_ID_MASK
        if tl0 >= 0:
            tl0 = tl0 + self._tl0_offset & 0xFF
        header = self._pack(self._first_byte, second, sequence, time, self._ssrc, self._extension)
        return header + build_vp8(packet.descriptor, picture_id, tl0) + packet.payload
