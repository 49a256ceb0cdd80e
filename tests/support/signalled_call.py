"""A WebRTC peer made of aiortc that makes its offers through the signalling protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from signaling.protocol import messages as wire
from tests.support.caller import Picture, Tone
from tests.support.eventually import eventually
from tests.support.wire_client import WireClient


class SignalledCall:
    """Sends a tone and a picture, and counts the frames that come on its one seat, by kind."""

    def __init__(self, client: WireClient) -> None:
        self.client = client
        self.frames: Counter[str] = Counter()
        self._tone, self._picture = Tone(), Picture()
        self._readers: list[asyncio.Task[None]] = []
        self._pc = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._pc.on("track", self._on_track)
        self._pc.addTransceiver(self._tone, "sendonly")
        self._pc.addTransceiver(self._picture, "sendonly")
        self._pc.addTransceiver("audio", "recvonly")
        self._pc.addTransceiver("video", "recvonly")

    async def offer(self) -> wire.ServerMessage:
        """Make an offer, and take the answer when there is one."""
        await self._pc.setLocalDescription(await self._pc.createOffer())
        sdp = self._pc.localDescription.sdp
        answer = await self.client.ask(wire.Offer(ref="offer", sdp=sdp, fresh=True))
        if isinstance(answer, wire.Answer):
            await self._pc.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        return answer

    async def receives(self, more: int = 5) -> None:
        """Wait for `more` frames of sound and picture than there are now."""
        before = self.frames.copy()

        def complaint() -> str | None:
            for kind in ("audio", "video"):
                count = self.frames[kind] - before[kind]
                if count < more:
                    return f"only {count} {kind} frames"
            return None

        await eventually(complaint, within_s=20)

    async def hang_up(self) -> None:
        """Close the connection and end its readers."""
        await self._pc.close()
        self._tone.stop()
        self._picture.stop()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _on_track(self, track: Any) -> None:
        self._readers.append(asyncio.create_task(self._count(track)))

    async def _count(self, track: Any) -> None:
        with contextlib.suppress(Exception):  # aiortc ends a track by raising
            while True:
                await track.recv()
                self.frames[track.kind] += 1
