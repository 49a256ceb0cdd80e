"""Janus' VideoRoom as a target: each bot publishes on one PeerConnection and receives on another.

The API is Janus' own: JSON over a WebSocket, requests and answers matched by `transaction`.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiortc import RTCCertificate
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from load_tests.bot import Bot, sources_of
from load_tests.description import (
    EXTENSIONS,
    candidate_lines,
    read_answer,
    section_lines,
    session_lines,
)
from load_tests.endpoint import Endpoint
from load_tests.peers.janus import Janus, JanusError
from load_tests.peers.target import JOINING_AT_ONCE
from load_tests.plan import Plan, Seat

ANSWER_WITHIN_S = 15.0
#: Janus closes a session that says nothing for 60 s.
KEEP_ALIVE_S = 25.0
_PLUGIN = "janus.plugin.videoroom"

Json = dict[str, Any]


class Handle:
    """One attachment to the plugin: one PeerConnection."""

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._number = number

    async def ask(self, body: Json, jsep: Json | None = None) -> tuple[Json, Json | None]:
        """The plugin's answer to `body`, with its SDP. Raises `JanusError`."""
        message: Json = {"janus": "message", "handle_id": self._number, "body": body}
        if jsep is not None:
            message["jsep"] = jsep
        answer = await self._session.ask(message)
        data: Json = answer.get("plugindata", {}).get("data", {})
        if "error" in data:
            raise JanusError(f"{body['request']}: {data['error']}")
        return data, answer.get("jsep")


class Session:
    """One connection to Janus with its session; enter to open it."""

    def __init__(self, janus: Janus) -> None:
        self._connecting = janus.connect()
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._session_id = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: ClientConnection

    async def __aenter__(self) -> Self:
        self._socket = await self._connecting
        self._tasks.append(asyncio.create_task(self._read(), name="janus-read"))
        created = await self.ask({"janus": "create"})
        self._session_id = created["data"]["id"]
        self._tasks.append(asyncio.create_task(self._keep_alive(), name="janus-keep-alive"))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._socket.close()

    async def attach(self) -> Handle:
        """A new handle of the VideoRoom."""
        answer = await self.ask({"janus": "attach", "plugin": _PLUGIN})
        return Handle(self, answer["data"]["id"])

    async def ask(self, message: Json) -> Json:
        """Send a request, and wait for what it leads to. Raises `JanusError`."""
        transaction = secrets.token_hex(8)
        answered: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = answered
        try:
            await self._send(message | {"transaction": transaction})
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await answered
        except (TimeoutError, ConnectionClosed) as error:
            raise JanusError(f"{message['janus']} was not answered") from error
        finally:
            del self._waiting[transaction]
        if answer["janus"] == "error":
            raise JanusError(f"{message['janus']}: {answer['error']['reason']}")
        return answer

    async def _send(self, message: Json) -> None:
        if self._session_id:
            message = message | {"session_id": self._session_id}
        await self._socket.send(json.dumps(message))

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            # An `ack` says only that an event with the same transaction will follow.
            if message["janus"] == "ack":
                continue
            waiting = self._waiting.get(message.get("transaction", ""))
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await self._send({"janus": "keepalive", "transaction": "keepalive"})


class JanusBot(Bot):
    """Publishes on `sender`, then receives everybody else's feeds on `receiver`."""

    def __init__(self, seat: Seat, sender: Endpoint, receiver: Endpoint, host: str) -> None:
        super().__init__(seat, sender, receiver)
        self.feed = 0
        self._host = host

    async def publish(self, session: Session, room: int) -> None:
        """Join and send; whoever does not send joins all the same, to be counted alike."""
        self.times.open = time.monotonic_ns()
        handle = await session.attach()
        if not self.seat.sends:
            self.times.joined = time.monotonic_ns()
            return
        request = {"request": "joinandconfigure", "ptype": "publisher", "room": room}
        endpoint = self.sender
        data, jsep = await handle.ask(request, {"type": "offer", "sdp": endpoint.offer(0)})
        self.times.joined = time.monotonic_ns()
        if jsep is None:
            raise JanusError("a publisher got no answer")
        self.feed = data["id"]
        await endpoint.connect(read_answer(jsep["sdp"], self._host))

    async def subscribe(self, session: Session, room: int, feeds: Sequence[int]) -> None:
        """Receive `feeds` on one PeerConnection."""
        self.times.admitted = time.monotonic_ns()
        if feeds:
            handle = await session.attach()
            streams = [{"feed": feed} for feed in feeds]
            request = {"request": "join", "ptype": "subscriber", "room": room, "streams": streams}
            _, jsep = await handle.ask(request)
            if jsep is None:
                raise JanusError("a subscriber got no offer")
            sdp = answer(jsep["sdp"], self.receiver)
            await handle.ask({"request": "start"}, {"type": "answer", "sdp": sdp})
            self.times.answered = time.monotonic_ns()
            await self.receiver.connect(read_answer(jsep["sdp"], self._host), offered=False)
        self.note_connected()


