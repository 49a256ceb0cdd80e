"""Retransmission packets (RFC 4588 §4): the first two bytes of the payload are the sequence
number of the packet that is repeated, and the rest is its payload.
"""

from __future__ import annotations

from sfu.rtp.packet import FIXED_HEADER_BYTES, MARKER_BIT
from sfu.rtp.payload import PayloadFormatError

SEQUENCE_BYTES = 2


def original_sequence(packet: bytes, start: int, end: int) -> int:
    """Which packet `packet[start:end]`, the payload of a retransmission, repeats.

    Returns -1 for an empty payload, which only probes the path. Raises `PayloadFormatError`.
    """
    if start >= end:
        return -1
    if end - start < SEQUENCE_BYTES:
        raise PayloadFormatError("a retransmission is cut short")
    return packet[start] << 8 | packet[start + 1]


def restore(packet: bytes, start: int, ssrc: int, payload_type: int) -> bytes:
    """The packet that a retransmission repeats, as its sender would have sent it.

    `start` is where the payload of `packet` starts, for which `original_sequence` found a number.
    The header extension is the retransmission's; padding stays behind the payload.
    """
    return b"".join(
        (
            packet[:1],
            bytes((packet[1] & MARKER_BIT | payload_type,)),
            packet[start : start + SEQUENCE_BYTES],
            packet[4:8],
            ssrc.to_bytes(4, "big"),
            packet[FIXED_HEADER_BYTES:start],
            packet[start + SEQUENCE_BYTES :],
        )
    )
