"""Camera and microphone files for browsers: a pattern that moves, a tone that beeps.

Chromium plays them in a loop (``--use-file-for-fake-video-capture``, ``…-audio-capture``).
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FRAMES_PER_S = 640, 360, 20
_VIDEO_S = 2
_AUDIO_S = 6
AUDIO_RATE = 48_000
#: The tone comes in beeps: noise suppression takes a steady one for noise and removes it.
_BEEP_S, _PAUSE_S = 0.35, 0.15


def write_camera(path: Path, shade: int) -> Path:
    """A Y4M file: a white bar goes over a ground of brightness `shade` (16 to 200)."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FRAMES_PER_S}:1 Ip A1:1 C420jpeg\n".encode())
        chroma = np.full(WIDTH * HEIGHT // 2, 128, np.uint8).tobytes()
        total = _VIDEO_S * FRAMES_PER_S
        for number in range(total):
            luma = np.full((HEIGHT, WIDTH), shade, np.uint8)
            left = number * WIDTH // total
            luma[:, left : left + WIDTH // 8] = 235
            file.write(b"FRAME\n" + luma.tobytes() + chroma)
    return path


def write_microphone(path: Path, tone_hz: float) -> Path:
    """A WAV file of beeps at `tone_hz`, mono, 48 kHz."""
    time_s = np.arange(_AUDIO_S * AUDIO_RATE) / AUDIO_RATE
    beeping = (time_s % (_BEEP_S + _PAUSE_S)) < _BEEP_S
    samples = (0.5 * 32_767 * np.sin(2 * np.pi * tone_hz * time_s) * beeping).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(AUDIO_RATE)
        file.writeframes(samples.tobytes())
    return path


def tone_share(samples: NDArray[np.float64], rate_hz: int, tone_hz: float) -> float:
    """The share of a signal's energy within 20 Hz of a tone, 0 to 1; 0 for silence."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    total = float(spectrum[frequencies > 50].sum())
    if total <= 0:
        return 0.0
    return float(spectrum[np.abs(frequencies - tone_hz) <= 20].sum()) / total
