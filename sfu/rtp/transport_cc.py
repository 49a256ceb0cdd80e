"""Transport-wide feedback: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.

Written and read ten to twenty times a second for each peer, so both work on whole runs where they
can. What a packet costs is bounded by its bytes: packets that did not arrive are counted, not
listed.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import accumulate
from operator import sub

from sfu.rtp.rtcp_header import VERSION, PacketType, RtcpFormatError, build_packet

#: Format of transport layer feedback (§3.1).
TRANSPORT_WIDE = 15

#: Arrival times are in units of 250 µs, reference times in 64 ms.
TICK_NS = 250_000
REFERENCE_TICKS = 256

MAX_STATUSES = 0xFFFF
MIN_DELTA_TICKS = -0x8000
MAX_DELTA_TICKS = 0x7FFF

_FIXED = struct.Struct("!IIHHI")
#: The same behind the RTCP header, and the one chunk of a packet that tells of no loss.
_WHOLE = struct.Struct("!BBHIIHHIH")
_WHOLE_FIRST, _WHOLE_SECOND = VERSION << 6 | TRANSPORT_WIDE, int(PacketType.TRANSPORT_FEEDBACK)
_SMALL_RUN = 0x2000
_RUN_MAX = 0x1FFF
_ONE_BIT = 0x8000
_TWO_BIT = 0xC000
_ABSENT, _SMALL, _LARGE = 0, 1, 2
_RUN = re.compile(rb"\x00+|\x01+|\x02+")
_SMALL_MAX = 0xFF


def _positions(bits: int, width: int, symbol_bits: int) -> tuple[tuple[int, ...], bytes]:
    """Which of `width` symbols are not 0, and those symbols."""
    mask = (1 << symbol_bits) - 1
    symbols = [bits >> symbol_bits * (width - 1 - i) & mask for i in range(width)]
    return tuple(i for i, s in enumerate(symbols) if s), bytes(s for s in symbols if s)


#: The symbols of half a status vector chunk (§3.1.4): 7 of one bit; 3 or 4 of two bits.
_SEVEN = [_positions(bits, 7, 1) for bits in range(1 << 7)]
_THREE = [_positions(bits, 3, 2) for bits in range(1 << 6)]
_FOUR = [_positions(bits, 4, 2) for bits in range(1 << 8)]


@dataclass(slots=True)  # not frozen, which would cost a microsecond for each
class TransportFeedback:
    """Which of `status_count` packets from `base_sequence` on arrived, and when.

    `offsets`, rising and each below `status_count`, are the ones that arrived, counted from
    `base_sequence`; `ticks` beside it is when, in 250 µs after `reference_time`. `base_sequence`
    has 16 bits, `feedback_count` 8, `reference_time` 24 in units of 64 ms; all three wrap.
    """

    sender_ssrc: int
    media_ssrc: int
    base_sequence: int
    feedback_count: int
    reference_time: int
    status_count: int
    offsets: tuple[int, ...]
    ticks: tuple[int, ...]

    @classmethod
    def parse(cls, body: bytes) -> TransportFeedback:
        """Read the body. Raises `RtcpFormatError`."""
        if len(body) < _FIXED.size:
            raise RtcpFormatError("transport-wide feedback is cut short")
        sender, media, base, count, rest = _FIXED.unpack_from(body)
        if not count:
            raise RtcpFormatError("transport-wide feedback tells of no packet")
        offsets, sizes, position = _parse_chunks(body, count)
        return cls(
            sender,
            media,
            base,
            rest & 0xFF,
            rest >> 8,
            count,
            tuple(offsets),
            _parse_ticks(body, position, sizes),
        )

    def __bytes__(self) -> bytes:
        """Raises `ValueError` when two packets arrived too far from each other for one report."""
        ticks = self.ticks
        steps = list(map(sub, ticks, (0, *ticks[:-1])))
        count = len(steps)
        if count == self.status_count <= _RUN_MAX and min(steps) >= 0 and max(steps) <= _SMALL_MAX:
            return self._whole(steps)
        chunks, deltas = self._written(steps)
        rest = self.reference_time << 8 | self.feedback_count
        body = _FIXED.pack(
            self.sender_ssrc, self.media_ssrc, self.base_sequence, self.status_count, rest
        )
        body += chunks + deltas
        return build_packet(
            PacketType.TRANSPORT_FEEDBACK, TRANSPORT_WIDE, body + b"\0" * (-len(body) % 4)
        )

    def _whole(self, steps: list[int]) -> bytes:
        """What nearly every report is: all arrived, one soon after the other."""
        padding = -len(steps) - 2 & 3
        head = _WHOLE.pack(
            _WHOLE_FIRST,
            _WHOLE_SECOND,
            (_WHOLE.size + len(steps) + padding) // 4 - 1,
            self.sender_ssrc,
            self.media_ssrc,
            self.base_sequence,
            self.status_count,
            self.reference_time << 8 | self.feedback_count,
            _SMALL_RUN | len(steps),
        )
        return head + bytes(steps) + bytes(padding)

    def _written(self, steps: list[int]) -> tuple[bytes, bytes]:
        """Chunks and deltas."""
        small = not steps or (min(steps) >= 0 and max(steps) <= _SMALL_MAX)
        if small:
            kinds = b"\1" * len(steps)
            deltas = bytes(steps)
        else:
            if min(steps) < MIN_DELTA_TICKS or max(steps) > MAX_DELTA_TICKS:
                raise ValueError("packets of one feedback arrived more than 8 s apart")
            kinds = bytes(_SMALL if 0 <= step <= _SMALL_MAX else _LARGE for step in steps)
            deltas = b"".join(_delta(step) for step in steps)
        if len(steps) == self.status_count:
            return _chunks(kinds), deltas
        symbols = bytearray(self.status_count)
        for offset, kind in zip(self.offsets, kinds, strict=True):
            symbols[offset] = kind
        return _chunks(bytes(symbols)), deltas


def _parse_chunks(body: bytes, count: int) -> tuple[list[int], bytearray, int]:
    """Offsets of what arrived, the size of each one's delta, and where the deltas begin."""
    offsets: list[int] = []
    sizes = bytearray()
    position = _FIXED.size
    at = 0
    room = len(body)
    while at < count:
        # Each arrival has a delta: more of them than there are bytes is a lie.
        if position + 2 + len(offsets) > room:
            raise RtcpFormatError("the chunks of transport-wide feedback are cut short")
        high, low = body[position], body[position + 1]
        position += 2
        if high < 0x80:
            length = min((high & 0x1F) << 8 | low, count - at)
            symbol = high >> 5
            if symbol:
                if len(offsets) + length > room - position:
                    raise RtcpFormatError("transport-wide feedback lacks arrival times")
                offsets.extend(range(at, at + length))
                sizes += bytes((symbol,)) * length
            elif not length:
                raise RtcpFormatError("a run of transport-wide feedback is empty")
            at += length
        elif high < 0xC0:
            bits = (high & 0x3F) << 8 | low
            _extend(offsets, sizes, at, _SEVEN[bits >> 7])
            _extend(offsets, sizes, at + 7, _SEVEN[bits & 0x7F])
            at += 14
        else:
            _extend(offsets, sizes, at, _THREE[high & 0x3F])
            _extend(offsets, sizes, at + 3, _FOUR[low])
            at += 7
    # The last vector may go on beyond the end; what it says there has no meaning.
    while offsets and offsets[-1] >= count:
        offsets.pop()
        sizes.pop()
    return offsets, sizes, position


