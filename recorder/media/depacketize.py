"""RTP payloads made into frames: Opus (RFC 7587), VP8 (RFC 7741), H.264 (RFC 6184).

A damaged frame is dropped. After a loss, video is dropped up to the next key frame: what comes
between would decode to a wrong picture, and a gap in a medical record must look like one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, Protocol

from recorder.media.reorder import Ordered
from sfu.rtp.payload import PayloadFormatError, parse_vp8

#: A frame above this is an attack: at 8 Mb/s a key frame has some hundred kilobytes.
_MAX_FRAME_BYTES = 8 << 20

_START_CODE = b"\x00\x00\x00\x01"
_H264_IDR, _H264_SPS, _H264_AUD, _H264_LAST_SINGLE = 5, 7, 9, 23
_H264_STAP_A, _H264_FU_A = 24, 28
#: RFC 6716 §3.1: the frame's length by the TOC byte's configuration, in tenths of a millisecond.
_OPUS_SILK = (100, 200, 400, 600)
_OPUS_HYBRID = (100, 200)
_OPUS_CELT = (25, 50, 100, 200)
_OPUS_FRAME = _OPUS_SILK * 3 + _OPUS_HYBRID * 2 + _OPUS_CELT * 4
_OPUS_MAX_PACKET = 1200


class Frame(NamedTuple):
    """A whole frame; `rtp_time` is unwrapped, `arrival_ns` that of its first packet to arrive.

    H.264 is in Annex B form, one access unit; VP8 and Opus are as a container holds them.
    """

    rtp_time: int
    arrival_ns: int
    data: bytes
    key: bool


class Depacketizer(Protocol):
    """Call `push` for each packet in order and `flush` at the end; `dropped` counts frames."""

    dropped: int

    def push(self, ordered: Ordered) -> list[Frame]:
        """Take a packet; return the frames that it completes."""

    def flush(self) -> list[Frame]:
        """Return the frame that is still open, when it may be whole."""


def depacketizer(codec: Literal["opus", "VP8", "H264"]) -> Depacketizer:
    """The depacketizer for a codec."""
    if codec == "opus":
        return OpusFrames()
    return VideoFrames(_Vp8() if codec == "VP8" else _H264())


class OpusFrames:
    """RFC 7587 §4.2: a packet is a frame."""

    def __init__(self) -> None:
        self.dropped = 0

    def push(self, ordered: Ordered) -> list[Frame]:
        """Take a packet; return its frame. Empty ones are keep-alives."""
        packet = ordered.packet
        if not packet.payload:
            return []
        if opus_duration_ms(packet.payload) is None:
            self.dropped += 1
            return []
        return [Frame(packet.rtp_time, packet.arrival_ns, packet.payload, True)]

    def flush(self) -> list[Frame]:
        """Nothing is ever open."""
        return []


class _VideoCodec(Protocol):
    def begins(self, payload: bytes) -> bool:
        """Whether a frame certainly begins with this payload."""

    def join(self, payloads: list[bytes]) -> bytes | None:
        """The frame made of these payloads; None when it is damaged."""

    def is_key(self, frame: bytes) -> bool:
        """Whether the frame can be decoded alone."""


class VideoFrames:
    """Joins the packets of one timestamp into a frame, up to the marker bit."""

    def __init__(self, codec: _VideoCodec) -> None:
        self.dropped = 0
        self._codec = codec
        self._payloads: list[bytes] = []
        self._size_bytes = 0
        self._rtp_time = 0
        self._arrival_ns = 0
        # Aligned: the next packet is known to begin a frame, or the open frame was begun so.
        self._aligned = False
        self._waits_for_key = True

    def push(self, ordered: Ordered) -> list[Frame]:
        """Take a packet; return the frames that it completes."""
        packet, after_gap = ordered
        frames: list[Frame] = []
        if after_gap:
            self._abandon()
        # Padding alone (bandwidth probes) has a sequence number and belongs to no frame.
        if not packet.payload:
            return frames
        if self._payloads and packet.rtp_time != self._rtp_time:
            frames = self._complete()
        if not self._payloads:
            self._aligned = self._aligned or self._codec.begins(packet.payload)
            self._rtp_time, self._arrival_ns = packet.rtp_time, packet.arrival_ns
        if self._aligned:
            self._add(packet.payload, packet.arrival_ns)
        if packet.marker:
            if self._payloads:
                frames += self._complete()
            self._aligned = True
        return frames

    def flush(self) -> list[Frame]:
        """Drop the open frame: without its marker nothing tells whether it is whole."""
        self._abandon()
        return []

    def _add(self, payload: bytes, arrival_ns: int) -> None:
        self._payloads.append(payload)
        self._arrival_ns = min(self._arrival_ns, arrival_ns)
        self._size_bytes += len(payload)
        if self._size_bytes > _MAX_FRAME_BYTES:
            self._abandon()

    def _abandon(self) -> None:
        self.dropped += bool(self._payloads)
        self._clear()
        self._aligned = False
        self._waits_for_key = True

    def _clear(self) -> None:
        self._payloads = []
        self._size_bytes = 0

    def _complete(self) -> list[Frame]:
        data = self._codec.join(self._payloads)
        self._clear()
        key = data is not None and self._codec.is_key(data)
        self._waits_for_key = data is None or (self._waits_for_key and not key)
        if data is None or self._waits_for_key:
            self.dropped += 1
            return []
        return [Frame(self._rtp_time, self._arrival_ns, data, key)]


class _Vp8:
    def begins(self, payload: bytes) -> bool:
        part = _vp8_part(payload)
        return part is not None and part[1]

    def join(self, payloads: list[bytes]) -> bytes | None:
        parts = [_vp8_part(payload) for payload in payloads]
        bodies: list[bytes] = []
        for index, part in enumerate(parts):
            # RFC 7741 §4.2: S with PID 0 marks a frame's first packet and no other.
            if part is None or part[1] != (index == 0):
                return None
            bodies.append(part[0])
        return b"".join(bodies)

    def is_key(self, frame: bytes) -> bool:
        return vp8_size(frame) is not None


def _vp8_part(payload: bytes) -> tuple[bytes, bool] | None:
    """The payload behind its descriptor, and whether it begins a frame; None when malformed."""
    try:
        descriptor = parse_vp8(payload, 0, len(payload))
    except PayloadFormatError:
        return None
    # `rest` stands before the octet with TID, Y and KEYIDX, which the flags T and K announce.
    extended = bool(descriptor.lead & 0x8000)
    begin = descriptor.rest + bool(descriptor.lead & 0x30) if extended else 1
    return payload[begin:], descriptor.lead & 0x1700 == 0x1000


def vp8_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height of a VP8 key frame (RFC 6386 §9.1); None when it is not one."""
    if len(frame) < 10 or frame[0] & 1 or frame[3:6] != b"\x9d\x01\x2a":
        return None
    width = int.from_bytes(frame[6:8], "little") & 0x3FFF
    height = int.from_bytes(frame[8:10], "little") & 0x3FFF
    return (width, height) if width and height else None


