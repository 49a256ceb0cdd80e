"""Tracks that need no device: a tone that can be found by its frequency, a picture that moves."""

from __future__ import annotations

import asyncio
import fractions
import time

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

AUDIO_RATE = 48_000
SAMPLES_PER_FRAME = AUDIO_RATE // 50
VIDEO_CLOCK = 90_000


class _Paced(MediaStreamTrack):
    """A track whose frames come at their time."""

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._started_s: float | None = None
        self._count = 0

    async def _next(self) -> int:
        """Wait for the next frame's time; its number. Raises `MediaStreamError` at the end."""
        if self._started_s is None:
            self._started_s = time.monotonic()
        due_s = self._started_s + self._count * self._interval_s
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        self._count += 1
        return self._count - 1


class Tone(_Paced):
    """A steady sine of `frequency_hz` at half of full scale, 20 ms a frame, mono, 48 kHz."""

    kind = "audio"

    def __init__(self, frequency_hz: float = 440.0) -> None:
        super().__init__(SAMPLES_PER_FRAME / AUDIO_RATE)
        self.frequency_hz = frequency_hz

    async def recv(self) -> AudioFrame:
        number = await self._next()
        first = number * SAMPLES_PER_FRAME
        times_s = np.arange(first, first + SAMPLES_PER_FRAME) / AUDIO_RATE
        samples = (16_384 * np.sin(2 * np.pi * self.frequency_hz * times_s)).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = AUDIO_RATE
        frame.pts = first
        frame.time_base = fractions.Fraction(1, AUDIO_RATE)
        return frame


class Pattern(_Paced):
    """A grey picture of brightness `shade` (0 to 255) with a white bar that moves each frame."""

    kind = "video"

    def __init__(
        self, shade: int = 64, *, width: int = 320, height: int = 180, frames_per_s: int = 15
    ) -> None:
        super().__init__(1 / frames_per_s)
        self.shade = shade
        self._size = (height, width)
        self._ticks = VIDEO_CLOCK // frames_per_s

    async def recv(self) -> VideoFrame:
        number = await self._next()
        frame = VideoFrame.from_ndarray(self._picture(number), format="gray")
        frame = frame.reformat(format="yuv420p")
        frame.pts = number * self._ticks
        frame.time_base = fractions.Fraction(1, VIDEO_CLOCK)
        return frame

    def _picture(self, number: int) -> NDArray[np.uint8]:
        height, width = self._size
        picture = np.full((height, width), self.shade, np.uint8)
        bar = width // 8
        left = number * 4 % (width - bar)
        picture[:, left : left + bar] = 235
        return picture
