"""Play recorded files back, with PyAV as the judge: do they decode, and to what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.support.media import tone_share

_RATE = 48_000


@dataclass(frozen=True)
class Playback:
    """What one file decodes to; times in seconds on the file's own clock."""

    kind: str
    codec: str
    start_s: float
    end_s: float
    frames: int
    hole_s: float  # audio: the longest time between the end of a frame and the next
    differing_frames: int  # video: frames unlike the one before
    samples: NDArray[np.float64]  # audio: mono, 48 kHz
    shade: float  # video: median brightness of the last frame

    def tone(self, tone_hz: float) -> float:
        """The share of the sound's energy at a tone."""
        return tone_share(self.samples, _RATE, tone_hz)


def tracks(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of all tracks of an archive's manifest."""
    return [track for recording in manifest["recordings"] for track in recording["tracks"]]


def play(path: Path) -> Playback:
    """Decode every frame of a file. Raises what PyAV raises when one does not decode."""
    with av.open(str(path)) as container:
        stream = container.streams[0]
        if stream.type == "audio":
            return _play_audio(container, stream)
        return _play_video(container, stream)


def _play_audio(container: av.container.InputContainer, stream: av.stream.Stream) -> Playback:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
    parts: list[NDArray[np.float64]] = []
    start_s, end_s, frames, hole_s = -1.0, 0.0, 0, 0.0
    for frame in container.decode(stream):
        assert isinstance(frame, av.AudioFrame)
        frames += 1
        time_s = float(frame.time or 0.0)
        hole_s = hole_s if start_s < 0 else max(hole_s, time_s - end_s)
        start_s = time_s if start_s < 0 else start_s
        end_s = time_s + frame.samples / frame.sample_rate
        parts.extend(out.to_ndarray()[0].astype(np.float64) for out in resampler.resample(frame))
    samples = np.concatenate(parts) if parts else np.zeros(0)
    codec = stream.codec_context.name
    return Playback("audio", codec, start_s, end_s, frames, hole_s, 0, samples, 0.0)


def _play_video(container: av.container.InputContainer, stream: av.stream.Stream) -> Playback:
    start_s, end_s, frames, differing = -1.0, 0.0, 0, 0
    before: NDArray[np.int64] | None = None
    shade = 0.0
    for frame in container.decode(stream):
        assert isinstance(frame, av.VideoFrame)
        frames += 1
        time_s = float(frame.time or 0.0)
        start_s = time_s if start_s < 0 else start_s
        end_s = time_s
        small = frame.reformat(width=64, height=36, format="gray").to_ndarray().astype(np.int64)
        if before is not None and np.abs(small - before).mean() > 0.5:
            differing += 1
        before, shade = small, float(np.median(small))
    codec, no_sound = stream.codec_context.name, np.zeros(0)
    return Playback("video", codec, start_s, end_s, frames, 0.0, differing, no_sound, shade)
