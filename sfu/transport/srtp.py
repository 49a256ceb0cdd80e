"""SRTP (RFC 3711) of one transport, straight on libsrtp.

pylibsrtp makes the sessions; its own `protect` allocates a length cell, checks types and looks
names up for each packet, which costs about as much as the encryption. Here a call is two copies
and the library. This file and `aiortc_adapter` alone touch private names of pylibsrtp (its version
is pinned).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pylibsrtp
from pylibsrtp._binding import ffi, lib

#: An Ethernet frame's worth: longer packets come from no browser, and would be cut by IP.
MAX_PACKET_BYTES = 1500
#: srtp.h: SRTP_MAX_TRAILER_LEN (tag and key identifier) and the index of SRTCP.
_MAX_TRAILER_BYTES = 16 + 128 + 4

# One for all transports, so that it stays in the cache; no call is interrupted by another.
_bytes: Any = ffi.new("unsigned char[]", MAX_PACKET_BYTES + _MAX_TRAILER_BYTES)
_window: Any = ffi.buffer(_bytes)
_length: Any = ffi.new("int *")


class SrtpCipher:
    """The `Cipher` of one transport: what goes out by one session, what comes in by another.

    `protect`, `protect_rtcp`, `unprotect` and `unprotect_rtcp` take a packet and return another.
    They raise `pylibsrtp.Error` for what libsrtp refuses (not authentic, replayed, too old, no
    RTP) and `ValueError` for a packet over `MAX_PACKET_BYTES`. Only for one thread.
    """

    __slots__ = ("protect", "protect_rtcp", "remove_stream", "unprotect", "unprotect_rtcp")

    def __init__(self, outbound: pylibsrtp.Session, inbound: pylibsrtp.Session) -> None:
        self.protect = _transform(outbound, lib.srtp_protect)
        self.protect_rtcp = _transform(outbound, lib.srtp_protect_rtcp)
        self.unprotect = _transform(inbound, lib.srtp_unprotect)
        self.unprotect_rtcp = _transform(inbound, lib.srtp_unprotect_rtcp)
        self.remove_stream = inbound.remove_stream


def _transform(
    session: pylibsrtp.Session, function: Callable[[Any, Any, Any], int]
) -> Callable[[bytes], bytes]:
    context = session._srtp[0]
    # In the function's own reach: each of these is read once a packet or more.
    data, window, length, limit = _bytes, _window, _length, MAX_PACKET_BYTES

    # The keys live as long as the session; whoever has the function keeps it by the default.
    def apply(packet: bytes, *, owner: pylibsrtp.Session = session) -> bytes:
        size = len(packet)
        if size > limit:
            raise ValueError("the packet is too long for SRTP")
        window[0:size] = packet
        length[0] = size
        status = function(context, data, length)
        if status:
            raise pylibsrtp.Error(pylibsrtp.ERRORS[status])
        changed: bytes = window[0 : length[0]]
        return changed

    return apply
