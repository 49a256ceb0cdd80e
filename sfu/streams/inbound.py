"""One incoming stream: each packet is counted, taken apart once, and kept for the legs."""

from __future__ import annotations

from typing import Literal

from sfu.rtp.extensions import position_of
from sfu.rtp.packet import MARKER_BIT
from sfu.rtp.payload import (
    PICTURE_ID_BITS,
    PICTURE_ID_MASK,
    PayloadFormatError,
    h264_starts_key_frame,
    parse_vp8,
)
from sfu.rtp.serial import unwrap
from sfu.streams.history import History, StreamPacket
from sfu.streams.nack import MissingPackets
from sfu.streams.reception import Reception

Codec = Literal["opus", "VP8", "H264"]

#: Video: about two seconds of 2.5 Mb/s. Audio: two and a half seconds of 20 ms packets.
VIDEO_HISTORY = 512
AUDIO_HISTORY = 128


class InboundStream:
    """The state of one SSRC. `take` each packet; what it returns goes to the legs.

    `key_frame` says whether the packet taken last began a key frame, `key_frames` how many did.
    """

    __slots__ = (
        "_audio_level_id",
        "_key_frame_time",
        "_parse",
        "_payload_type",
        "_picture_id",
        "history",
        "key_frame",
        "key_frames",
        "missing",
        "reception",
    )

    def __init__(
        self, codec: Codec, payload_type: int, clock_rate: int, audio_level_id: int = 0
    ) -> None:
        self._payload_type = payload_type
        self._audio_level_id = audio_level_id
        self._parse = {"opus": self._opus, "VP8": self._vp8, "H264": self._h264}[codec]
        self._picture_id = 0
        self._key_frame_time = -1
        self.history = History(AUDIO_HISTORY if codec == "opus" else VIDEO_HISTORY)
        self.reception = Reception(clock_rate)
        self.missing = MissingPackets()
        self.key_frame = False
        self.key_frames = 0

    def count(self, sequence: int, timestamp: int, size_bytes: int, now_ns: int) -> None:
        """Count a packet that goes nowhere."""
        reception = self.reception
        reception.note(reception.index_of(sequence), timestamp, size_bytes, now_ns)

    def take(
        self,
        packet: bytes,
        second: int,
        sequence: int,
        timestamp: int,
        start: int,
        end: int,
        now_ns: int,
    ) -> StreamPacket | None:
        """Take a packet into the ring; None when it is a duplicate or too late.

        `second` is the second byte of the header; the payload is `packet[start:end]`. A packet of
        another payload type, or one that is only padding or broken, comes out with an empty
        payload: legs step over it.
        """
        reception = self.reception
        index = reception.index_of(sequence)
        slot = self.history.slot(index)
        if slot.index >= index:
            # The slot has this packet, or one a turn of the ring newer.
            reception.duplicates += slot.index == index
            return None
        step = reception.note(index, timestamp, end - start, now_ns)
        if step <= 0:
            self.missing.arrived(index)
        elif step > 1:
            self.missing.lost(index - step + 1, step - 1, now_ns)
        slot.index = index
        slot.timestamp = timestamp
        slot.arrival_ns = now_ns
        slot.marker = second & MARKER_BIT
        slot.descriptor = slot.level = -1
        self.key_frame = False
        if second & 0x7F == self._payload_type and start < end:
            self._parse(packet, start, end, slot)
        else:
            slot.payload = b""
        return slot

    def forget(self) -> None:
        """Keep no packet and ask for none."""
        self.history.clear()
        self.missing.clear()

    def _opus(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        slot.payload = packet[start:end]
        wanted = self._audio_level_id
        if wanted:
            position = position_of(packet, wanted, 1, start)
            if position:
                slot.level = packet[position]

    def _h264(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        slot.payload = packet[start:end]
        if h264_starts_key_frame(packet, start, end):
            self._begin_key_frame(slot.timestamp)

    def _vp8(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        try:
            lead, picture_id, bits, tl0, rest, key_frame = parse_vp8(packet, start, end)
        except PayloadFormatError:
            slot.payload = b""
            return
        slot.payload = packet[rest:end]
        if rest > start:
            slot.descriptor = lead
            if picture_id >= 0:
                if bits < PICTURE_ID_BITS:
                    picture_id = unwrap(picture_id, self._picture_id, bits) & PICTURE_ID_MASK
                self._picture_id = picture_id
            slot.picture_id = picture_id
            slot.tl0 = tl0
        if key_frame:
            self._begin_key_frame(slot.timestamp)

    def _begin_key_frame(self, timestamp: int) -> None:
        # A key frame of H.264 has several packets that look like its first (SPS, then slices).
        if timestamp != self._key_frame_time:
            self._key_frame_time = timestamp
            self.key_frame = True
            self.key_frames += 1
