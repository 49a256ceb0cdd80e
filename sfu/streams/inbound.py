"""One incoming stream: each packet is counted, taken apart once, and kept for the legs."""

from __future__ import annotations

from typing import Literal

from sfu.rtp.av1 import (
    DependencyReader,
    UnknownTemplateError,
    av1_starts_key_frame,
)
from sfu.rtp.extensions import value
from sfu.rtp.packet import MARKER_BIT
from sfu.rtp.payload import (
    PICTURE_ID_BITS,
    PICTURE_ID_LONG,
    PICTURE_ID_MASK,
    VP8_INTER_FRAME,
    VP8_LAYER_SYNC,
    VP8_TID_SHIFT,
    VP8_USUAL_BYTES,
    VP8_USUAL_LEAD,
    VP8_USUAL_REST,
    PayloadFormatError,
    h264_starts_key_frame,
    parse_vp8,
    unpack_vp8,
)
from sfu.rtp.serial import unwrap
from sfu.rtp.vp9 import parse_vp9
from sfu.streams.element import Element
from sfu.streams.history import NO_SWITCH, History, StreamPacket
from sfu.streams.layers import ALL
from sfu.streams.nack import MissingPackets
from sfu.streams.reception import MAX_DROPOUT, Reception

Codec = Literal["opus", "VP8", "H264", "VP9", "AV1"]

_NS_PER_S = 1_000_000_000
#: How long a packet may be asked for again: a picture that is later than this is of no use.
VIDEO_KEEP_NS, AUDIO_KEEP_NS = 2 * _NS_PER_S, _NS_PER_S
#: Slots at first, and at most: 2,000 video packets a second, 250 audio packets.
VIDEO_SLOTS, MAX_VIDEO_SLOTS = 256, 4096
AUDIO_SLOTS, MAX_AUDIO_SLOTS = 64, 256

#: A key frame the first packet of which comes so many packets late is none: it is too much to send
#: at once to whoever would begin with it, and the others have been without it for too long.
MAX_BEHIND = 128

#: `layer_bytes` has 4 spatial by 4 temporal layers; higher ones count as the highest.
_LAYERS, _HIGHEST = 4, 3

_H264_TYPE = 0x1F
#: Sequence parameter set, STAP-A (RFC 6184 §5.2).
_H264_PARAMETERS = (7, 24)
_VP8_BEGINS = 0x1000
_VP8_BEGINS_MASK = 0x1700
#: First byte, 16 bit picture id, layers, TL0PICIDX or whatever is there.
_VP9_FIXED_BYTES = 5


