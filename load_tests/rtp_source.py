"""RTP that looks like Opus and VP8 to an SFU, made without a codec. Pure: time is an argument.

Audio is one packet each 20 ms with an audio level (RFC 6464). Video has whole VP8 payload
descriptors (RFC 7741 §4.2) and frame headers (RFC 6386 §9.1), and begins a key frame when asked.
Every packet carries the header extensions that were negotiated, its MID (RFC 8843) among them, and
ends with a `stamp`.
"""

from __future__ import annotations

import random
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection

from load_tests.stamp import STAMP, STAMP_BYTES

AUDIO_BYTES = 160
VIDEO_BYTES = 1_050
AUDIO_PACKETS_PER_S = 50
FRAMES_PER_S = 30
AUDIO_CLOCK = 48_000
VIDEO_CLOCK = 90_000

#: Payload types and header extension ids that the bots offer.
OPUS = 111
VP8 = 96
RTX = 97
MID_ID = 1
AUDIO_LEVEL_ID = 2
ABS_SEND_TIME_ID = 3
TRANSPORT_CC_ID = 4
#: Bytes of each value; what is sent of a kind, in this order.
_VALUE_BYTES = {MID_ID: 1, AUDIO_LEVEL_ID: 1, ABS_SEND_TIME_ID: 3, TRANSPORT_CC_ID: 2}
_OF_KIND = {
    "audio": (MID_ID, AUDIO_LEVEL_ID, TRANSPORT_CC_ID),
    "video": (MID_ID, ABS_SEND_TIME_ID, TRANSPORT_CC_ID),
}

_HEADER = struct.Struct("!BBHII")
_VERSION_AND_EXTENSION = 0x90
_MARKER = 0x80
_ONE_BYTE_FORM = 0xBEDE
#: RFC 7741 §4.2: extended, start of partition; then picture id, TL0PICIDX and TID are there.
_EXTENDED = 0x80
_START = 0x10
_ALL_FIELDS = 0xE0
_LONG_PICTURE_ID = 0x8000
_KEY_FRAME_START = b"\x9d\x01\x2a" + struct.pack("<HH", 640, 360)
#: A voice that pauses: -30 dBov with the voice bit, then -90 dBov, for a second each.
_SPEAKING, _SILENT = 0x80 | 30, 90


