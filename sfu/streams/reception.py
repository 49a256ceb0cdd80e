"""What arrives of one stream: loss, jitter, extended sequence numbers (RFC 3550 A.1, A.3, A.8)."""

from __future__ import annotations

from sfu.rtp.rtcp import ReportBlock
from sfu.rtp.serial import unwrap_16

#: RFC 3550 appendix A.1: a longer step forward is a sender that started anew, not a loss.
MAX_DROPOUT = 3000

_NS_PER_S = 1_000_000_000


class Reception:
    """Counts one stream. For each packet: `index_of`, then `note` unless it is a duplicate.

    `highest` is the unwrapped sequence number of the newest packet, -1 before the first; `packets`
    and `payload_bytes` count without duplicates; `repaired` counts those that came after a later
    one: overtaken on the way, or lost and sent again.
    """

    __slots__ = (
        "_base",
        "_began_ns",
        "_clock_rate",
        "_has_leapt",
        "_scaled_jitter",
        "_timestamp",
        "_transit",
        "duplicates",
        "highest",
        "packets",
        "payload_bytes",
        "repaired",
    )

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._base = 0
        self._began_ns = 0
        self._has_leapt = False
        self._timestamp = 0
        self._transit = 0
        self._scaled_jitter = 0  # sixteen times the jitter, as in appendix A.8
        self.highest = -1
        self.packets = 0
        self.payload_bytes = 0
        self.duplicates = 0
        self.repaired = 0

    def index_of(self, sequence: int) -> int:
        """The unwrapped sequence number nearest to the newest packet's."""
        return sequence if self.highest < 0 else unwrap_16(sequence, self.highest)

    def note(self, index: int, timestamp: int, size_bytes: int, now_ns: int) -> int:
        """Count a packet; how many numbers it steps forward, 0 or less when it comes late.

        `timestamp` in units of the clock rate, `size_bytes` of the payload.
        """
        self.packets += 1
        self.payload_bytes += size_bytes
        highest = self.highest
        if highest < 0:
            self._base = self.highest = index
            self._began_ns = now_ns
            self._timestamp = timestamp
            self._transit = -timestamp
            return 1
        step = index - highest
        if step <= 0:
            if index < self._base and not self._has_leapt:
                self._base = index
            else:
                self.repaired += 1
            return step
        if step > MAX_DROPOUT:
            # What comes late from before the leap lies below the base and must not open it again.
            self._base += step - 1
            self._has_leapt = True
        self.highest = index
        if timestamp != self._timestamp:
            self._follow(timestamp, now_ns)
        return step

    def _follow(self, timestamp: int, now_ns: int) -> None:
        """Jitter, of the first packet of each picture: how the others follow is the sender's."""
        self._timestamp = timestamp
        # Counted from the first packet: Unix time in units of the clock is slow to compute with.
        transit = (now_ns - self._began_ns) * self._clock_rate // _NS_PER_S - timestamp
        # The clock wraps at 32 bits: the difference is taken as a signed 32 bit number.
        change = (transit - self._transit + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
        self._transit = transit
        self._scaled_jitter += abs(change) - (self._scaled_jitter + 8 >> 4)

    @property
    def lost(self) -> int:
        """Packets expected and not received (appendix A.3); duplicates do not make it less."""
        return self.highest - self._base + 1 - self.packets if self.highest >= 0 else 0

    @property
    def jitter(self) -> int:
        """Interarrival jitter in units of the clock rate (appendix A.8)."""
        return self._scaled_jitter >> 4


class ReportInterval:
    """Makes the report blocks of one stream; each says what was lost since the one before."""

    __slots__ = ("_lost", "_packets")

    def __init__(self) -> None:
        self._packets = 0
        self._lost = 0

    def block(
        self,
        *,
        ssrc: int,
        packets: int,
        lost: int,
        highest_sequence: int,
        jitter: int,
        last_sender_report: int = 0,
        delay: int = 0,
    ) -> ReportBlock:
        """The next report block (RFC 3550 §6.4.1), from counters since the stream began.

        `last_sender_report` as `middle_32` and `delay` since it in 1/65536 s, both 0 before the
        first sender report.
        """
        new_packets = packets - self._packets
        new_lost = lost - self._lost
        self._packets = packets
        self._lost = lost
        expected = new_packets + new_lost
        # Appendix A.3: nothing expected, or more late packets than losses, is no loss.
        fraction = min(255, (new_lost << 8) // expected) if expected > 0 and new_lost > 0 else 0
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=fraction,
            lost=lost,
            highest_sequence=highest_sequence & 0xFFFF_FFFF,
            jitter=min(jitter, 0xFFFF_FFFF),
            last_sender_report=last_sender_report,
            delay=min(delay, 0xFFFF_FFFF),
        )
