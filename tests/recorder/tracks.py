"""Recordings made of real codecs' packets, as the SFU's tap would hand them over."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Literal

import av
import numpy as np
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder

from sfu.control.tap import (
    Record,
    RecordKind,
    SenderReport,
    TrackOpened,
    encode_track,
)
from sfu.ids import PeerId, SourceId
from sfu.rtp.packet import RtpPacket

SECOND_NS = 1_000_000_000
START_NS = 1_780_000_000 * SECOND_NS
CLOCK_RATE = {"opus": 48_000, "VP8": 90_000, "H264": 90_000}
Codec = Literal["opus", "VP8", "H264"]


class Tape:
    """Tap records in the making; `records` is what was made, numbered without a gap."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, kind: RecordKind, track: int, body: bytes, arrival_ns: int) -> None:
        """Append a record."""
        self.records.append(Record(len(self.records) + 1, arrival_ns, kind, track, body))

    def open(
        self, track: int, codec: Codec, peer: str = "peer1", arrival_ns: int = START_NS
    ) -> None:
        """A track begins."""
        opened = TrackOpened(
            peer=PeerId(peer),
            source=SourceId(f"{peer}-camera"),
            kind="audio" if codec == "opus" else "video",
            screen=False,
            codec=codec,
            clock_rate=CLOCK_RATE[codec],
            channels=2 if codec == "opus" else 1,
        )
        self.add(RecordKind.OPEN, track, encode_track(opened), arrival_ns)

    def rtp(
        self, track: int, sequence: int, timestamp: int, payload: bytes, marker: bool, at_ns: int
    ) -> None:
        """A packet arrives."""
        packet = RtpPacket(
            payload_type=100 + track,
            sequence=sequence & 0xFFFF,
            timestamp=timestamp & 0xFFFF_FFFF,
            ssrc=track,
            payload=payload,
            marker=marker,
        )
        self.add(RecordKind.RTP, track, bytes(packet), at_ns)

    def report(self, track: int, ntp_ns: int, timestamp: int, at_ns: int) -> None:
        """A sender report arrives."""
        ntp_time = (ntp_ns << 32) // SECOND_NS
        body = bytes(SenderReport(ntp_time, timestamp & 0xFFFF_FFFF))
        self.add(RecordKind.REPORT, track, body, at_ns)

    def play(
        self,
        track: int,
        frames: list[list[bytes]],
        codec: Codec,
        *,
        frame_s: float,
        first_sequence: int = 65_500,
        first_timestamp: int = 0xFFFF_0000,
        start_ns: int = START_NS,
    ) -> None:
        """All frames of a track in even steps, each arriving at once; numbers wrap on the way."""
        sequence = first_sequence
        for number, payloads in enumerate(frames):
            at_ns = start_ns + round(number * frame_s * SECOND_NS)
            timestamp = first_timestamp + round(number * frame_s * CLOCK_RATE[codec])
            for index, payload in enumerate(payloads):
                last = index == len(payloads) - 1
                self.rtp(track, sequence, timestamp, payload, codec != "opus" and last, at_ns)
                sequence += 1

    def end(self, at_ns: int = START_NS) -> None:
        """The tap is over."""
        self.add(RecordKind.END, 0, b"", at_ns)

    def in_order_of_arrival(self) -> list[Record]:
        """The records sorted as they would have come, numbered anew."""
        ordered = sorted(self.records, key=lambda r: (r.kind is RecordKind.END, r.arrival_ns))
        return [
            Record(number, r.arrival_ns, r.kind, r.track, r.body)
            for number, r in enumerate(ordered, 1)
        ]


@cache
def _pictures(count: int, width: int, height: int) -> tuple[av.VideoFrame, ...]:
    frames = []
    for number in range(count):
        picture = np.full((height, width, 3), 60, np.uint8)
        left = number * 4 % width
        picture[:, left : left + 16] = 220
        noise = np.random.default_rng(number).integers(0, 60, (height, width, 3), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture // 2 + noise, format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts = number * 3000
        frame.time_base = Fraction(1, 90_000)
        frames.append(frame)
    return tuple(frames)


def vp8_frames(count: int, width: int = 320, height: int = 240) -> list[list[bytes]]:
    """RTP payloads of each frame, by aiortc's encoder; key frames at 0 and every 30."""
    return [list(payloads) for payloads in _vp8_frames(count, width, height)]


@cache
def _vp8_frames(count: int, width: int, height: int) -> tuple[tuple[bytes, ...], ...]:
    encoder = Vp8Encoder()
    pictures = _pictures(count, width, height)
    return tuple(
        tuple(encoder.encode(picture, force_keyframe=number % 30 == 0)[0])
        for number, picture in enumerate(pictures)
    )


def h264_frames(count: int, width: int = 320, height: int = 240) -> list[list[bytes]]:
    """RTP payloads of each access unit, by aiortc's encoder; key frames at 0 and every 30."""
    return [list(payloads) for payloads in _h264_frames(count, width, height)]


@cache
def _h264_frames(count: int, width: int, height: int) -> tuple[tuple[bytes, ...], ...]:
    encoder = H264Encoder()
    pictures = _pictures(count, width, height)
    return tuple(
        tuple(encoder.encode(picture, force_keyframe=number % 30 == 0)[0])
        for number, picture in enumerate(pictures)
    )


def opus_frames(count: int, tone_hz: float = 440.0) -> list[list[bytes]]:
    """RTP payloads of 20 ms each of a tone, by aiortc's encoder."""
    return [list(payloads) for payloads in _opus_frames(count, tone_hz)]


@cache
def _opus_frames(count: int, tone_hz: float) -> tuple[tuple[bytes, ...], ...]:
    encoder = OpusEncoder()
    return tuple(
        tuple(encoder.encode(frame, force_keyframe=False)[0]) for frame in _sounds(count, tone_hz)
    )


def _sounds(count: int, tone_hz: float) -> Iterator[av.AudioFrame]:
    for number in range(count):
        time_s = (np.arange(960) + number * 960) / 48_000
        tone = (8000 * np.sin(2 * np.pi * tone_hz * time_s)).astype(np.int16)
        stereo = np.repeat(tone, 2)[np.newaxis, :]
        frame = av.AudioFrame.from_ndarray(stereo, format="s16", layout="stereo")
        frame.sample_rate = 48_000
        frame.pts = number * 960
        frame.time_base = Fraction(1, 48_000)
        yield frame
