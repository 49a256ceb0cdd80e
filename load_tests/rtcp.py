"""The little RTCP that keeps an SFU content: reports out; PLI, FIR and NACK in. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

_SENDER_REPORT = 200
_RECEIVER_REPORT = 201
_SOURCE_DESCRIPTION = 202
_TRANSPORT_FEEDBACK = 205
_PAYLOAD_FEEDBACK = 206
_NTP_EPOCH_S = 2_208_988_800
_MOST_BLOCKS = 31
#: Status of a packet in transport-wide feedback; 0 is one that did not come.
_SMALL_DELTA, _LARGE_DELTA = 1, 2


@dataclass
class Received:
    """What is reported of one received SSRC (RFC 3550 §6.4.1)."""

    highest_sequence: int = 0
    last_report: int = 0  # the middle 32 bits of the newest sender report's NTP time
    last_report_at_ns: int = 0


@dataclass(frozen=True)
class Wanted:
    """What the other side asks of SSRC `ssrc`: a key frame, or packets again."""

    ssrc: int
    key_frame: bool = False
    sequences: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reported:
    """A sender report came: the middle 32 bits of its NTP time."""

    ssrc: int
    middle_ntp: int


def ntp_time(unix_ns: int) -> int:
    """64-bit NTP time (RFC 3550 §4) of a Unix time in nanoseconds."""
    seconds, rest_ns = divmod(unix_ns, 1_000_000_000)
    return (seconds + _NTP_EPOCH_S) << 32 | (rest_ns << 32) // 1_000_000_000


def sender_report(
    ssrc: int, unix_ns: int, rtp_time: int, packets: int, size_bytes: int, cname: str
) -> bytes:
    """A compound of one sender report without blocks, and the CNAME (RFC 3550 §6.1)."""
    body = struct.pack(
        "!IQIII", ssrc, ntp_time(unix_ns), rtp_time, packets & 0xFFFFFFFF, size_bytes & 0xFFFFFFFF
    )
    return _packet(_SENDER_REPORT, 0, body) + _cname(ssrc, cname)


def receiver_report(
    ssrc: int, received: Sequence[tuple[int, Received]], now_ns: int, cname: str
) -> bytes:
    """A compound of one receiver report, which claims no loss, and the CNAME."""
    blocks = b""
    chosen = received[:_MOST_BLOCKS]
    for source, state in chosen:
        delay = 0
        if state.last_report:
            delay = ((now_ns - state.last_report_at_ns) << 16) // 1_000_000_000
        blocks += struct.pack(
            "!IIIIII", source, 0, state.highest_sequence, 0, state.last_report, delay & 0xFFFFFFFF
        )
    body = struct.pack("!I", ssrc) + blocks
    return _packet(_RECEIVER_REPORT, len(chosen), body) + _cname(ssrc, cname)


def transport_feedback(ssrc: int, count: int, arrivals: Sequence[tuple[int, int]]) -> bytes:
    """Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

    `arrivals` has (sequence number, arrival in ns) of each packet, in order of both and with gaps
    of less than 8192; sequence numbers may be beyond 16 bit. `count` is one more each time.
    """
    reference = arrivals[0][1] // 64_000_000
    statuses = bytearray()
    deltas = b""
    last_ticks = reference * 256
    expected = arrivals[0][0]
    for sequence, now_ns in arrivals:
        statuses += bytes(sequence - expected)
        expected = sequence + 1
        ticks = now_ns // 250_000
        delta, last_ticks = ticks - last_ticks, ticks
        statuses.append(_SMALL_DELTA if delta < 256 else _LARGE_DELTA)
        deltas += bytes((delta,)) if delta < 256 else struct.pack("!H", delta & 0x7FFF)
    head = struct.pack(
        "!IIHHI",
        ssrc,
        0,
        arrivals[0][0] & 0xFFFF,
        len(statuses),
        (reference & 0xFFFFFF) << 8 | count & 0xFF,
    )
    body = head + _run_lengths(statuses) + deltas
    return _packet(_TRANSPORT_FEEDBACK, 15, body + bytes(-len(body) % 4))


def _run_lengths(statuses: bytearray) -> bytes:
    chunks = b""
    for status, run in groupby(statuses):
        left = sum(1 for _ in run)
        while left:
            length = min(left, 0x1FFF)
            chunks += struct.pack("!H", status << 13 | length)
            left -= length
    return chunks


def read(compound: bytes) -> Iterator[Wanted | Reported]:
    """What a decrypted compound packet asks and reports; what is malformed ends it."""
    position = 0
    while position + 8 <= len(compound):
        first, kind, words = struct.unpack_from("!BBH", compound, position)
        end = position + 4 + 4 * words
        if first >> 6 != 2 or end > len(compound):
            return
        count, body = first & 0x1F, compound[position + 4 : end]
        position = end
        if kind == _SENDER_REPORT and len(body) >= 24:
            ssrc, ntp = struct.unpack_from("!IQ", body)
            yield Reported(ssrc, ntp >> 16 & 0xFFFFFFFF)
        elif kind == _PAYLOAD_FEEDBACK and count == 1 and len(body) >= 8:
            yield Wanted(_unsigned(body, 4), key_frame=True)  # PLI, RFC 4585 §6.3.1
        elif kind == _PAYLOAD_FEEDBACK and count == 4 and len(body) >= 16:
            yield Wanted(_unsigned(body, 8), key_frame=True)  # FIR, RFC 5104 §4.3.1
        elif kind == _TRANSPORT_FEEDBACK and count == 1 and len(body) >= 12:
            yield Wanted(_unsigned(body, 4), sequences=tuple(_nacked(body[8:])))


def _nacked(items: bytes) -> Iterator[int]:
    """RFC 4585 §6.2.1: a sequence number, and a bit for each of the 16 after it."""
    for packet, mask in struct.iter_unpack("!HH", items):
        yield packet
        for bit in range(16):
            if mask >> bit & 1:
                yield packet + bit + 1 & 0xFFFF


def _unsigned(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def _cname(ssrc: int, cname: str) -> bytes:
    item = struct.pack("!IBB", ssrc, 1, len(cname)) + cname.encode()
    item += bytes(4 - len(item) % 4)  # at least one zero ends the list (RFC 3550 §6.5)
    return _packet(_SOURCE_DESCRIPTION, 1, item)