class Extension:
    """The header extension of one source's packets, one-byte form (RFC 8285 §4.2), reused."""

    def __init__(self, kind: str, mid: int, negotiated: Collection[int]) -> None:
        self._at: dict[int, int] = {}
        block = bytearray(4)
        for wanted in _OF_KIND[kind]:
            if wanted in negotiated:
                block.append(wanted << 4 | _VALUE_BYTES[wanted] - 1)
                self._at[wanted] = len(block)
                block += bytes(_VALUE_BYTES[wanted])
        block += bytes(-len(block) % 4)
        struct.pack_into("!HH", block, 0, _ONE_BYTE_FORM, len(block) // 4 - 1)
        self._block = block
        self.put(MID_ID, mid)

    def put(self, wanted: int, number: int) -> None:
        """Set a value; one that was not negotiated is passed over."""
        at = self._at.get(wanted)
        if at is not None:
            size = _VALUE_BYTES[wanted]
            self._block[at : at + size] = number.to_bytes(size, "big")

    def __bytes__(self) -> bytes:
        return bytes(self._block)


class Source(ABC):
    """One SSRC. `packet` gives the next one; `kept` are the sent ones, encrypted, for a NACK.

    `mid` has one letter. Call `negotiated` with the extension ids of the answer before the first.
    """

    def __init__(
        self, number: int, mid: str, kind: str, clock_rate: int, packets_per_s: int
    ) -> None:
        if len(mid) != 1 or not mid.isascii():
            raise ValueError("the bots' extensions have room for a MID of one letter")
        self.mid = mid
        self.extension = Extension(kind, ord(mid), ())
        self.number = number
        self.kind = kind
        self.clock_rate = clock_rate
        self.interval_ns = 1_000_000_000 // packets_per_s
        self.ssrc = random.getrandbits(32)
        self.sent = 0
        self.sent_bytes = 0
        self.sequence = random.getrandbits(15)
        self.rtp_time = random.getrandbits(32)
        self.kept: deque[tuple[int, bytes]] = deque(maxlen=512)

    def negotiated(self, ids: Collection[int]) -> None:
        """The header extensions that the other side takes."""
        self.extension = Extension(self.kind, ord(self.mid), ids)

    @abstractmethod
    def packet(self, now_ns: int, transport_sequence: int) -> bytes:
        """The next RTP packet, unencrypted; its transport-wide sequence number has 16 bit."""

    def _count(self, packet: bytes) -> bytes:
        self.sent += 1
        self.sent_bytes += len(packet) - _HEADER.size
        self.sequence = (self.sequence + 1) & 0xFFFF
        return packet

    def _stamp(self, now_ns: int, *, begins: bool) -> bytes:
        return STAMP.pack(self.number, begins, self.sent, now_ns)


class AudioSource(Source):
    """Opus-like: 160 bytes, 50 a second; speaks for a second, is silent for a second."""

    def __init__(self, number: int, mid: str) -> None:
        super().__init__(number, mid, "audio", AUDIO_CLOCK, AUDIO_PACKETS_PER_S)
        self._ticks = AUDIO_CLOCK // AUDIO_PACKETS_PER_S
        self._filler = random.randbytes(AUDIO_BYTES)

    def packet(self, now_ns: int, transport_sequence: int) -> bytes:
        """The next RTP packet, unencrypted."""
        speaking = (self.sent // AUDIO_PACKETS_PER_S) % 2 == 0
        self.extension.put(AUDIO_LEVEL_ID, _SPEAKING if speaking else _SILENT)
        self.extension.put(TRANSPORT_CC_ID, transport_sequence)
        header = _HEADER.pack(_VERSION_AND_EXTENSION, OPUS, self.sequence, self.rtp_time, self.ssrc)
        head = header + bytes(self.extension)
        filler = self._filler[: AUDIO_BYTES - len(head) - STAMP_BYTES]
        self.rtp_time = (self.rtp_time + self._ticks) & 0xFFFFFFFF
        return self._count(head + filler + self._stamp(now_ns, begins=True))


class VideoSource(Source):
    """VP8-like: 1,050 bytes a packet, 30 frames a second, a key frame at first and when asked."""

    def __init__(self, number: int, mid: str, packets_per_s: int) -> None:
        super().__init__(number, mid, "video", VIDEO_CLOCK, packets_per_s)
        self._packets_per_frame = max(1, round(packets_per_s / FRAMES_PER_S))
        self._ticks = VIDEO_CLOCK * self._packets_per_frame // packets_per_s
        self._in_frame = 0
        self._key = True
        self._key_wanted = True
        self._picture_id = random.getrandbits(14)
        self._tl0_picture = random.getrandbits(7)
        self._filler = random.randbytes(VIDEO_BYTES)
        self.key_frames = 0

    def want_key_frame(self) -> None:
        """Begin the next frame as a key frame (a PLI or FIR came)."""
        self._key_wanted = True

    def packet(self, now_ns: int, transport_sequence: int) -> bytes:
        """The next RTP packet, unencrypted."""
        first = self._in_frame == 0
        last = self._in_frame == self._packets_per_frame - 1
        if first:
            self._key, self._key_wanted = self._key_wanted, False
            self.key_frames += self._key
        head = self._header(last, now_ns, transport_sequence) + self._descriptor(first)
        filler = self._filler[: VIDEO_BYTES - len(head) - STAMP_BYTES]
        packet = self._count(head + filler + self._stamp(now_ns, begins=first and self._key))
        self._in_frame += 1
        if last:
            self._next_frame()
        return packet

    def _header(self, last: bool, now_ns: int, transport_sequence: int) -> bytes:
        marker = _MARKER if last else 0
        # 6.18 fixed point seconds (draft-alvestrand-rmcat-remb, abs-send-time).
        self.extension.put(ABS_SEND_TIME_ID, (now_ns << 18) // 1_000_000_000 & 0xFFFFFF)
        self.extension.put(TRANSPORT_CC_ID, transport_sequence)
        header = _HEADER.pack(
            _VERSION_AND_EXTENSION, marker | VP8, self.sequence, self.rtp_time, self.ssrc
        )
        return header + bytes(self.extension)

    def _descriptor(self, first: bool) -> bytes:
        descriptor = struct.pack(
            "!BBHBB",
            _EXTENDED | (_START if first else 0),
            _ALL_FIELDS,
            _LONG_PICTURE_ID | self._picture_id,
            self._tl0_picture,
            0,
        )
        if not first:
            return descriptor
        # RFC 6386 §9.1: bit 0 of the frame tag is 0 for a key frame; bit 4 is `show_frame`.
        tag = bytes((0x10 if self._key else 0x11, 0, 0))
        return descriptor + tag + (_KEY_FRAME_START if self._key else b"")

    def _next_frame(self) -> None:
        self._in_frame = 0
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        self._tl0_picture = (self._tl0_picture + 1) & 0xFF
        self.rtp_time = (self.rtp_time + self._ticks) & 0xFFFFFFFF
