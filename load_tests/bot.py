"""One participant of a load: what it sends, what it receives, and when it got there.

How it joins depends on the server: see `load_tests.peers`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from load_tests.description import mid
from load_tests.endpoint import Endpoint
from load_tests.plan import Seat
from load_tests.rtp_source import AudioSource, Source, VideoSource
from load_tests.stamp import Tally


@dataclass
class JoinTimes:
    """Monotonic ns; 0: not yet."""

    open: int = 0
    joined: int = 0
    admitted: int = 0
    answered: int = 0
    connected: int = 0


def sources_of(seat: Seat, numbers: tuple[int, int], video_packets_per_s: int) -> list[Source]:
    """Microphone and camera of whoever sends, none for others. `numbers` are the sources'."""
    if not seat.sends:
        return []
    audio, video = numbers
    return [AudioSource(audio, mid(0)), VideoSource(video, mid(1), video_packets_per_s)]


class Bot:
    """A participant with one endpoint, or with one to send and another to receive."""

    def __init__(self, seat: Seat, sender: Endpoint, receiver: Endpoint) -> None:
        self.seat = seat
        self.times = JoinTimes()
        self.sender = sender
        self.receiver = receiver

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Each once."""
        same = self.sender is self.receiver
        return (self.sender,) if same else (self.sender, self.receiver)

    @property
    def sources(self) -> list[Source]:
        """What it sends."""
        return self.sender.sources

    @property
    def tallies(self) -> dict[int, Tally]:
        """What it received, by the number of the source."""
        return self.receiver.tallies

    def note_connected(self) -> None:
        """Media can flow from now on."""
        self.times.connected = time.monotonic_ns()

    async def close(self) -> None:
        """Leave and close."""
        await asyncio.gather(*(endpoint.close() for endpoint in self.endpoints))
