"""A WebRTC peer made of aiortc, and an SFU in this process, for two-stack tests."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from av import AudioFrame, VideoFrame

from sfu.config import Config
from sfu.control.client import SfuClient
from sfu.control.messages import Events, Negotiate, Negotiated, ReadStatistics, Statistics
from sfu.ids import PeerId, RoomId
from sfu.server import SfuProgram
from tests.support.eventually import eventually

SECRET = "a secret of the tests".replace(" ", "-") + "-0123456789"
_RATE = 48_000
_FRAME_SAMPLES = 960


class Tone(MediaStreamTrack):
    """A sine of 440 Hz, loud enough to count as speech while `loud`."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.loud = True
        self._sent = 0
        self._start_s = 0.0

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._start_s = self._start_s or loop.time()
        await asyncio.sleep(max(0.0, self._start_s + self._sent / _RATE - loop.time()))
        phase = (self._sent + np.arange(_FRAME_SAMPLES)) * (2 * math.pi * 440 / _RATE)
        samples = (np.sin(phase) * (12_000 if self.loud else 0)).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = _RATE
        frame.pts = self._sent
        frame.time_base = fractions.Fraction(1, _RATE)
        self._sent += _FRAME_SAMPLES
        return frame


class Picture(VideoStreamTrack):
    """A small picture of a moving bar."""

    def __init__(self) -> None:
        super().__init__()
        self._frames = 0

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        pixels = np.zeros((120, 160, 3), np.uint8)
        pixels[:, self._frames * 4 % 160 :][:, :16] = 255
        self._frames += 1
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Caller:
    """One peer. `frames[seat, kind]` counts the decoded frames of each seat.

    With `via` it reaches the SFU through that UDP port of this machine only.
    """

    def __init__(self, client: SfuClient, room: str, peer: str, *, via: int | None = None) -> None:
        self.peer = PeerId(peer)
        self.tone = Tone()
        self.picture = Picture()
        self.frames: Counter[tuple[int, str]] = Counter()
        self.answer = ""
        self.pc = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.pc.on("track", self._on_track)
        self._via = via
        self._client = client
        self._room = RoomId(room)
        self._readers: list[asyncio.Task[None]] = []
        self._seats: Counter[str] = Counter()

    async def call(
        self, *, send: Sequence[str] = ("audio", "video"), seats: int = 1, fresh: bool = False
    ) -> Negotiated:
        """Offer what is sent and `seats` seats, and take the answer."""
        if "audio" in send:
            self.pc.addTransceiver(self.tone, "sendonly")
        if "video" in send:
            self.pc.addTransceiver(self.picture, "sendonly")
        for _ in range(seats):
            self.pc.addTransceiver("audio", "recvonly")
            self.pc.addTransceiver("video", "recvonly")
        return await self.negotiate(fresh=fresh)

    async def negotiate(self, *, fresh: bool = False) -> Negotiated:
        """Offer what the connection has now."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await self._client.request(
            Negotiate(
                room=self._room,
                peer=self.peer,
                sdp=self.pc.localDescription.sdp,
                fresh=fresh,
            )
        )
        assert isinstance(answer, Negotiated)
        self.answer = answer.sdp if self._via is None else _through(self._via, answer.sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        return answer

    async def hears_and_sees(self, seat: int = 0, *, more: int = 5, within_s: float = 20) -> None:
        """Wait for `more` frames of voice and picture than there are now."""
        before = self.frames.copy()

        def complaint() -> str | None:
            for kind in ("audio", "video"):
                count = self.frames[seat, kind] - before[seat, kind]
                if count < more:
                    return f"{self.peer} got {count} {kind} frames on seat {seat}"
            return None

        await eventually(complaint, within_s=within_s)

    async def hang_up(self) -> None:
        """Close the connection and end its readers."""
        await self.pc.close()
        self.tone.stop()
        self.picture.stop()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _on_track(self, track: Any) -> None:
        seat = self._seats[track.kind]
        self._seats[track.kind] += 1
        self._readers.append(asyncio.create_task(self._count(track, seat)))

    async def _count(self, track: Any, seat: int) -> None:
        with contextlib.suppress(Exception):  # aiortc ends a track by raising
            while True:
                await track.recv()
                self.frames[seat, track.kind] += 1


def _through(port: int, answer: str) -> str:
    """The answer with one candidate, on the loopback address."""
    lines = [line for line in answer.split("\r\n") if " tcptype " not in line]
    candidate = re.compile(r"(a=candidate:\S+ 1 udp \d+) \S+ \d+ (typ host)")
    return "\r\n".join(candidate.sub(rf"\1 127.0.0.1 {port} \2", line) for line in lines)


class Sfu:
    """An SFU in this process, a control client, the events that came, and who calls it."""

    def __init__(self, program: SfuProgram) -> None:
        self.program = program
        self.events: list[Events] = []
        self.states: list[bool] = []
        self.url = f"ws://127.0.0.1:{program.control_port}/control"
        self.client = SfuClient(self.url, SECRET, self.events.append, self.states.append)
        self._callers: list[Caller] = []

    def caller(self, room: str, peer: str, *, via: int | None = None) -> Caller:
        """A peer that has not called yet; it hangs up when the SFU ends, if not before."""
        made = Caller(self.client, room, peer, via=via)
        self._callers.append(made)
        return made

    async def close(self) -> None:
        """Hang up all callers, and the control client."""
        for caller in self._callers:
            await caller.hang_up()
        await self.client.close()

    async def statistics(self, room: str) -> Statistics:
        """The room's counters now."""
        answer = await self.client.request(ReadStatistics(room=RoomId(room)))
        assert isinstance(answer, Statistics)
        return answer

    async def transport_is(self, room: str, peer: str, state: str) -> None:
        """Wait until the peer's transport has the state."""

        async def complaint() -> str | None:
            rows = (await self.statistics(room)).transports
            states = [row.state for row in rows if row.peer == peer]
            return None if states == [state] else f"the transport of {peer} is {states}"

        await eventually(complaint, within_s=20)


@contextlib.asynccontextmanager
async def running_sfu(**settings: Any) -> AsyncIterator[Sfu]:
    """A whole SFU on ports of its own choosing."""
    config = {
        "control_secret": SECRET,
        "control_port": 0,
        "udp_host": "127.0.0.1",
        "udp_port": 0,
        "announced_addresses": ("127.0.0.1",),
    }
    program = SfuProgram(Config(**{**config, **settings}))
    await program.start()
    sfu = Sfu(program)
    await sfu.client.start()
    try:
        await eventually(lambda: None if sfu.client.connected else "no control connection")
        yield sfu
    finally:
        await sfu.close()
        await program.close()