class _H264:
    def begins(self, payload: bytes) -> bool:
        # Only a parameter set or a delimiter tells: it stands first in its access unit.
        kind = payload[0] & 0x1F
        if kind == _H264_STAP_A and len(payload) > 3:
            kind = payload[3] & 0x1F
        return kind in (_H264_SPS, _H264_AUD)

    def join(self, payloads: list[bytes]) -> bytes | None:
        try:
            units = list(_nal_units(payloads))
        except PayloadFormatError:
            return None
        return b"".join(_START_CODE + unit for unit in units) if units else None

    def is_key(self, frame: bytes) -> bool:
        return _H264_IDR in nal_kinds(frame)


def nal_kinds(frame: bytes) -> set[int]:
    """The types of the NAL units in an Annex B access unit."""
    return {unit[0] & 0x1F for unit in frame.split(_START_CODE) if unit}


def _nal_units(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """The NAL units of one access unit (RFC 6184 §5.6 to §5.8). Raises `PayloadFormatError`."""
    fragments: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == _H264_FU_A:
            if len(payload) < 3:
                raise PayloadFormatError("a fragment is cut short")
            starts, ends = payload[1] & 0x80, payload[1] & 0x40
            if bool(starts) == bool(fragments):
                raise PayloadFormatError("a fragment is missing")
            if starts:
                fragments.append(bytes((payload[0] & 0xE0 | payload[1] & 0x1F,)))
            fragments.append(payload[2:])
            if ends:
                yield b"".join(fragments)
                fragments = []
        elif fragments:
            raise PayloadFormatError("a fragment is missing")
        elif kind == _H264_STAP_A:
            yield from _aggregated(payload)
        elif 0 < kind <= _H264_LAST_SINGLE:
            yield payload
        else:
            raise PayloadFormatError("a packet type that was not negotiated")
    if fragments:
        raise PayloadFormatError("a fragment is missing")


def _aggregated(payload: bytes) -> Iterator[bytes]:
    position = 1
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 2], "big")
        unit = payload[position + 2 : position + 2 + size]
        if size == 0 or len(unit) < size:
            raise PayloadFormatError("an aggregated unit is cut short")
        yield unit
        position += 2 + size


def opus_duration_ms(packet: bytes) -> float | None:
    """How long an Opus packet sounds (RFC 6716 §3.1, §3.2); None when it is malformed."""
    if not packet:
        return None
    code = packet[0] & 3
    if code == 3:
        if len(packet) < 2:
            return None
        count = packet[1] & 0x3F
    else:
        count = 1 if code == 0 else 2
    tenths = count * _OPUS_FRAME[packet[0] >> 3]
    return tenths / 10 if 0 < tenths <= _OPUS_MAX_PACKET else None
