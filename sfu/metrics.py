"""What Prometheus reads of one SFU process. Counters are read when scraped, none per packet."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from sfu.control.messages import PictureState, TransportState
from sfu.forwarder.contract import Kind
from sfu.router.protection import LEVELS
from sfu.router.router import Router
from sfu.router.totals import MediaTotals
from sfu.transport.table import TransportTable

_PREFIX = "vtelehealth_sfu_"
_STATES: tuple[TransportState, ...] = (
    "connecting",
    "connected",
    "disconnected",
    "failed",
    "closed",
)
_KINDS: tuple[Kind, ...] = ("audio", "video")
_PICTURES: tuple[PictureState, ...] = ("shown", "hidden", "off", "network", "busy")
_LAYERS = ("0", "1", "2")
_ESTIMATES_BPS = (64_000, 150_000, 300_000, 600_000, 1_000_000, 2_000_000, 4_000_000)
_ESTIMATES = (*(str(bps) for bps in _ESTIMATES_BPS), "more")
_FORWARDING_BUCKETS_S = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
_LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class WireCounters:
    """Datagrams that never reached or left a room, since the start."""

    received_packets: int
    sent_packets: int
    stray_packets: int
    refused_packets: int
    unsent_packets: int
    faults: int
    tcp_connections: int = 0
    tcp_refused: int = 0
    tcp_unread_packets: int = 0


class Metrics:
    """The registry of one process, its two histograms, and a collector for all else."""

    def __init__(
        self, router: Router, transports: TransportTable, wire: Callable[[], WireCounters]
    ) -> None:
        self.registry = CollectorRegistry()
        self._forwarding = Histogram(
            _PREFIX + "forwarding_seconds",
            "Time to handle one received datagram and send what follows, sampled over bursts",
            buckets=_FORWARDING_BUCKETS_S,
            registry=self.registry,
        )
        self._loop_lag = Histogram(
            _PREFIX + "loop_lag_seconds",
            "How late the repair tick runs",
            buckets=_LAG_BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(_Collector(router, transports, wire))

    def sample_burst(self, seconds: float, datagrams: int) -> None:
        """One read burst took so long."""
        self._forwarding.observe(seconds / datagrams)

    def sample_lag(self, seconds: float) -> None:
        """A tick ran so much later than it was due."""
        self._loop_lag.observe(seconds)


class _Collector:
    """Reads the tables when Prometheus asks."""

    def __init__(
        self, router: Router, transports: TransportTable, wire: Callable[[], WireCounters]
    ) -> None:
        self._router = router
        self._transports = transports
        self._wire = wire
        self._lost: dict[Kind, int] = dict.fromkeys(_KINDS, 0)

    def collect(self) -> Iterable[Metric]:
        """All families (the interface of `CollectorRegistry.register`)."""
        yield from self._tables()
        yield from self._media()
        yield from self._drops()
        yield from self._feedback()
        yield from self._adaptation()

    def _tables(self) -> Iterable[Metric]:
        router = self._router
        states = Counter(home.connection.transport.state for home in router.state.homes())
        by_state = GaugeMetricFamily(
            _PREFIX + "transports", "Transports of peers", labels=["state"]
        )
        for state in _STATES:
            by_state.add_metric([state], states[state])
        yield by_state
        kinds = Counter(stream.kind for _, stream in router.state.streams())
        streams = GaugeMetricFamily(_PREFIX + "streams", "Incoming streams", labels=["kind"])
        legs = GaugeMetricFamily(_PREFIX + "legs", "Outgoing legs", labels=["kind"])
        leg_kinds = Counter(
            leg.kind for home in router.state.homes() for leg in home.connection.subscriber.legs()
        )
        for kind in _KINDS:
            streams.add_metric([kind], kinds[kind])
            legs.add_metric([kind], leg_kinds[kind])
        yield streams
        yield legs
        yield _gauge("rooms", "Rooms", len(router.rooms))
        yield _gauge("peers", "Peers", sum(len(room.peers) for room in router.rooms.values()))
        yield _gauge("taps", "Taps running or not read to their end", len(router.taps))
        yield _gauge(
            "tap_backlog_bytes", "Recorded and not acknowledged", router.taps.backlog_bytes()
        )
        yield _counter("tap_overflows", "Taps that ended with a full buffer", router.taps.overflows)
        yield _counter(
            "taps_discarded", "Taps forgotten before they were read", router.taps.discarded
        )

    def _media(self) -> Iterable[Metric]:
        totals = {kind: MediaTotals() for kind in _KINDS}
        forwarder = self._router.state.forwarder
        jitter = dict.fromkeys(_KINDS, 0.0)
        for kind in _KINDS:
            totals[kind].add(self._router.state.retired.by_kind[kind])
        for home in self._router.state.homes():
            for leg in home.connection.subscriber.legs():
                if leg.handle is not None:
                    totals[leg.kind].add_leg(forwarder, leg.handle)
        for _, stream in self._router.state.streams():
            totals[stream.kind].add_stream(forwarder, stream.handle)
            counters = forwarder.stream_counters(stream.handle)
            seconds = counters.jitter / stream.format.clock_rate
            jitter[stream.kind] = max(jitter[stream.kind], seconds)
        for kind in _KINDS:
            # A late packet is lost no more, but Prometheus takes a fall for a restart.
            self._lost[kind] = max(self._lost[kind], totals[kind].lost_packets)
            totals[kind].lost_packets = self._lost[kind]
        rows: list[tuple[str, str, Callable[[MediaTotals], int]]] = [
            ("received_packets", "RTP packets received", lambda t: t.received_packets),
            ("received_bytes", "RTP payload received", lambda t: t.received_bytes),
            ("lost_packets", "RTP packets lost before us", lambda t: t.lost_packets),
            ("repaired_packets", "Of those, that came after all", lambda t: t.repaired_packets),
            ("repair_bytes", "RTX payload received, probes too", lambda t: t.repair_bytes),
            ("sent_packets", "RTP packets sent, repeats aside", lambda t: t.sent_packets),
            ("sent_bytes", "RTP payload sent", lambda t: t.sent_bytes),
            ("resent_packets", "RTP packets sent again", lambda t: t.resent_packets),
            ("resent_bytes", "RTX payload sent, probes too", lambda t: t.resent_bytes),
        ]
        for name, text, read in rows:
            family = CounterMetricFamily(_PREFIX + name, text, labels=["kind"])
            for kind in _KINDS:
                family.add_metric([kind], read(totals[kind]))
            yield family
        worst = GaugeMetricFamily(
            _PREFIX + "worst_jitter_seconds", "Largest jitter of a stream", labels=["kind"]
        )
        for kind in _KINDS:
            worst.add_metric([kind], jitter[kind])
        yield worst

    def _drops(self) -> Iterable[Metric]:
        wire = self._wire()
        forwarder = self._router.state.forwarder
        unusable = self._router.state.retired.dropped_packets + sum(
            forwarder.transport_counters(home.connection.transport.handle).dropped_packets
            for home in self._router.state.homes()
        )
        checks = self._transports.checks
        dropped = CounterMetricFamily(
            _PREFIX + "dropped_packets", "Datagrams dropped", labels=["reason"]
        )
        reasons = {
            "stray": wire.stray_packets,
            "unusable": unusable,
            "not_encrypted": wire.refused_packets,
            "not_sent": wire.unsent_packets,
            "not_read_over_tcp": wire.tcp_unread_packets,
            "fault": wire.faults,
            "check_of_nobody": checks.unknown,
            "check_with_bad_integrity": checks.bad_integrity,
            "check_from_taken_address": checks.address_taken,
            "malformed_rtcp": self._router.state.feedback.malformed,
            "too_much_rtcp": self._router.state.feedback.too_many,
        }
        for reason, count in reasons.items():
            dropped.add_metric([reason], count)
        yield dropped
        yield _gauge("tcp_connections", "ICE-TCP connections", wire.tcp_connections)
        yield _counter("tcp_refused", "ICE-TCP connections over the limits", wire.tcp_refused)
        yield _counter("datagrams_received", "Over UDP and TCP, in", wire.received_packets)
        yield _counter("datagrams_sent", "Over UDP and TCP, out", wire.sent_packets)
        yield _counter("checks_answered", "ICE checks answered", checks.answered)

    def _feedback(self) -> Iterable[Metric]:
        counters = self._router.state.feedback
        yield _counter("nack_received", "NACKs of receivers", counters.nack_received)
        yield _counter("nack_sent", "NACKs to publishers", counters.nack_sent)
        yield _counter("pli_received", "Key frame requests of receivers", counters.pli_received)
        yield _counter("pli_sent", "Key frame requests to publishers", counters.pli_sent)
        yield _counter(
            "transport_wide_sent", "Transport-wide feedback sent", counters.transport_wide_sent
        )
        yield _counter(
            "transport_wide_received",
            "Transport-wide feedback of receivers",
            counters.transport_wide_received,
        )
        yield _counter(
            "downlink_video_lost",
            "Video packets with RTX that feedback told to be lost",
            counters.video_lost,
        )
        yield _counter(
            "downlink_video_repaired",
            "Those of them that feedback told to have come later",
            counters.video_repaired,
        )
        yield _counter("remb_received", "REMB of receivers", counters.remb_received)
        yield _counter("offers_refused", "Offers refused", self._router.state.offers_refused)

    def _adaptation(self) -> Iterable[Metric]:
        state = self._router.state
        layers: Counter[str] = Counter()
        pictures: Counter[PictureState] = Counter()
        estimates: Counter[str] = Counter()
        probes = state.retired.probes
        for home in state.homes():
            downlink = home.connection.downlink
            probes += downlink.probes
            if downlink.estimate_bps is not None:
                estimates[_estimate_class(downlink.estimate_bps)] += 1
            for seat in home.connection.subscriber:
                pictures[seat.picture] += 1
                if seat.video is not None and seat.video.shown is not None:
                    layers[str(seat.video.shown.layer)] += 1
        yield _labelled("seats_by_picture", "Seats", "picture", _PICTURES, pictures)
        yield _labelled("legs_by_layer", "Video legs by layer shown", "layer", _LAYERS, layers)
        yield _labelled(
            "viewers_by_estimate",
            "Viewers by what their path is thought to carry, up to so many bits a second",
            "up_to_bps",
            _ESTIMATES,
            estimates,
        )
        yield _counter("probes", "Probes of paths to viewers", probes)
        levels = {level: int(level == state.protection.level) for level in LEVELS}
        yield _labelled("protection", "1 at the level of load protection", "level", LEVELS, levels)
        yield _counter("rooms_refused", "Rooms refused while busy", state.rooms_refused)
        yield _counter(
            "tick_faults", "Work by the clock that failed for a room or peer", state.faults.count
        )


def _labelled(
    name: str, text: str, label: str, values: Sequence[str], counts: Mapping[Any, int]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=[label])
    for value in values:
        family.add_metric([value], counts.get(value, 0))
    return family


def _estimate_class(estimate_bps: int) -> str:
    index = bisect_left(_ESTIMATES_BPS, estimate_bps)
    return _ESTIMATES[index]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(_PREFIX + name, text, value=value)
