"""RTCP feedback: NACK and PLI (RFC 4585 §6), FIR (RFC 5104 §4.3.1), and REMB."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from sfu.rtp.rtcp_header import PacketType, RtcpFormatError, build_packet

_FEEDBACK = struct.Struct("!II")
_NACK_ITEM = struct.Struct("!HH")
_FIR_ENTRY = struct.Struct("!IB3x")

REMB_NAME = b"REMB"
_REMB_MANTISSA_BITS = 18


#: Format of transport layer feedback (RFC 4585 §6.2.1).
GENERIC_NACK = 1
#: Numbers that one datagram may ask for: browsers give up on a stream before they miss more.
MAX_NACK_SEQUENCES = 1024


class PayloadFeedback(enum.IntEnum):
    """Formats of payload specific feedback (RFC 4585 §6.3, RFC 5104 §4.3)."""

    PLI = 1
    FIR = 4
    APPLICATION = 15


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK (RFC 4585 §6.2.1): 16 bit `sequences` of `media_ssrc` that are missing."""

    sender_ssrc: int
    media_ssrc: int
    sequences: tuple[int, ...]

    @classmethod
    def parse(cls, body: bytes) -> Nack:
        """Read the body of a NACK. Raises `RtcpFormatError`, also for one that asks too much."""
        sender, media = _parse_feedback(body)
        if len(body) % _NACK_ITEM.size:
            raise RtcpFormatError("an item of a NACK is cut short")
        sequences: list[int] = []
        for first, mask in _NACK_ITEM.iter_unpack(body[_FEEDBACK.size :]):
            if len(sequences) >= MAX_NACK_SEQUENCES:
                raise RtcpFormatError("a NACK asks for too many packets")
            sequences.append(first)
            sequences.extend(first + 1 + i & 0xFFFF for i in range(16) if mask >> i & 1)
        return cls(sender, media, tuple(sequences))

    def __bytes__(self) -> bytes:
        items = b"".join(_NACK_ITEM.pack(first, mask) for first, mask in self._items())
        body = _FEEDBACK.pack(self.sender_ssrc, self.media_ssrc) + items
        return build_packet(PacketType.TRANSPORT_FEEDBACK, GENERIC_NACK, body)

    def _items(self) -> list[tuple[int, int]]:
        items: list[tuple[int, int]] = []
        for sequence in self.sequences:
            distance = sequence - items[-1][0] & 0xFFFF if items else 0
            if 1 <= distance <= 16:
                first, mask = items[-1]
                items[-1] = (first, mask | 1 << distance - 1)
            else:
                items.append((sequence, 0))
        return items


@dataclass(frozen=True, slots=True)
class PictureLossIndication:
    """PLI (RFC 4585 §6.3.1)."""

    sender_ssrc: int
    media_ssrc: int

    @classmethod
    def parse(cls, body: bytes) -> PictureLossIndication:
        """Read the body of a PLI. Raises `RtcpFormatError`."""
        return cls(*_parse_feedback(body))

    def __bytes__(self) -> bytes:
        body = _FEEDBACK.pack(self.sender_ssrc, self.media_ssrc)
        return build_packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.PLI, body)


@dataclass(frozen=True, slots=True)
class FullIntraRequest:
    """FIR (RFC 5104 §4.3.1): `entries` of (SSRC, command number, which tells repeats from new)."""

    sender_ssrc: int
    entries: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, body: bytes) -> FullIntraRequest:
        """Read the body of a FIR. Raises `RtcpFormatError`."""
        sender, _ = _parse_feedback(body)
        entries = body[_FEEDBACK.size :]
        if len(entries) % _FIR_ENTRY.size:
            raise RtcpFormatError("an entry of a FIR is cut short")
        return cls(
            sender, tuple((ssrc, number) for ssrc, number in _FIR_ENTRY.iter_unpack(entries))
        )

    def __bytes__(self) -> bytes:
        # RFC 5104 §4.3.1.2: the media SSRC of the header is 0; the entries name the sources.
        body = _FEEDBACK.pack(self.sender_ssrc, 0)
        body += b"".join(_FIR_ENTRY.pack(ssrc, number) for ssrc, number in self.entries)
        return build_packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.FIR, body)


@dataclass(frozen=True, slots=True)
class Remb:
    """REMB (draft-alvestrand-rmcat-remb-03 §2): what the sender of `ssrcs` may send in total.

    The wire holds 18 significant bits: writing rounds `bitrate_bps` down to them.
    """

    sender_ssrc: int
    bitrate_bps: int
    ssrcs: tuple[int, ...]

    @classmethod
    def parse(cls, body: bytes) -> Remb:
        """Read the body of a REMB. Raises `RtcpFormatError`."""
        sender, _ = _parse_feedback(body)
        start = _FEEDBACK.size + 8
        if len(body) < start or body[8:12] != REMB_NAME:
            raise RtcpFormatError("a REMB is cut short")
        if len(body) != start + 4 * body[12]:
            raise RtcpFormatError("a REMB has another number of sources than it says")
        mantissa = int.from_bytes(body[13:16], "big") & (1 << _REMB_MANTISSA_BITS) - 1
        return cls(
            sender, mantissa << (body[13] >> 2), struct.unpack_from(f"!{body[12]}I", body, start)
        )

    def __bytes__(self) -> bytes:
        exponent = max(0, self.bitrate_bps.bit_length() - _REMB_MANTISSA_BITS)
        rate = exponent << _REMB_MANTISSA_BITS | self.bitrate_bps >> exponent
        body = _FEEDBACK.pack(self.sender_ssrc, 0) + REMB_NAME
        body += bytes((len(self.ssrcs),)) + rate.to_bytes(3, "big")
        body += struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        return build_packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.APPLICATION, body)


def _parse_feedback(body: bytes) -> tuple[int, int]:
    if len(body) < _FEEDBACK.size:
        raise RtcpFormatError("a feedback packet is cut short")
    sender, media = _FEEDBACK.unpack_from(body)
    return sender, media
