"""One run: server up, bots in, a steady window measured, everything down."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from load_tests.bot import Bot
from load_tests.pacer import Pacer
from load_tests.peers.target import Target, endpoints
from load_tests.plan import Plan
from load_tests.process_usage import Usage, udp_drops, usage

#: Everybody must have got every source's first packet by then.
FILL_WITHIN_S = 30.0
#: After the window, for what is on its way.
DRAIN_S = 0.5
LOOPBACK = "127.0.0.1"
#: Those of this process, before a run divides them.
_CORES = sorted(os.sched_getaffinity(0))

#: Makes a server that may use those cores and serves at that address.
MakeTarget = Callable[[set[int], str], Target]


class LoadFailed(Exception):
    """The run did not come to its end; the text says where it stuck."""


@dataclass
class Window:
    """The packets of one source that count: the first and the last of the steady window."""

    first: int
    last: int = -1


@dataclass
class Measured:
    """What a run saw; `report` makes figures of it. Usages are by program."""

    plan: Plan
    server_cores: tuple[int, ...]
    load_cores: tuple[int, ...]
    rooms: list[list[Bot]] = field(default_factory=list)
    windows: dict[int, Window] = field(default_factory=dict)
    seconds: float = 0.0
    packets_out: int = 0
    load_cpu_s: float = 0.0
    pacer_latest_ns: int = 0
    bot_drops: int = 0
    empty: dict[str, Usage] = field(default_factory=dict)
    start: dict[str, Usage] = field(default_factory=dict)
    end: dict[str, Usage] = field(default_factory=dict)

    @property
    def media_cpu_s(self) -> float:
        """CPU time of the process that forwards, in the window."""
        return self.end["media"].cpu_s - self.start["media"].cpu_s

    @property
    def media_cpu_us_per_packet(self) -> float:
        """The same for each packet that a receiver got, in microseconds."""
        return 1e6 * self.media_cpu_s / max(1, self.packets_out)

    @property
    def bots(self) -> list[Bot]:
        """Of all rooms."""
        return [bot for room in self.rooms for bot in room]


async def run(plan: Plan, make: MakeTarget, host: str = LOOPBACK) -> Measured:
    """Run a plan on a server of its own at `host`.

    Raises `LoadFailed`, `ServerError`, `JanusError`, `WireError`, `ClientError`.
    """
    server_cores, load_cores = cores()
    measured = Measured(plan, tuple(sorted(server_cores)), tuple(sorted(load_cores)))
    os.sched_setaffinity(0, load_cores)
    async with make(server_cores, host) as target:
        measured.empty = _usages(target)
        measured.rooms = _bots(plan, target)
        try:
            await _load(target, measured)
        except (TimeoutError, LoadFailed) as error:
            raise LoadFailed(f"{error}\n{target.log()}") from error
        finally:
            closing = (bot.close() for bot in measured.bots)
            await asyncio.gather(*closing, return_exceptions=True)
            gc.unfreeze()
    return measured


def cores() -> tuple[set[int], set[int]]:
    """For the server and for the load: not the same one where there are two."""
    return {_CORES[0]}, {_CORES[-1]}


def _bots(plan: Plan, target: Target) -> list[list[Bot]]:
    rooms: list[list[Bot]] = []
    number = 0
    for seats in plan.rooms:
        room = []
        for seat in seats:
            room.append(target.bot(seat, (number, number + 1), plan.video_packets_per_s))
            number += 2
        rooms.append(room)
    return rooms


def _usages(target: Target) -> dict[str, Usage]:
    """Of all its programs. Raises `LoadFailed` when one has ended."""
    found = {}
    for program, pid in target.programs.items():
        try:
            found[program] = usage(pid)
        except OSError as error:
            raise LoadFailed(f"{program} ended during the run") from error
    return found


async def _load(target: Target, measured: Measured) -> None:
    pacer = Pacer(endpoints(measured.rooms))
    background = [asyncio.create_task(pacer.run(), name="pacer")]
    try:
        await target.join(measured.plan, measured.rooms, background)
        await _fill(measured.rooms)
        gc.collect()
        gc.freeze()
        pacer.latest_ns = 0
        await _measure(target, measured)
        measured.pacer_latest_ns = pacer.latest_ns
        for task in background:
            if task.done():
                raise LoadFailed(f"{task.get_name()} ended: {task.exception()!r}")
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


async def _fill(rooms: Sequence[Sequence[Bot]]) -> None:
    """Wait until everybody receives everyone else's sources."""
    deadline_s = time.monotonic() + FILL_WITHIN_S
    while missing := sum(_missing(room) for room in rooms):
        if time.monotonic() > deadline_s:
            raise LoadFailed(f"{missing} streams had not arrived after {FILL_WITHIN_S} s")
        await asyncio.sleep(0.05)


def _missing(room: Sequence[Bot]) -> int:
    numbers = {source.number: bot for bot in room for source in bot.sources}
    return sum(
        number not in bot.tallies or bot.tallies[number].decodable_at_ns is None
        for bot in room
        for number, sender in numbers.items()
        if sender is not bot
    )


async def _measure(target: Target, measured: Measured) -> None:
    bots = measured.bots
    ports = {endpoint.wire.address[1] for endpoint in endpoints(measured.rooms)}
    sources = [source for bot in bots for source in bot.sources]
    tallies = [tally for bot in bots for tally in bot.tallies.values()]
    for bot in bots:
        bot.receiver.sample()
        bot.receiver.on_the_way_ns.clear()
    for tally in tallies:
        tally.forget()
    measured.windows = {source.number: Window(source.sent) for source in sources}
    dropped = udp_drops(ports)
    measured.start = _usages(target)
    started_s, cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(measured.plan.seconds)
    measured.seconds = time.monotonic() - started_s
    measured.load_cpu_s = time.process_time() - cpu_s
    measured.end = _usages(target)
    measured.packets_out = sum(tally.packets for tally in tallies)
    for source in sources:
        measured.windows[source.number].last = source.sent - 1
    await asyncio.sleep(DRAIN_S)
    measured.bot_drops = udp_drops(ports) - dropped
