"""Camera and microphone files that ask something of a network: a picture with detail that moves all
over, so that it costs what its encodings may cost, and a tone that is hardly ever silent.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.browser import Look

_FRAMES_PER_S = 20
_VIDEO_S = 2
_GRAINS = 4
_GRAIN = 1.5
_SWAY_PX = 20
_AUDIO_S = 8
_AUDIO_RATE = 48_000
#: So short pauses hide no gap, and noise suppression still does not take the tone for noise.
_BEEP_S, _PAUSE_S = 0.12, 0.04


def write_rich_media(look: Look, directory: Path, size_px: tuple[int, int]) -> None:
    """The files of a look's devices, where `launch` finds them, with a picture of that size."""
    _write_camera(directory / f"{look.name}.y4m", *size_px)
    _write_microphone(directory / f"{look.name}.wav", look.tone_hz)


def _write_camera(path: Path, width: int, height: int) -> None:
    random = np.random.default_rng(1)
    ground = _landscape(random, width, height)
    grains = [random.normal(0, _GRAIN, (height, width)) for _ in range(_GRAINS)]
    total = _VIDEO_S * _FRAMES_PER_S
    chroma = np.full(width * height // 2, 128, np.uint8).tobytes()
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{_FRAMES_PER_S}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(total):
            sway = int(_SWAY_PX * np.sin(2 * np.pi * number / total))
            luma = np.roll(ground, sway, 1) + grains[number % _GRAINS]
            file.write(b"FRAME\n" + np.clip(luma, 16, 235).astype(np.uint8).tobytes() + chroma)


def _landscape(random: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """Soft hills of light, by interpolation between random points."""
    coarse = random.integers(30, 220, (height // 36, width // 48)).astype(np.float64)
    rows, columns = coarse.shape
    across = np.linspace(0, columns - 1, width)
    wide = np.array([np.interp(across, np.arange(columns), row) for row in coarse])
    down = np.linspace(0, rows - 1, height)
    return np.array([np.interp(down, np.arange(rows), column) for column in wide.T]).T


def _write_microphone(path: Path, tone_hz: float) -> None:
    time_s = np.arange(_AUDIO_S * _AUDIO_RATE) / _AUDIO_RATE
    beeping = (time_s % (_BEEP_S + _PAUSE_S)) < _BEEP_S
    samples = (0.5 * 32_767 * np.sin(2 * np.pi * tone_hz * time_s) * beeping).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_AUDIO_RATE)
        file.writeframes(samples.tobytes())
