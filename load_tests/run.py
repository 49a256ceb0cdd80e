"""One run: server up, bots in, a steady window measured, everything down."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiortc import RTCCertificate

from clients.python.address import split_link
from clients.python.rest import NewConsultation, NewParticipant, Rest
from load_tests.bot import Bot, admit_all
from load_tests.pacer import Pacer
from load_tests.plan import Plan
from load_tests.process_usage import Usage, udp_drops, usage
from load_tests.server import Server
from signaling.protocol.messages import Facility

#: Bots that join at the same time: more would queue at the one core of the load.
JOINING_AT_ONCE = 4
#: Everybody must have got every source's first packet by then.
FILL_WITHIN_S = 30.0
#: After the window, for what is on its way.
DRAIN_S = 0.5
_FACILITY = Facility(code="00000", name="Load test")


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
    def bots(self) -> list[Bot]:
        """Of all rooms."""
        return [bot for room in self.rooms for bot in room]


async def run(plan: Plan) -> Measured:
    """Run a plan on a server of its own.

    Raises `LoadFailed`, `ServerError`, `WireError`, `ClientError`.
    """
    server_cores, load_cores = _cores()
    measured = Measured(plan, tuple(sorted(server_cores)), tuple(sorted(load_cores)))
    os.sched_setaffinity(0, load_cores)
    async with Server(server_cores) as server:
        measured.empty = _usages(server)
        certificate = RTCCertificate.generateCertificate()
        measured.rooms = _bots(plan, certificate)
        try:
            await _load(server, measured)
        except (TimeoutError, LoadFailed) as error:
            raise LoadFailed(f"{error}\n{server.log()}") from error
        finally:
            closing = (bot.close() for bot in measured.bots)
            await asyncio.gather(*closing, return_exceptions=True)
    return measured


def _cores() -> tuple[set[int], set[int]]:
    """For the server and for the load: not the same one where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[0]}, {cores[-1]}


def _bots(plan: Plan, certificate: RTCCertificate) -> list[list[Bot]]:
    rooms: list[list[Bot]] = []
    number = 0
    for seats in plan.rooms:
        room = []
        for seat in seats:
            numbers = (number, number + 1)
            number += 2
            room.append(Bot(seat, certificate, numbers, plan.video_packets_per_s))
        rooms.append(room)
    return rooms


def _usages(server: Server) -> dict[str, Usage]:
    """Of both programs. Raises `LoadFailed` when one has ended."""
    found = {}
    for program, pid in (("sfu", server.sfu_pid), ("signaling", server.pid)):
        try:
            found[program] = usage(pid)
        except OSError as error:
            raise LoadFailed(f"{program} ended during the run") from error
    return found


async def _load(server: Server, measured: Measured) -> None:
    pacer = Pacer(measured.bots)
    background = [asyncio.create_task(pacer.run(), name="pacer")]
    try:
        links = await _invite(server, measured.plan)
        gate = asyncio.Semaphore(JOINING_AT_ONCE)
        await asyncio.gather(
            *(
                _join_room(room, room_links, gate, background)
                for room, room_links in zip(measured.rooms, links, strict=True)
            )
        )
        await _fill(measured.rooms)
        gc.collect()
        gc.freeze()
        pacer.latest_ns = 0
        await _measure(server, measured)
        measured.pacer_latest_ns = pacer.latest_ns
        for task in background:
            if task.done():
                raise LoadFailed(f"{task.get_name()} ended: {task.exception()!r}")
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


async def _invite(server: Server, plan: Plan) -> list[list[str]]:
    """The link of each bot."""
    links = []
    async with Rest(server.url, server.api_key) as rest:
        for seats in plan.rooms:
            created = await rest.create(
                NewConsultation(
                    mode="TELECONSULT_MDT",
                    title="Load test",
                    facility=_FACILITY,
                    recording_policy="none",
                    participants=tuple(
                        NewParticipant(name=f"Bot {place}", role=seat.role, facility=_FACILITY)
                        for place, seat in enumerate(seats)
                    ),
                )
            )
            links.append([invitation.link for invitation in created.invitations])
    return links


async def _join_room(
    room: Sequence[Bot],
    links: Sequence[str],
    gate: asyncio.Semaphore,
    background: list[asyncio.Task[None]],
) -> None:
    """The chair first, who admits the others."""

    async def join(bot: Bot, link: str) -> None:
        async with gate:
            await bot.join(*split_link(link))

    chair, *others = room
    await join(chair, links[0])
    assert chair.session is not None
    background.append(asyncio.create_task(admit_all(chair.session), name="chair"))
    await asyncio.gather(*(join(bot, link) for bot, link in zip(others, links[1:], strict=True)))


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


async def _measure(server: Server, measured: Measured) -> None:
    bots = measured.bots
    ports = {bot.wire.port for bot in bots}
    sources = [source for bot in bots for source in bot.sources]
    tallies = [tally for bot in bots for tally in bot.tallies.values()]
    for bot in bots:
        bot.on_the_way_ns.clear()
    for tally in tallies:
        tally.forget()
    measured.windows = {source.number: Window(source.sent) for source in sources}
    dropped = udp_drops(ports)
    measured.start = _usages(server)
    started_s, cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(measured.plan.seconds)
    measured.seconds = time.monotonic() - started_s
    measured.load_cpu_s = time.process_time() - cpu_s
    measured.end = _usages(server)
    measured.packets_out = sum(tally.packets for tally in tallies)
    for source in sources:
        measured.windows[source.number].last = source.sent - 1
    await asyncio.sleep(DRAIN_S)
    measured.bot_drops = udp_drops(ports) - dropped
