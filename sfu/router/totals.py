"""What was counted on streams and legs that are no more, so that totals never fall."""

from __future__ import annotations

from dataclasses import dataclass, field

from sfu.forwarder.contract import Forwarder, Kind, LegHandle, StreamHandle


@dataclass(slots=True)
class MediaTotals:
    """Packets and bytes of media of one kind."""

    received_packets: int = 0
    received_bytes: int = 0
    lost_packets: int = 0
    repaired_packets: int = 0
    repair_bytes: int = 0
    sent_packets: int = 0
    sent_bytes: int = 0
    resent_packets: int = 0
    resent_bytes: int = 0

    def add_stream(self, forwarder: Forwarder, stream: StreamHandle) -> None:
        """Add a stream's counters."""
        counters = forwarder.stream_counters(stream)
        self.received_packets += counters.packets
        self.received_bytes += counters.bytes
        self.lost_packets += max(0, counters.lost)
        self.repaired_packets += counters.repaired
        self.repair_bytes += counters.repair_bytes

    def add_leg(self, forwarder: Forwarder, leg: LegHandle) -> None:
        """Add a leg's counters."""
        counters = forwarder.leg_counters(leg)
        self.sent_packets += counters.packets
        self.sent_bytes += counters.bytes
        self.resent_packets += counters.resent
        self.resent_bytes += counters.resent_bytes

    def add(self, other: MediaTotals) -> None:
        """Add all of another's."""
        self.received_packets += other.received_packets
        self.received_bytes += other.received_bytes
        self.lost_packets += other.lost_packets
        self.repaired_packets += other.repaired_packets
        self.repair_bytes += other.repair_bytes
        self.sent_packets += other.sent_packets
        self.sent_bytes += other.sent_bytes
        self.resent_packets += other.resent_packets
        self.resent_bytes += other.resent_bytes


@dataclass(slots=True)
class RetiredTotals:
    """By kind; and what closed transports dropped, and how often they were probed."""

    by_kind: dict[Kind, MediaTotals] = field(
        default_factory=lambda: {"audio": MediaTotals(), "video": MediaTotals()}
    )
    dropped_packets: int = 0
    probes: int = 0
