"""Packets on a byte stream: each behind its length in two bytes (RFC 4571 §2). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_LENGTH = struct.Struct("!H")
#: As on UDP: an Ethernet frame and some; the length field alone would allow 64 KiB.
MAX_FRAME_BYTES = 2048
#: An RTP header; the least of STUN, DTLS and SRTCP is more (RFC 7983 §7 has them all).
MIN_FRAME_BYTES = 12


class FrameError(ValueError):
    """The peer announced a packet that is too large, or too small for any that we take."""


def take_frames(stream: bytearray) -> list[bytes]:
    """Take the whole packets off the front of `stream`; what is left begins the next one.

    Empty packets are left out (RFC 4571 §2). Raises `FrameError` for one over `MAX_FRAME_BYTES`, so
    a stream that is read in pieces never holds more than one such packet and one piece, and for one
    under `MIN_FRAME_BYTES`, so that a piece never holds thousands.
    """
    frames = []
    at = 0
    while at + _LENGTH.size <= len(stream):
        (size,) = _LENGTH.unpack_from(stream, at)
        if size > MAX_FRAME_BYTES or 0 < size < MIN_FRAME_BYTES:
            raise FrameError(f"a packet of {size} bytes")
        end = at + _LENGTH.size + size
        if end > len(stream):
            break
        if size:
            frames.append(bytes(stream[at + _LENGTH.size : end]))
        at = end
    del stream[:at]
    return frames


def frame(packets: Iterable[bytes]) -> bytes:
    """The packets as they go on the stream; each has less than 64 KiB."""
    return b"".join(part for data in packets for part in (_LENGTH.pack(len(data)), data))