def _extend(
    offsets: list[int], sizes: bytearray, at: int, found: tuple[tuple[int, ...], bytes]
) -> None:
    positions, symbols = found
    offsets.extend([at + i for i in positions])
    sizes += symbols


def _parse_ticks(body: bytes, position: int, sizes: bytearray) -> tuple[int, ...]:
    count = len(sizes)
    if _LARGE not in sizes and 3 not in sizes:
        if position + count > len(body):
            raise RtcpFormatError("transport-wide feedback lacks arrival times")
        return tuple(accumulate(body[position : position + count]))
    ticks: list[int] = []
    now = 0
    if position + sum(sizes) > len(body) or 3 in sizes:
        raise RtcpFormatError("transport-wide feedback lacks arrival times")
    for size in sizes:
        if size == _SMALL:
            now += body[position]
        else:
            step = body[position] << 8 | body[position + 1]
            now += step - 0x10000 if step & 0x8000 else step
        position += size
        ticks.append(now)
    return tuple(ticks)


def _delta(step: int) -> bytes:
    return bytes((step,)) if 0 <= step <= _SMALL_MAX else (step & 0xFFFF).to_bytes(2, "big")


def _chunks(symbols: bytes) -> bytes:
    """Packet status chunks (§3.1.2 to §3.1.4): runs where they are long, vectors elsewhere."""
    chunks = bytearray()
    at = 0
    count = len(symbols)
    while at < count:
        match = _RUN.match(symbols, at)
        run = match.end() - at if match else 1
        if run >= 14 or at + run == count:
            run = min(run, _RUN_MAX)
            chunk = symbols[at] << 13 | run
            at += run
        elif _LARGE in symbols[at : at + 7] or _LARGE in symbols[at : at + 14]:
            chunk = _TWO_BIT | _packed(symbols[at : at + 7], 7, 2)
            at += 7
        else:
            chunk = _ONE_BIT | _packed(symbols[at : at + 14], 14, 1)
            at += 14
        chunks += chunk.to_bytes(2, "big")
    return bytes(chunks)


def _packed(symbols: bytes, width: int, symbol_bits: int) -> int:
    value = 0
    for symbol in symbols:
        value = value << symbol_bits | symbol
    return value << symbol_bits * (width - len(symbols))
