"""What all RTCP packets share (RFC 3550 §6.1): the header, packet types, the format error."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence

HEADER = struct.Struct("!BBH")
VERSION = 2
PADDING_BIT = 0x20
COUNT_MASK = 0x1F
MAX_COUNT = 31


class RtcpFormatError(ValueError):
    """The bytes are not a compound of whole RTCP packets."""


class PacketType(enum.IntEnum):
    """The second byte of an RTCP packet."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    GOODBYE = 203
    TRANSPORT_FEEDBACK = 205
    PAYLOAD_FEEDBACK = 206


def build_packet(packet_type: int, count: int, body: bytes) -> bytes:
    """A whole packet; `body` is a multiple of four bytes, `count` a count or a feedback format."""
    return HEADER.pack(VERSION << 6 | count, packet_type, len(body) // 4) + body


def checked_count(items: Sequence[object]) -> int:
    """How many; raises `ValueError` for more than the header can say."""
    if len(items) > MAX_COUNT:
        raise ValueError("an RTCP packet has at most 31 blocks")
    return len(items)
