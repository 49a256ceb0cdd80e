"""What a signalling process counts. No label names a person, a room or an address."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from signaling.protocol.messages import ConsultationState, Role
from signaling.rooms.room import Room

_PREFIX = "vtelehealth_signaling_"
_LAG_PROBE_S = 0.5
_QUICK_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_WAIT_S = (5, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200)
_SCORES = (1.5, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75, 4.0, 4.2, 4.4)
_SETUP_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)


class _RoomsCollector(Collector):
    """Counts the rooms that this process follows, when it is asked."""

    def __init__(self, rooms: Callable[[], Iterable[Room]]) -> None:
        self._rooms = rooms

    def collect(self) -> Iterator[GaugeMetricFamily]:
        states: Tally[str] = Tally(dict.fromkeys(get_args(ConsultationState), 0))
        roles: Tally[str] = Tally(dict.fromkeys(get_args(Role), 0))
        recordings = 0
        for room in self._rooms():
            states[room.state] += 1
            recordings += sum(1 for span in room.recordings if span.stopped_at is None)
            for person in room.participants:
                if person.session is not None and person.session.away_since is None:
                    roles[person.role] += 1
        consultations = GaugeMetricFamily(
            _PREFIX + "consultations", "Consultations followed by this process.", labels=["state"]
        )
        for state, count in states.items():
            consultations.add_metric([state], count)
        yield consultations
        people = GaugeMetricFamily(
            _PREFIX + "participants",
            "People connected, in the consultations followed by this process.",
            labels=["role"],
        )
        for role, count in roles.items():
            people.add_metric([role], count)
        yield people
        yield GaugeMetricFamily(
            _PREFIX + "recordings_running",
            "Recordings running in the consultations followed by this process.",
            value=recordings,
        )


class _SfusCollector(Collector):
    """Counts the SFUs that this process speaks to, when it is asked."""

    def __init__(self, sfus: Callable[[], tuple[int, int]]) -> None:
        self._sfus = sfus

    def collect(self) -> Iterator[GaugeMetricFamily]:
        connected, busy = self._sfus()
        family = GaugeMetricFamily(
            _PREFIX + "sfus",
            "SFUs that this process speaks to; a busy one takes no more rooms.",
            labels=["state"],
        )
        family.add_metric(["serving"], connected - busy)
        family.add_metric(["busy"], busy)
        yield family


class Metrics:
    """All metrics of one process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.joins = self._counter("joins", "Joins by result.", "result")
        self.resumes = self._counter("resumes", "Resumed sessions by result.", "result")
        self.messages_in = self._counter("messages_in", "WebSocket messages received.", "type")
        self.messages_out = self._counter("messages_out", "WebSocket messages sent.", "type")
        self.errors = self._counter("errors", "Errors told to clients.", "code")
        self.closes = self._counter("closes", "WebSockets that we closed.", "code")
        self.effect_failures = self._counter(
            "effect_failures", "What the SFU or recorder did not do.", "effect"
        )
        self.child_restarts = self._counter("child_restarts", "Children started again.", "program")
        self.faults = self._counter(
            "faults", "What kept people from seeing or hearing each other.", "code"
        )
        self.quality_score = Histogram(
            _PREFIX + "quality_score",
            "Estimated score of a person's connection, 1 to 5, every 30 s.",
            buckets=_SCORES,
            registry=self.registry,
        )
        self.requests = self._counter("requests", "HTTP requests.", "route", "status")
        self.connections = Gauge(
            _PREFIX + "connections", "WebSockets open now.", registry=self.registry
        )
        self.archives_pending = Gauge(
            _PREFIX + "archives_pending",
            "Ended consultations not yet taken by the recorder.",
            registry=self.registry,
        )
        self.store_seconds = self._histogram(
            "store_seconds", "Time of one store operation.", _QUICK_S, "operation"
        )
        self.waiting_seconds = self._histogram(
            "waiting_to_admitted_seconds", "Time in the waiting room before admission.", _WAIT_S
        )
        self.first_answer_seconds = self._histogram(
            "join_to_first_answer_seconds", "Time from join to the first SDP answer.", _SETUP_S
        )
        self.loop_lag_seconds = self._histogram(
            "loop_lag_seconds", "How late the event loop runs a timer.", _QUICK_S
        )

    def follow_rooms(self, rooms: Callable[[], Iterable[Room]]) -> None:
        """Count `rooms()` at each scrape."""
        self.registry.register(_RoomsCollector(rooms))

    def follow_sfus(self, sfus: Callable[[], tuple[int, int]]) -> None:
        """Count at each scrape the SFUs there are and how many of them are busy: `sfus()`."""
        self.registry.register(_SfusCollector(sfus))

    @contextmanager
    def store_operation(self, operation: str) -> Iterator[None]:
        """Take the time of one store operation, also of one that fails."""
        start_s = perf_counter()
        try:
            yield
        finally:
            self.store_seconds.labels(operation).observe(perf_counter() - start_s)

    async def watch_loop(self) -> None:
        """Measure the event loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _LAG_PROBE_S
            await asyncio.sleep(_LAG_PROBE_S)
            self.loop_lag_seconds.observe(max(0.0, loop.time() - due_s))

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, meaning, labels, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(_PREFIX + name, meaning, labels, buckets=buckets, registry=self.registry)
