"""Which protocol a datagram belongs to, from its first two bytes (RFC 7983 §7, RFC 5761 §4)."""

from __future__ import annotations

import enum


class Protocol(enum.Enum):
    """What shares the one UDP port."""

    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    OTHER = "other"


def classify(data: bytes) -> Protocol:
    """The protocol of a datagram; `OTHER` for ZRTP, TURN channels, empty and unassigned ones."""
    if not data:
        return Protocol.OTHER
    first = data[0]
    if 128 <= first <= 191 and len(data) >= 2:
        # RFC 5761 §4: the payload types 64 to 95, marker bit aside, are left to RTCP.
        return Protocol.RTCP if 64 <= data[1] & 0x7F <= 95 else Protocol.RTP
    if first <= 3:
        return Protocol.STUN
    if 20 <= first <= 63:
        return Protocol.DTLS
    return Protocol.OTHER