def answer(offered: str, receiver: Endpoint) -> str:
    """The answer to a subscriber's offer: everything is taken as it is offered. Pure."""
    blocks = offered.replace("\r\n", "\n").split("\nm=")[1:]
    mids = [_first(r"^a=mid:(\S+)", block) for block in blocks]
    lines = session_lines(mids)
    for block, mid in zip(blocks, mids, strict=True):
        kind, _, rest = block.partition(" ")
        formats = [int(word) for word in rest.partition("\n")[0].split()[2:]]
        lines += section_lines(
            kind,
            mid,
            receiver.credentials,
            direction="recvonly",
            setup="active",
            formats=formats,
        )
        lines += candidate_lines(receiver.wire.address)
        kept = re.findall(r"^a=(?:rtpmap|fmtp|rtcp-fb):.*$", block, re.MULTILINE)
        kept += [
            line
            for line, uri in re.findall(r"^(a=extmap:\d+\S* (\S+))$", block, re.MULTILINE)
            if uri in EXTENSIONS
        ]
        lines += kept
    return "\r\n".join(lines) + "\r\n"


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise JanusError(f"the offer lacks {pattern}")
    return match[1]


class VideoRoom:
    """A `Target`: a Janus of its own with a room for each room of the plan."""

    def __init__(self, cores: set[int], host: str) -> None:
        self.host = host
        self._janus = Janus(cores, host)
        self._session = Session(self._janus)
        self._certificate = RTCCertificate.generateCertificate()

    async def __aenter__(self) -> Self:
        await self._janus.__aenter__()
        try:
            self._session = Session(self._janus)
            await self._session.__aenter__()
        except BaseException:
            await self._janus.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.__aexit__(kind, error, traceback)
        await self._janus.__aexit__(kind, error, traceback)

    @property
    def programs(self) -> Mapping[str, int]:
        """Process ids by name."""
        return {"media": self._janus.pid}

    def log(self) -> str:
        """What Janus said."""
        return self._janus.log()

    def bot(self, seat: Seat, numbers: tuple[int, int], video_packets_per_s: int) -> JanusBot:
        """A participant that has not joined yet."""
        sources = sources_of(seat, numbers, video_packets_per_s)
        sender = Endpoint(self._certificate, self.host, sources)
        return JanusBot(seat, sender, Endpoint(self._certificate, self.host), self.host)

    async def join(
        self, plan: Plan, rooms: Sequence[Sequence[Bot]], background: list[asyncio.Task[None]]
    ) -> None:
        """First all publish, then all subscribe."""
        del plan, background
        manager = await self._session.attach()
        gate = asyncio.Semaphore(JOINING_AT_ONCE)
        for number, room in enumerate(rooms, start=1):
            await manager.ask(
                {
                    "request": "create",
                    "room": number,
                    "publishers": len(room),
                    "audiocodec": "opus",
                    "videocodec": "vp8",
                    "bitrate": 0,
                }
            )

        async def publish(bot: JanusBot, number: int) -> None:
            async with gate:
                await bot.publish(self._session, number)

        async def subscribe(bot: JanusBot, number: int, feeds: Sequence[int]) -> None:
            async with gate:
                await bot.subscribe(self._session, number, feeds)

        bots = [
            (bot, number)
            for number, room in enumerate(rooms, start=1)
            for bot in room
            if isinstance(bot, JanusBot)
        ]
        await asyncio.gather(*(publish(bot, number) for bot, number in bots))
        await asyncio.gather(
            *(
                subscribe(
                    bot,
                    number,
                    [b.feed for b, n in bots if n == number and b.feed and b is not bot],
                )
                for bot, number in bots
            )
        )
