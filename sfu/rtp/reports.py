"""Sender and receiver reports (RFC 3550 §6.4) and the time they are in (§4).

Nobody changes them once made; they are not frozen because making them would cost three times more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sfu.rtp.rtcp_header import PacketType, RtcpFormatError, build_packet, checked_count

_REPORT_BLOCK = struct.Struct("!IIIIII")
_SENDER_INFO = struct.Struct("!IQIII")

#: Seconds from 1900, where NTP counts from, to 1970 (RFC 5905 §6).
_NTP_EPOCH_S = 2_208_988_800


def ntp_time(now_ns: int) -> int:
    """Unix time in nanoseconds as a 64 bit NTP timestamp (RFC 3550 §4)."""
    seconds, rest_ns = divmod(now_ns, 1_000_000_000)
    return (seconds + _NTP_EPOCH_S & 0xFFFF_FFFF) << 32 | (rest_ns << 32) // 1_000_000_000


def middle_32(ntp: int) -> int:
    """The middle of an NTP timestamp, in 1/65536 s, as LSR has it (RFC 3550 §6.4.1)."""
    return ntp >> 16 & 0xFFFF_FFFF


@dataclass(slots=True)
class ReportBlock:
    """Reception of one source (RFC 3550 §6.4.1): 24 bytes.

    `fraction_lost` is in 1/256, `lost` a signed 24 bit count, `jitter` in timestamp units,
    `last_sender_report` as `middle_32`, `delay` since it in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_sender_report: int
    delay: int

    @classmethod
    def parse(cls, data: bytes) -> ReportBlock:
        """Read 24 bytes. Raises `RtcpFormatError`."""
        if len(data) != _REPORT_BLOCK.size:
            raise RtcpFormatError("a report block has 24 bytes")
        ssrc, loss, highest, jitter, last, delay = _REPORT_BLOCK.unpack(data)
        lost = loss & 0xFF_FFFF
        if lost & 0x80_0000:
            lost -= 1 << 24
        return cls(ssrc, loss >> 24, lost, highest, jitter, last, delay)

    def __bytes__(self) -> bytes:
        # RFC 3550 appendix A.3: the count is clamped, not wrapped.
        lost = max(-0x80_0000, min(self.lost, 0x7F_FFFF)) & 0xFF_FFFF
        return _REPORT_BLOCK.pack(
            self.ssrc,
            self.fraction_lost << 24 | lost,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay,
        )


@dataclass(slots=True)
class SenderReport:
    """SR (RFC 3550 §6.4.1): `ntp_time` (64 bit) and `rtp_time` are the same instant."""

    ssrc: int
    ntp_time: int
    rtp_time: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()

    @classmethod
    def parse(cls, body: bytes, count: int) -> SenderReport:
        """Read the body of an SR with `count` blocks. Raises `RtcpFormatError`."""
        if len(body) < _SENDER_INFO.size:
            raise RtcpFormatError("a sender report is cut short")
        reports = _parse_blocks(body, _SENDER_INFO.size, count)
        ssrc, ntp, rtp_time, packets, octets = _SENDER_INFO.unpack_from(body)
        return cls(ssrc, ntp, rtp_time, packets, octets, reports)

    def __bytes__(self) -> bytes:
        info = _SENDER_INFO.pack(
            self.ssrc, self.ntp_time, self.rtp_time, self.packet_count, self.octet_count
        )
        body = info + b"".join(map(bytes, self.reports))
        return build_packet(PacketType.SENDER_REPORT, checked_count(self.reports), body)


@dataclass(slots=True)
class ReceiverReport:
    """RR (RFC 3550 §6.4.2)."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    @classmethod
    def parse(cls, body: bytes, count: int) -> ReceiverReport:
        """Read the body of an RR with `count` blocks. Raises `RtcpFormatError`."""
        if len(body) < 4:
            raise RtcpFormatError("a receiver report is cut short")
        return cls(int.from_bytes(body[:4], "big"), _parse_blocks(body, 4, count))

    def __bytes__(self) -> bytes:
        body = self.ssrc.to_bytes(4, "big") + b"".join(map(bytes, self.reports))
        return build_packet(PacketType.RECEIVER_REPORT, checked_count(self.reports), body)


def _parse_blocks(body: bytes, start: int, count: int) -> tuple[ReportBlock, ...]:
    size = _REPORT_BLOCK.size
    if len(body) < start + count * size:
        raise RtcpFormatError("a report has fewer blocks than it says")
    ends = range(start + size, start + count * size + 1, size)
    return tuple(ReportBlock.parse(body[end - size : end]) for end in ends)
