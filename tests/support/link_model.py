"""A simulated downlink and the sender on it: rate, queue, delay, jitter and loss as schedules.

Everything follows from a seed and a clock that the model moves, so a trace is the same each time
and takes no real time. The estimator under test is driven as the router does it.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from sfu.rtp.transport_cc import TransportFeedback
from sfu.streams.congestion.arrivals import FeedbackBuilder
from sfu.streams.congestion.estimator import SendEstimator

MS = 1_000_000
S = 1_000_000_000
RING = 8192
START_NS = 1_750_000_000 * S

#: A value that changes with time: second → value.
Schedule = Callable[[float], float]


def steady(value: float) -> Schedule:
    """The same all the time."""
    return lambda _: value


def steps(*changes: tuple[float, float]) -> Schedule:
    """(from second, value), rising; the first from the beginning."""

    def at(second: float) -> float:
        value = changes[0][1]
        for since, changed in changes:
            if second >= since:
                value = changed
        return value

    return at


NEVER = steady(0)
QUEUE_BYTES = steady(60_000)
DELAY_MS = steady(20)


@dataclass
class Ring:
    """What was sent, as the forwarder keeps it."""

    moves: int = 1
    next_sequence: int = 0
    times_ns: array[int] = field(default_factory=lambda: array("q", bytes(8 * RING)))
    sizes_bytes: array[int] = field(default_factory=lambda: array("q", bytes(8 * RING)))

    def add(self, now_ns: int, size_bytes: int) -> int:
        """Note a packet; its sequence number."""
        sequence = self.next_sequence
        self.times_ns[sequence % RING] = now_ns
        self.sizes_bytes[sequence % RING] = size_bytes
        self.next_sequence = sequence + 1
        return sequence


@dataclass
class Link:
    """A bottleneck with a tail-drop queue, then a path with delay, jitter and random loss.

    `bucket_bytes` pass at once when the link was idle, as behind a token bucket (tbf). What
    another flow takes is `cross_bps` of `rate_bps`. Jitter holds up what comes behind, as radio
    does, unless the path `reorders`. The receiver reports each `feedback_ms` (browsers: 100).
    """

    rate_bps: Schedule
    queue_bytes: Schedule = QUEUE_BYTES
    delay_ms: Schedule = DELAY_MS
    jitter_ms: Schedule = NEVER
    loss: Schedule = NEVER
    cross_bps: Schedule = NEVER
    bucket_bytes: float = 1_500
    reorders: bool = False
    feedback_ms: int = 50
    feedback_loss: Schedule = NEVER


@dataclass
class Sample:
    """What was seen at one moment."""

    second: float
    target_bps: int
    queue_ms: float
    sent_bps: float
    acknowledged: bool


class Call:
    """One sender, its link and its estimator. `run` moves the time, `samples` is the trace.

    `media_bps(second, target)` is what the sender sends besides 40 kb/s of voice; `wanted_bps`
    what it would send if it could, which drives the probes.
    """

    def __init__(
        self,
        link: Link,
        *,
        seed: int,
        media_bps: Callable[[float, int], float] = lambda _, target: max(0, target - 40_000),
        wanted_bps: float = 4_000_000,
        clock_jump: Schedule = NEVER,
    ) -> None:
        self.link = link
        self.estimator = SendEstimator(START_NS)
        self.sends = Ring()
        self.samples: list[Sample] = []
        self.voice_delays_ms: list[float] = []
        self.probes = 0
        self._media_bps = media_bps
        self._wanted_bps = wanted_bps
        self._clock_jump = clock_jump
        self._random = random.Random(seed)
        self._lost_reports = random.Random(seed + 1000)
        self._builder = FeedbackBuilder()
        self._now_ns = START_NS
        self._free_ns = START_NS  # when the bottleneck has sent what it has
        self._newest_ns = 0
        self._arrived: list[tuple[int, int]] = []  # (at the receiver, sequence)
        self._reports: list[tuple[int, TransportFeedback]] = []
        self._debt_bytes = 0.0
        self._sent_bytes = 0

    @property
    def second(self) -> float:
        """How long it has gone on."""
        return (self._now_ns - START_NS) / S

    def run(self, seconds: float) -> list[Sample]:
        """Go on for so long; the samples of this stretch, ten a second."""
        begin = len(self.samples)
        end_ns = self._now_ns + int(seconds * S)
        while self._now_ns < end_ns:
            self._step()
        return self.samples[begin:]

    def _step(self) -> None:
        """5 ms."""
        step = (self._now_ns - START_NS) // (5 * MS)
        if step % 4 == 0:
            self._voice()
        if step % 6 == 0:
            self._picture()  # a picture each 30 ms
        if step * 5 % self.link.feedback_ms == 0:
            self._receiver_reports()
        self._hear()
        if step % 20 == 0:
            self._tick()
        if step % 20 == 0 or (step % 4 == 0 and self.estimator.probing):
            self._probe()
        self._now_ns += 5 * MS

    def _voice(self) -> None:
        """A packet each 20 ms; how long it took."""
        before = len(self._arrived)
        self._send(100)
        self.voice_delays_ms += [(at - self._now_ns) / MS for at, _ in self._arrived[before:]]

    def _picture(self) -> None:
        media = self._media_bps(self.second, self.estimator.target_bps)
        self._debt_bytes += media * 0.030 / 8 * self._random.uniform(0.7, 1.3)
        while self._debt_bytes >= 400:
            size = int(min(1_150, self._debt_bytes))
            self._debt_bytes -= size
            self._send(size)

    def _send(self, size_bytes: int) -> None:
        sequence = self.sends.add(self._now_ns, size_bytes)
        self._sent_bytes += size_bytes
        link, second = self.link, self.second
        rate = max(1.0, link.rate_bps(second) - link.cross_bps(second))
        takes_ns = size_bytes * 8 * S / rate
        # The bucket lets the link run behind by what it holds.
        self._free_ns = max(self._free_ns, self._now_ns - int(link.bucket_bytes * 8 * S / rate))
        waiting_ns = max(0, self._free_ns - self._now_ns)
        if waiting_ns * rate / 8 / S + size_bytes > link.queue_bytes(second) + 1_500:
            return
        self._free_ns += int(takes_ns)
        if self._random.random() < link.loss(second):
            return
        jitter_ns = self._random.expovariate(1.0) * link.jitter_ms(second) * MS
        delay_ns = int(link.delay_ms(second) * MS + jitter_ns)
        at_ns = max(self._free_ns, self._now_ns) + delay_ns
        if not link.reorders:
            at_ns = self._newest_ns = max(at_ns, self._newest_ns)
        self._arrived.append((at_ns, sequence))

    def _receiver_reports(self) -> None:
        """Feedback travels as long as the packets do."""
        here = sorted(x for x in self._arrived if x[0] <= self._now_ns)
        self._arrived = [x for x in self._arrived if x[0] > self._now_ns]
        jump_ns = int(self._clock_jump(self.second) * S)
        self._builder.note([(sequence & 0xFFFF, at + jump_ns) for at, sequence in here])
        due_ns = self._now_ns + int(self.link.delay_ms(self.second) * MS)
        for packet in self._builder.take():
            if self._lost_reports.random() >= self.link.feedback_loss(self.second):
                self._reports.append((due_ns, packet))

    def _hear(self) -> None:
        for due_ns, packet in list(self._reports):
            if due_ns <= self._now_ns:
                self._reports.remove((due_ns, packet))
                self.estimator.feedback(packet, self.sends, self._now_ns)

    def _tick(self) -> None:
        self.estimator.tick(self.sends, self._now_ns)
        self.samples.append(
            Sample(
                self.second,
                self.estimator.target_bps,
                max(0, self._free_ns - self._now_ns) / MS,
                self._sent_bytes * 8 * 10,
                self.estimator.acknowledged,
            )
        )
        self._sent_bytes = 0

    def _probe(self) -> None:
        probe = self.estimator.probe(self._now_ns, int(self._wanted_bps))
        if probe is not None:
            self.probes += 1
            first = self.sends.next_sequence
            left = probe.size_bytes
            while left > 0:
                self._send(min(left, 1_000))
                left -= 1_000
            self.estimator.probe_sent(first, self.sends.next_sequence - 1, self._now_ns)
