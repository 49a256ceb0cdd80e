"""What is received on a seat: its frames are counted, and handed to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

OnAudio = Callable[["Seat", AudioFrame], None]
OnVideo = Callable[["Seat", VideoFrame], None]


class Seat:
    """One pair of received tracks. Who sits on it is said by `RoomCopy.seating`, by `index`."""

    def __init__(self, index: int, on_audio: OnAudio | None, on_video: OnVideo | None) -> None:
        self.index = index
        self.audio_frames = 0
        self.video_frames = 0
        self._on_audio = on_audio
        self._on_video = on_video
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def read(self, track: MediaStreamTrack) -> None:
        """Read a received track to its end, once; aiortc decodes whether or not it is read."""
        if track.kind not in self._tasks:
            name = f"seat {self.index} {track.kind}"
            self._tasks[track.kind] = asyncio.create_task(self._read(track), name=name)

    async def close(self) -> None:
        """Stop reading."""
        tasks = tuple(self._tasks.values())
        self._tasks = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame):
                self.audio_frames += 1
                if self._on_audio is not None:
                    self._on_audio(self, frame)
            elif isinstance(frame, VideoFrame):
                self.video_frames += 1
                if self._on_video is not None:
                    self._on_video(self, frame)
