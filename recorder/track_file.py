"""One track's container on the disk: WebM for Opus and VP8, Matroska for H.264.

Packets go in as they were received; nothing is encoded. A file has its name only when it is whole,
was read back, and is on the disk.
"""

from __future__ import annotations

import contextlib
import io
import os
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.stream

from recorder.durable import PARTIAL_SUFFIX, publish
from recorder.errors import MuxError
from recorder.media.depacketize import Frame, opus_duration_ms, vp8_size
from sfu.control.tap import TrackOpened

_MILLISECONDS = Fraction(1, 1000)
#: Of a last video frame, whose length nothing tells.
_LAST_FRAME_MS = 33
#: The same journal gives the same bytes: no random segment id, no date.
_DETERMINISTIC = {"fflags": "+bitexact"}
_FORMAT = {
    "opus": ("webm", ".webm", "audio/webm"),
    "VP8": ("webm", ".webm", "video/webm"),
    "H264": ("matroska", ".mkv", "video/x-matroska"),
}


class TrackFile:
    """The container of one track, opened at its first frame."""

    def __init__(self, track: TrackOpened, directory: Path, stem: str) -> None:
        self._track = track
        self._format, suffix, self.content_type = _FORMAT[track.codec]
        self.path = directory / (stem + suffix)
        # Another process may be at the same recording: a recorder that was killed leaves one.
        self._partial = self.path.with_name(f"{self.path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
        self._container: av.container.OutputContainer | None = None
        self._stream: av.stream.Stream | None = None
        self.first_ms = 0
        self.end_ms = 0
        self.frames = 0

    def write(self, frame: Frame, pts_ms: int) -> bool:
        """Append a frame; False when it cannot be the first (nothing tells the picture's size)."""
        if self._container is None and not self._begin(frame):
            return False
        assert self._container is not None
        assert self._stream is not None
        packet: av.Packet[av.stream.Stream] = av.Packet(frame.data)
        packet.stream = self._stream
        packet.time_base = _MILLISECONDS
        packet.pts = packet.dts = pts_ms
        packet.is_keyframe = frame.key
        if self._track.codec == "opus":
            length_ms = opus_duration_ms(frame.data) or 0.0
            packet.duration = round(length_ms)
        else:
            length_ms = _LAST_FRAME_MS
        self._container.mux_one(packet)
        self.first_ms = pts_ms if self.frames == 0 else self.first_ms
        self.end_ms = pts_ms + round(length_ms)
        self.frames += 1
        return True

    def finish(self) -> bool:
        """Make the file whole and give it its name; False when there was no frame."""
        container, self._container = self._container, None
        if container is None:
            return False
        container.close()
        self._verify()
        publish(self._partial, self.path)
        return True

    def abandon(self) -> None:
        """Remove what was written."""
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(av.FFmpegError):
                container.close()
        self._partial.unlink(missing_ok=True)

    def _verify(self) -> None:
        """Read the file back: the library does not tell when its last bytes found no room."""
        with av.open(str(self._partial), format=self._format) as written:
            found = sum(packet.size > 0 for packet in written.demux())
        if found != self.frames:
            raise MuxError("the file does not hold all frames")

    def _begin(self, frame: Frame) -> bool:
        make = {"opus": _add_opus, "VP8": _add_vp8, "H264": _add_h264}[self._track.codec]
        container = av.open(
            str(self._partial), "w", format=self._format, container_options=_DETERMINISTIC
        )
        self._container = container
        self._stream = make(container, frame, self._track)
        if self._stream is None:
            self.abandon()
        return self._stream is not None


def _add_opus(
    container: av.container.OutputContainer, _: Frame, track: TrackOpened
) -> av.stream.Stream | None:
    # The encoder is opened for the header (OpusHead) only; nothing is encoded.
    layout = "mono" if track.channels == 1 else "stereo"
    return container.add_stream("libopus", rate=48_000, layout=layout)


def _add_vp8(
    container: av.container.OutputContainer, frame: Frame, _: TrackOpened
) -> av.stream.Stream | None:
    size = vp8_size(frame.data)
    if size is None:
        return None
    return container.add_mux_stream("vp8", width=size[0], height=size[1])


def _add_h264(
    container: av.container.OutputContainer, frame: Frame, _: TrackOpened
) -> av.stream.Stream | None:
    # The prober reads size and parameter sets from the access unit for us.
    try:
        with av.open(io.BytesIO(frame.data), format="h264") as probe:
            template = probe.streams.video[0]
            if not template.codec_context.width or not template.codec_context.extradata:
                return None
            return container.add_stream_from_template(template, opaque=True)
    except av.FFmpegError:
        return None
