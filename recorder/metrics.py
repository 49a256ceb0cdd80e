"""What the recorder tells Prometheus. No label names a person, a consultation or a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.record.outbox import OutboxMetrics

_LAG_INTERVAL_S = 0.5


class Observed(Protocol):
    """What is read at each scrape."""

    def recordings_by_state(self) -> dict[str, int]: ...

    def backlog_records(self) -> int: ...

    def archives_pending(self) -> int: ...

    def kept_consultations(self) -> int: ...

    def oldest_archive_age_s(self) -> float: ...

    def free_bytes(self) -> dict[str, int]: ...


class Metrics:
    """All metrics of one recorder process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.outbox = OutboxMetrics(self.registry)
        self.connections = Gauge(
            "vtelehealth_recorder_control_connections",
            "Open control connections.",
            registry=self.registry,
        )
        self.commands = Counter(
            "vtelehealth_recorder_control_commands",
            "Control commands by kind and result.",
            ["command", "result"],
            registry=self.registry,
        )
        self.journal_records = Counter(
            "vtelehealth_recorder_journal_records",
            "Tap records written to journals.",
            registry=self.registry,
        )
        self.journal_bytes = Counter(
            "vtelehealth_recorder_journal_bytes",
            "Bytes of tap records written to journals.",
            registry=self.registry,
        )
        self.fsync = Histogram(
            "vtelehealth_recorder_journal_commit_seconds",
            "Time to write a batch to a journal and have it on the disk.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self.registry,
        )
        self.tap_connects = Counter(
            "vtelehealth_recorder_tap_connects",
            "Attempts to connect to a tap by result: connected, refused, unreachable.",
            ["result"],
            registry=self.registry,
        )
        self.tap_errors = Counter(
            "vtelehealth_recorder_tap_format_errors",
            "Tap messages that were not whole records.",
            registry=self.registry,
        )
        self.tap_gaps = Counter(
            "vtelehealth_recorder_tap_missing_records",
            "Records that a tap skipped: they never reached us.",
            registry=self.registry,
        )
        self.tap_repeats = Counter(
            "vtelehealth_recorder_tap_repeated_records",
            "Records that came again although they were asked for no more; left out.",
            registry=self.registry,
        )
        self.failures = Counter(
            "vtelehealth_recorder_recording_failures",
            "Recordings that failed, by reason: disk_full, journal, tap, internal.",
            ["reason"],
            registry=self.registry,
        )
        self.cuts = Counter(
            "vtelehealth_recorder_recordings_cut",
            "Stopped recordings whose tap's END did not come: their last seconds may be missing.",
            registry=self.registry,
        )
        self.archive_lag = Histogram(
            "vtelehealth_recorder_archive_lag_seconds",
            "Time from a consultation's end to its complete archive.",
            buckets=(1, 2.5, 5, 10, 30, 60, 180, 600, 3600, 10800, 86400),
            registry=self.registry,
        )
        self.archive_failures = Counter(
            "vtelehealth_recorder_archive_failures",
            "Attempts at an archive that failed and will be repeated.",
            registry=self.registry,
        )
        self.archive_problems = Counter(
            "vtelehealth_recorder_archive_problems",
            "Tracks, recordings and bundles not made, and files not used; the sources are kept.",
            ["what"],
            registry=self.registry,
        )
        self.loop_lag = Histogram(
            "vtelehealth_recorder_event_loop_lag_seconds",
            "How late the event loop runs what is due.",
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )

        # A series that begins at its first increase hides that increase from an alert.
        for counter, values in (
            (self.tap_connects, ("connected", "refused", "unreachable")),
            (self.failures, ("disk_full", "journal", "tap", "internal")),
            (self.archive_problems, ("dossier", "recording", "track", "bundle", "file")),
        ):
            for value in values:
                counter.labels(value)

    def observe(self, observed: Observed) -> None:
        """Read `observed` at each scrape from now on."""
        self.registry.register(_Observer(observed))


class _Observer(Collector):
    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "vtelehealth_recorder_recordings", "Recordings by state.", labels=["state"]
        )
        for state, count in self._observed.recordings_by_state().items():
            states.add_metric([state], count)
        yield states
        disks = GaugeMetricFamily(
            "vtelehealth_recorder_disk_free_bytes",
            "Free bytes on the disk of a directory: work (journals) or archive.",
            labels=["directory"],
        )
        for directory, free in self._observed.free_bytes().items():
            disks.add_metric([directory], free)
        yield disks
        for name, text, read in self._gauges():
            yield GaugeMetricFamily(f"vtelehealth_recorder_{name}", text, value=read())

    def _gauges(self) -> list[tuple[str, str, Callable[[], float]]]:
        seen = self._observed
        return [
            (
                "tap_backlog_records",
                "Tap records received and not yet on the disk.",
                seen.backlog_records,
            ),
            (
                "archives_pending",
                "Consultations that wait for their archive.",
                seen.archives_pending,
            ),
            (
                "kept_consultations",
                "Consultations put aside because something in them could not be archived.",
                seen.kept_consultations,
            ),
            (
                "archive_oldest_age_seconds",
                "Time for which the oldest of them has waited, 0 when none waits.",
                seen.oldest_archive_age_s,
            ),
        ]


async def watch_loop(histogram: Histogram) -> None:
    """Measure the event loop's lag until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_INTERVAL_S
        await asyncio.sleep(_LAG_INTERVAL_S)
        histogram.observe(max(loop.time() - due, 0.0))
