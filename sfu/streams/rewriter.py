"""One leg's outgoing packets: numbers that go on over switches, pauses and dropped packets.

Between two starts, the mapping from a stream's packets to a leg's is a function of the packet's
index alone, so a late packet falls where it belongs and a repeated one is the same byte for byte
but for its transport-wide sequence number. SRTP depends on that: two different packets with one
sequence number would be encrypted with one key stream (RFC 3711 §9.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from sfu.rtp.av1 import FRAME_NUMBER_AT
from sfu.rtp.payload import PICTURE_ID_LONG, PICTURE_ID_MASK, build_vp8
from sfu.rtp.serial import unwrap_16
from sfu.streams.header import LegHeader
from sfu.streams.history import StreamPacket

Codec = Literal["opus", "VP8", "H264", "VP9", "AV1"]
#: (packet, stamp, mark): see `Rewriter.write`.
Write = Callable[[StreamPacket, int, int], bytes]

_NS_PER_S = 1_000_000_000

#: Steps over dropped packets that are remembered for packets that come late, or again: two seconds
#: of sixty pictures, every one of which has something dropped behind it.
_PAST_SPANS = 128


class Rewriter:
    """Turns the `StreamPacket`s that a leg shows into RTP packets of the leg's own SSRC.

    Call `start` with the first packet to show of a stream. Then, for that and each later packet of
    the stream, either `write`, or `skip` for one that carries nothing, or `drop` for one of a layer
    that is not forwarded; for packets that come late `write_late`. Before another `start`, after a
    switch or a pause, call `stop`. Lost packets keep their holes.

    `write(packet, stamp, mark)` makes the packet: `stamp` is its transport-wide sequence number (16
    bit, not used when the leg has none), `mark` is added to its marker bit. It is another
    function after each `start`.
    """

    __slots__ = (
        "_codec",
        "_dropped_picture_id",
        "_exact_offset",
        "_head",
        "_header",
        "_lead",
        "_level_lead",
        "_newest_ns",
        "_newest_picture_id",
        "_newest_time",
        "_newest_tl0",
        "_next_sequence",
        "_offset",
        "_pack_vp8",
        "_past",
        "_picture_offset",
        "_stamped",
        "_start",
        "_tail",
        "_time_offset",
        "_tl0_offset",
        "write",
    )

    def __init__(self, header: LegHeader, *, first_sequence: int, first_time: int) -> None:
        """`first_sequence` and `first_time` are random (RFC 3550 §5.1)."""
        self._header = header
        # What each packet of VP8 needs of it, nearer by.
        self._pack_vp8, self._head = header.pack_vp8, header.head
        self._stamped, self._tail = header.stamped, header.tail
        self._codec: Codec = "opus"
        self.write: Write = self._write_plain
        self._lead = self._level_lead = 0
        #: The span that is written now: index `_start` and later go out as index + `_offset`.
        self._start = 0
        self._offset = 0
        #: Earlier spans since the last start: (first index, end index, offset, picture offset).
        self._past: deque[tuple[int, int, int, int]] = deque(maxlen=_PAST_SPANS)
        self._next_sequence = first_sequence
        self._time_offset = self._exact_offset = first_time
        #: The outgoing numbers of the newest packet before the last `stop`.
        self._newest_time = 0
        self._newest_ns: int | None = None
        self._newest_picture_id = self._newest_tl0 = -1
        self._picture_offset = self._tl0_offset = 0
        self._dropped_picture_id = -1

    def start(
        self,
        packet: StreamPacket,
        codec: Codec,
        payload_type: int,
        clock_rate: int,
        clock_shift: int | None = None,
    ) -> None:
        """Show from `packet` on; what comes before it is not written any more.

        Its sequence number follows the last one; its picture id and TL0PICIDX, or AV1's frame
        number, are one more than the last. Its timestamp is the last one's and the time that
        passed since: in the sender's clock when `clock_shift` says how much larger the timestamps
        of the stream before are than this one's at the same instant, else by arrival. It never
        steps back.
        """
        self._set_time(packet, clock_rate, clock_shift)
        self._offset = self._next_sequence - packet.index
        self._start = packet.index
        self._past.clear()
        self._dropped_picture_id = -1
        self._codec = codec
        self._lead = self._header.lead | payload_type
        self._level_lead = self._header.level_lead | payload_type
        self.write = self._writer(codec)
        if packet.picture_id >= 0 and self._newest_picture_id >= 0:
            self._picture_offset = self._newest_picture_id + 1 - packet.picture_id
        if packet.tl0 >= 0 and self._newest_tl0 >= 0:
            self._tl0_offset = self._newest_tl0 + 1 - packet.tl0

    def stop(self, newest: StreamPacket, picture_id: int, tl0: int) -> None:
        """Show the stream no longer; `newest` is its newest packet.

        `picture_id` and `tl0` are the newest that it had, -1 when it never had one.
        """
        self._next_sequence = newest.index + 1 + self._offset
        self._newest_time = newest.timestamp + self._time_offset
        self._newest_ns = newest.arrival_ns
        self._start = newest.index + 1
        self._past.clear()
        if picture_id >= 0:
            self._newest_picture_id = picture_id + self._picture_offset & 0xFFFF
        if tl0 >= 0:
            self._newest_tl0 = tl0 + self._tl0_offset & 0xFF

    def write_late(self, packet: StreamPacket, stamp: int, mark: int) -> bytes | None:
        """A packet that comes late, or again; None when it has no number."""
        index = packet.index
        if index >= self._start:
            return self.write(packet, stamp, mark)
        for start, end, offset, picture_offset in reversed(self._past):
            if start <= index < end:
                kept = self._offset, self._picture_offset
                self._offset, self._picture_offset = offset, picture_offset
                data = self.write(packet, stamp, mark)
                self._offset, self._picture_offset = kept
                return data
        return None

    def skip(self, index: int, first: int | None = None) -> None:
        """Step over the newest packet, or all from `first` on, without leaving a hole."""
        first = index if first is None else max(first, self._start)
        if first > self._start:
            self._past.append((self._start, first, self._offset, self._picture_offset))
        self._offset -= index + 1 - first
        self._start = index + 1

    def drop(self, packet: StreamPacket, first: int) -> None:
        """Step over the newest packet, of a layer that is not forwarded, and all from `first` on.

        VP8's picture ids are counted without the pictures that are dropped: a receiver waits for
        one that it has not got. VP9 and AV1 name the pictures that they need by distance, so their
        numbers have to stay.
        """
        self.skip(packet.index, first)
        picture_id = packet.picture_id
        if self._codec == "VP8" and picture_id not in (-1, self._dropped_picture_id):
            self._dropped_picture_id = picture_id
            self._picture_offset -= 1

    def leap(self, step: int, index: int) -> None:
        """The newest packet is so far ahead that the sender started anew: leave no hole.

        Receivers would take the leap for thousands of losses. Call it before `write` or `skip`.
        """
        first = index - step + 1
        if first > self._start:
            self._past.append((self._start, first, self._offset, self._picture_offset))
        self._offset -= index - max(first, self._start)
        self._start = index

    def index_of(self, sequence: int, newest: int) -> int | None:
        """The index of the packet that went out with `sequence`, None when it is not known.

        `newest` is the index of the stream's newest packet.
        """
        outgoing = unwrap_16(sequence, newest + self._offset)
        index = outgoing - self._offset
        if index > newest:
            return None
        if index >= self._start:
            return index
        for start, end, offset, _ in reversed(self._past):
            if start <= outgoing - offset < end:
                return outgoing - offset
        return None

    def sequence_of(self, index: int) -> int | None:
        """The sequence number that the packet of `index` went out with, None when it did not."""
        if index >= self._start:
            return index + self._offset & 0xFFFF
        for start, end, offset, _ in reversed(self._past):
            if start <= index < end:
                return index + offset & 0xFFFF
        return None

    def time_of(self, rtp_time: int) -> int:
        """The leg's RTP timestamp of the shown stream's `rtp_time`."""
        return rtp_time + self._time_offset & 0xFFFF_FFFF

    @property
    def stopped_time(self) -> int:
        """The newest outgoing timestamp at the last `stop`, or what the first packet will have."""
        newest = self._time_offset if self._newest_ns is None else self._newest_time
        return newest & 0xFFFF_FFFF

    def _set_time(self, packet: StreamPacket, clock_rate: int, clock_shift: int | None) -> None:
        if self._newest_ns is None:
            self._time_offset = self._exact_offset = self._time_offset - packet.timestamp
            return
        elapsed = (packet.arrival_ns - self._newest_ns) * clock_rate // _NS_PER_S
        exact = None
        if clock_shift is not None:
            exact = packet.timestamp + clock_shift + self._exact_offset - self._newest_time
            exact = (exact + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
            # More than a second from what we see: the sender's reports are wrong.
            if abs(exact - elapsed) >= clock_rate:
                exact = None
        forward = max(1, elapsed if exact is None else exact)
        self._time_offset = self._newest_time + forward - packet.timestamp
        # A step that was made longer, so as not to go back, is not kept for the next switch.
        self._exact_offset = self._time_offset - (0 if exact is None else forward - exact)

    def _writer(self, codec: Codec) -> Write:
        if codec == "VP8":
            return self._write_vp8
        if codec == "VP9":
            return self._write_vp9
        if codec == "AV1" and self._header.dependency_id:
            return self._write_av1
        if codec == "opus" and self._header.levels:
            return self._write_level
        return self._write_plain

    def _write_plain(self, packet: StreamPacket, stamp: int, mark: int) -> bytes:
        header = self._header
        return (
            header.pack(
                self._lead | packet.marker | mark,
                packet.index + self._offset & 0xFFFF,
                packet.timestamp + self._time_offset & 0xFFFF_FFFF,
                header.head,
                stamp if header.stamped else header.tail,
            )
            + packet.payload
        )

    def _write_level(self, packet: StreamPacket, stamp: int, mark: int) -> bytes:
        if packet.level < 0:
            return self._write_plain(packet, stamp, mark)
        header = self._header
        return (
            header.pack_level(
                self._level_lead | packet.marker | mark,
                packet.index + self._offset & 0xFFFF,
                packet.timestamp + self._time_offset & 0xFFFF_FFFF,
                header.level_head,
                packet.level,
                header.level_middle,
                stamp if header.stamped else header.level_tail,
            )
            + packet.payload
        )

    def _write_vp8(self, packet: StreamPacket, stamp: int, mark: int) -> bytes:
        picture_id, tl0 = packet.picture_id, packet.tl0
        if picture_id < 0 or tl0 < 0:
            return self._write_odd_vp8(packet, stamp, mark)
        return (
            self._pack_vp8(
                self._lead | packet.marker | mark,
                packet.index + self._offset & 0xFFFF,
                packet.timestamp + self._time_offset & 0xFFFF_FFFF,
                self._head,
                stamp if self._stamped else self._tail,
                packet.descriptor,
                picture_id + self._picture_offset & PICTURE_ID_MASK | PICTURE_ID_LONG,
                tl0 + self._tl0_offset & 0xFF,
            )
            + packet.payload
        )

    def _write_odd_vp8(self, packet: StreamPacket, stamp: int, mark: int) -> bytes:
        data = self._write_plain(packet, stamp, mark)
        if packet.descriptor < 0:
            return data
        picture_id, tl0 = packet.picture_id, packet.tl0
        if picture_id >= 0:
            picture_id = picture_id + self._picture_offset & PICTURE_ID_MASK
        if tl0 >= 0:
            tl0 = tl0 + self._tl0_offset & 0xFF
        at = len(data) - len(packet.payload)
        return data[:at] + build_vp8(packet.descriptor, picture_id, tl0) + data[at:]

    def _write_vp9(self, packet: StreamPacket, stamp: int, mark: int) -> bytes:
        if packet.descriptor < 0:
            return self._write_plain(packet, stamp, mark)
        header = self._header
        tl0 = packet.tl0
        return (
            header.pack_vp9(
                self._lead | packet.marker | mark,
                packet.index + self._offset & 0xFFFF,
                packet.timestamp + self._time_offset & 0xFFFF_FFFF,
                header.head,
                stamp if header.stamped else header.tail,
                packet.descriptor,
                packet.picture_id + self._picture_offset & PICTURE_ID_MASK | PICTURE_ID_LONG,
                packet.fourth,
                packet.fifth if tl0 < 0 else tl0 + self._tl0_offset & 0xFF,
            )
            + packet.payload
        )

    def _write_av1(self, packet: StreamPacket, stamp: int, mark: int) -> bytes:
        value = packet.dependency
        data = self._write_plain(packet, stamp, mark)
        if not value:
            return data
        frame_number = packet.picture_id + self._picture_offset & 0xFFFF
        value = (
            value[:FRAME_NUMBER_AT] + frame_number.to_bytes(2, "big") + value[FRAME_NUMBER_AT + 2 :]
        )
        lead = self._level_lead | packet.marker | mark
        block = self._header.with_dependency(value, stamp)
        return lead.to_bytes(2, "big") + data[2:8] + block + packet.payload
