"""Our own server as a target: bots join by the real signalling, each with one PeerConnection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiortc import RTCCertificate

from clients.python.address import split_link
from clients.python.rest import NewConsultation, NewParticipant, Rest
from clients.python.signalling import Signalling
from load_tests.bot import Bot, sources_of
from load_tests.description import read_answer
from load_tests.endpoint import Endpoint
from load_tests.peers.target import JOINING_AT_ONCE
from load_tests.plan import Plan, Seat
from load_tests.server import Server
from signaling.protocol.messages import Facility, MediaState

JOIN_TIMEOUT_S = 60.0
_FACILITY = Facility(code="00000", name="Load test")


class OurBot(Bot):
    """Sends and receives on one PeerConnection."""

    def __init__(self, seat: Seat, endpoint: Endpoint, host: str) -> None:
        super().__init__(seat, endpoint, endpoint)
        self.session: Signalling | None = None
        self._host = host

    async def join(self, url: str, token: str) -> None:
        """Join, wait to be admitted, negotiate and connect."""
        self.times.open = time.monotonic_ns()
        self.session = session = Signalling.connect(url, token)
        await session.__aenter__()
        self.times.joined = time.monotonic_ns()
        await session.ready()
        await session.until(lambda room: room.my_state == "admitted", within_s=JOIN_TIMEOUT_S)
        self.times.admitted = time.monotonic_ns()
        endpoint = self.sender
        answer = await session.offer(endpoint.offer(self.seat.receives), fresh=True)
        self.times.answered = time.monotonic_ns()
        await endpoint.connect(read_answer(answer.sdp, self._host))
        self.note_connected()
        if self.seat.sends:
            await session.request(MediaState(audio=True, video=True))

    async def close(self) -> None:
        """Leave and close."""
        await super().close()
        if self.session is not None:
            await self.session.close()


class Ours(Server):
    """A `Target`; `host` is the address that it serves and that the bots send from."""

    def __init__(self, cores: set[int], host: str) -> None:
        super().__init__(cores, host)
        self._certificate = RTCCertificate.generateCertificate()

    @property
    def programs(self) -> dict[str, int]:
        """Process ids by name."""
        return {"media": self.sfu_pid, "signaling": self.pid}

    def bot(self, seat: Seat, numbers: tuple[int, int], video_packets_per_s: int) -> OurBot:
        """A participant that has not joined yet."""
        sources = sources_of(seat, numbers, video_packets_per_s)
        return OurBot(seat, Endpoint(self._certificate, self.host, sources), self.host)

    async def join(
        self, plan: Plan, rooms: Sequence[Sequence[Bot]], background: list[asyncio.Task[None]]
    ) -> None:
        """Invite, join and connect everybody."""
        links = await self._invite(plan)
        gate = asyncio.Semaphore(JOINING_AT_ONCE)
        await asyncio.gather(
            *(
                _join_room([bot for bot in room if isinstance(bot, OurBot)], own, gate, background)
                for room, own in zip(rooms, links, strict=True)
            )
        )

    async def _invite(self, plan: Plan) -> list[list[str]]:
        """The link of each bot."""
        links = []
        async with Rest(self.url, self.api_key) as rest:
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
    room: Sequence[OurBot],
    links: Sequence[str],
    gate: asyncio.Semaphore,
    background: list[asyncio.Task[None]],
) -> None:
    """The chair first, who admits the others."""

    async def join(bot: OurBot, link: str) -> None:
        async with gate:
            await bot.join(*split_link(link))

    chair, *others = room
    await join(chair, links[0])
    assert chair.session is not None
    background.append(asyncio.create_task(_admit_all(chair.session), name="chair"))
    await asyncio.gather(*(join(bot, link) for bot, link in zip(others, links[1:], strict=True)))


async def _admit_all(session: Signalling) -> None:
    """Admit whoever waits, for ever: what the chair of a room does."""
    asked: set[str] = set()
    wake = asyncio.Event()
    unlisten = session.listen(lambda _: wake.set())
    try:
        while True:
            wake.clear()
            for person in tuple(session.room.participants.values()):
                if person.state == "waiting" and person.id not in asked:
                    asked.add(person.id)
                    await session.admit(person.id)
            await wake.wait()
    finally:
        unlisten()