class InboundStream:
    """The state of one SSRC. `take` each packet; what it returns goes to the legs.

    Of the packet taken last: `step` says how far it is ahead of all before it (0 or less when it
    came late), `key_frame` whether it began a key frame. `picture_id` and `tl0` are those of the
    newest packet that had any, -1 before. `key_frames` counts, without those that come too late;
    `frames` counts marker bits, `layer_bytes` payload bytes by ``4 * spatial + temporal`` layer.
    """

    __slots__ = (
        "_dependencies",
        "_dependency_id",
        "_holed_time",
        "_key_frame_time",
        "_level",
        "_parse",
        "_payload_type",
        "_picture_time",
        "_repaired",
        "frames",
        "history",
        "key_frame",
        "key_frames",
        "layer_bytes",
        "missing",
        "picture_id",
        "reception",
        "step",
        "tl0",
    )

    def __init__(
        self,
        codec: Codec,
        payload_type: int,
        clock_rate: int,
        audio_level_id: int = 0,
        dependency_id: int = 0,
    ) -> None:
        self._payload_type = payload_type
        self._level = Element(audio_level_id, 1) if audio_level_id else None
        self._dependency_id = dependency_id
        self._dependencies = DependencyReader()
        self._parse = {
            "opus": self._opus,
            "VP8": self._vp8,
            "H264": self._h264,
            "VP9": self._vp9,
            "AV1": self._av1,
        }[codec]
        self._holed_time = self._key_frame_time = self._picture_time = -1
        is_audio = codec == "opus"
        keep_ns = AUDIO_KEEP_NS if is_audio else VIDEO_KEEP_NS
        self.history = (
            History(AUDIO_SLOTS, MAX_AUDIO_SLOTS, keep_ns)
            if is_audio
            else History(VIDEO_SLOTS, MAX_VIDEO_SLOTS, keep_ns)
        )
        self._repaired = not is_audio  # nobody asks for a voice's packets again
        self.reception = Reception(clock_rate)
        self.missing = MissingPackets(keep_ns)
        self.step = 0
        self.key_frame = False
        self.key_frames = self.frames = 0
        self.picture_id = self.tl0 = -1
        self.layer_bytes = [0] * (_LAYERS * _LAYERS)

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
        highest = reception.highest
        # As `unwrap_16`, without the call.
        index = (
            sequence if highest < 0 else highest + (sequence - highest + 0x8000 & 0xFFFF) - 0x8000
        )
        slot = self.history.slot(index, now_ns)
        if slot.index >= index:
            # The slot has this packet, or one a turn of the ring newer.
            reception.duplicates += slot.index == index
            return None
        self.step = step = reception.note(index, timestamp, end - start, now_ns)
        if step != 1:
            if step <= 0:
                self.missing.arrived(index)
            elif step <= MAX_DROPOUT and self._repaired:
                self.missing.lost(index - step + 1, step - 1, now_ns)
        slot.index = index
        slot.timestamp = timestamp
        slot.arrival_ns = now_ns
        slot.marker = marker = second & MARKER_BIT
        self.key_frame = False
        if second & 0x7F == self._payload_type and start < end:
            if marker:
                self.frames += 1
            self._parse(packet, start, end, slot)
        else:
            _empty(slot)
        return slot

    def newest(self) -> StreamPacket:
        """The newest packet that was taken."""
        return self.history.at(self.reception.highest)

    def forget(self) -> None:
        """Keep no packet and ask for none."""
        self.history.clear()
        self.missing.clear()

    def _opus(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        slot.payload = packet[start:end]
        level = self._level
        if level is not None:
            at = level.position(packet, start)
            slot.level = packet[at] if at else -1
        self.layer_bytes[0] += end - start

    def _h264(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        slot.payload = packet[start:end]
        step = self.step
        if step > 1 and packet[start] & _H264_TYPE not in _H264_PARAMETERS:
            # Its picture may have lost its parameter sets: it begins when they come after all.
            self._holed_time = slot.timestamp
        elif h264_starts_key_frame(packet, start, end):
            has_parameters = packet[start] & _H264_TYPE in _H264_PARAMETERS
            if has_parameters or (step == 1 and slot.timestamp != self._holed_time):
                self._begin_key_frame(slot.timestamp)
        self.layer_bytes[0] += end - start

    def _vp8(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        if end - start <= VP8_USUAL_BYTES:
            self._odd_vp8(packet, start, end, slot)
            return
        lead, picture_id, tl0, layer, frame = unpack_vp8(packet, start)
        if lead & VP8_USUAL_LEAD != VP8_USUAL_LEAD or not picture_id & PICTURE_ID_LONG:
            self._odd_vp8(packet, start, end, slot)
            return
        slot.payload = packet[start + VP8_USUAL_REST : end]
        slot.descriptor = lead
        slot.picture_id = picture_id = picture_id & PICTURE_ID_MASK
        slot.tl0 = tl0
        if self.step > 0:
            self.picture_id = picture_id
            self.tl0 = tl0
        slot.temporal = temporal = layer >> VP8_TID_SHIFT
        slot.begins = begins = lead & _VP8_BEGINS_MASK == _VP8_BEGINS
        if layer & VP8_LAYER_SYNC:
            slot.switch_from, slot.switch_to = temporal - 1, temporal
        else:
            slot.switch_from = NO_SWITCH
        slot.key_frame = False
        if begins and not frame & VP8_INTER_FRAME:
            self._begin_key_frame(slot.timestamp)
            slot.key_frame = True
        self.layer_bytes[temporal] += end - start

    def _odd_vp8(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        """Any descriptor, as `parse_vp8` reads it."""
        try:
            (lead, picture_id, bits, tl0, rest, key_frame, temporal, sync) = parse_vp8(
                packet, start, end
            )
        except PayloadFormatError:
            _empty(slot)
            return
        slot.payload = packet[rest:end]
        slot.descriptor = lead if rest > start else -1
        if picture_id >= 0 and bits < PICTURE_ID_BITS:
            picture_id = unwrap(picture_id, self.picture_id, bits) & PICTURE_ID_MASK
        slot.picture_id = picture_id
        slot.tl0 = tl0
        if self.step > 0 and rest > start:
            self.picture_id, self.tl0 = picture_id, tl0
        slot.temporal = temporal
        slot.begins = lead & _VP8_BEGINS_MASK == _VP8_BEGINS
        # RFC 7741 §4.2, Y: this picture needs none of its own layer, nor of those between.
        slot.switch_from, slot.switch_to = (temporal - 1, temporal) if sync else (NO_SWITCH, 0)
        if key_frame:
            self._begin_key_frame(slot.timestamp)
        slot.key_frame = key_frame
        self.layer_bytes[temporal] += end - start

    def _vp9(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        try:
            found = parse_vp9(packet, start, end)
        except PayloadFormatError:
            _empty(slot)
            return
        if found.picture_id_bits == PICTURE_ID_BITS and end - start > _VP9_FIXED_BYTES:
            slot.descriptor = packet[start]
            slot.fourth, slot.fifth = packet[start + 3], packet[start + 4]
            slot.payload = packet[start + _VP9_FIXED_BYTES : end]
        else:
            slot.descriptor = -1
            slot.payload = packet[start:end]
        slot.picture_id, slot.tl0 = found.picture_id, found.tl0
        temporal = found.temporal
        # RFC 9628 §4.2, U: what follows in higher layers needs nothing of them from before.
        slot.switch_from, slot.switch_to = (temporal, ALL) if found.up_switch else (NO_SWITCH, 0)
        self._layered(slot, found.spatial, temporal, found.begins, found.ends, found.key_frame)
        self._count_layer(found.spatial, temporal, end - start)

    def _av1(self, packet: bytes, start: int, end: int, slot: StreamPacket) -> None:
        slot.payload = packet[start:end]
        slot.dependency, slot.picture_id = b"", -1
        slot.switch_from, slot.switch_to = NO_SWITCH, 0
        descriptor = value(packet, self._dependency_id) if self._dependency_id else None
        try:
            found = None if descriptor is None else self._dependencies.read(descriptor, slot.index)
        except UnknownTemplateError as unknown:
            # Its structure was lost. Receivers get it when it comes after all: they can read this.
            slot.dependency, slot.picture_id = descriptor or b"", unknown.frame_number
            found = None
        except PayloadFormatError:
            found = None
        if found is None or descriptor is None:
            begins = slot.timestamp != self._picture_time
            key_frame = descriptor is None and av1_starts_key_frame(packet, start, end)
            self._layered(slot, 0, 0, begins, slot.marker != 0, key_frame)
            self._count_layer(0, 0, end - start)
            return
        slot.dependency, slot.picture_id = descriptor, found.frame_number
        if found.switches_up:
            slot.switch_from, slot.switch_to = 0, ALL
        self._layered(
            slot, found.spatial, found.temporal, found.begins, found.ends, found.key_frame
        )
        self._count_layer(found.spatial, found.temporal, end - start)

    def _layered(
        self,
        slot: StreamPacket,
        spatial: int,
        temporal: int,
        begins: bool,
        ends: bool,
        key_frame: bool,
    ) -> None:
        """VP9 and AV1: `begins` and `ends` are about one spatial layer's frame."""
        slot.spatial, slot.temporal, slot.ends = spatial, temporal, ends
        slot.begins = begins and slot.timestamp != self._picture_time
        slot.key_frame = key_frame
        if key_frame:
            self._begin_key_frame(slot.timestamp)
        if self.step > 0:
            self._picture_time = slot.timestamp
            if slot.picture_id >= 0:
                self.picture_id, self.tl0 = slot.picture_id, slot.tl0

    def _count_layer(self, spatial: int, temporal: int, size_bytes: int) -> None:
        layer = _LAYERS * min(spatial, _HIGHEST) + min(temporal, _HIGHEST)
        self.layer_bytes[layer] += size_bytes

    def _begin_key_frame(self, timestamp: int) -> None:
        # A key frame of H.264 has several packets that look like its first (SPS, then slices).
        if timestamp != self._key_frame_time and self.step >= -MAX_BEHIND:
            self._key_frame_time = timestamp
            self.key_frame = True
            self.key_frames += 1


def _empty(slot: StreamPacket) -> None:
    slot.payload = slot.dependency = b""
    slot.descriptor = slot.level = slot.picture_id = slot.tl0 = -1
    slot.spatial = slot.temporal = 0
    slot.begins = slot.ends = slot.key_frame = False
    slot.switch_from = NO_SWITCH
