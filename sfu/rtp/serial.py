"""Serial numbers that wrap (RFC 1982, RFC 3550 appendix A.1), and how to unwrap them."""

from __future__ import annotations


def unwrap(value: int, near: int, bits: int) -> int:
    """The integer nearest to `near` whose low `bits` bits are `value`.

    Exactly half a turn away counts as behind. The result may be negative when `near` is small.
    """
    half = 1 << (bits - 1)
    return near + ((value - near + half) & ((1 << bits) - 1)) - half


def unwrap_16(value: int, near: int) -> int:
    """`unwrap` for RTP sequence numbers."""
    return near + ((value - near + 0x8000) & 0xFFFF) - 0x8000


def unwrap_32(value: int, near: int) -> int:
    """`unwrap` for RTP timestamps."""
    return near + ((value - near + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
