"""A journal made into one Matroska or WebM file a track, without transcoding.

Opus and VP8 go into WebM, H.264 into Matroska. Timestamps begin at the track's offset from the
recording's origin, so files of one recording played together are in step. The journal is read
twice, first for the clocks, then for the frames; neither holds more than a moment of it in memory.

Runs as a process of its own (``python -m recorder.muxer JOURNAL DIRECTORY``, which answers with the
JSON of `MuxedRecording`), so that hours of video neither hold up the recordings that go on nor,
should they find a fault in a library, take them along.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import av
import msgspec

from recorder import journal
from recorder.durable import free_bytes
from recorder.errors import JournalError, MuxError, MuxTimeoutError
from recorder.media.depacketize import Frame, depacketizer
from recorder.media.reorder import Ordered, Packet, Reorder
from recorder.media.timeline import Stamper, Survey, Timeline, TrackClock, unwrapped
from recorder.record.barred import Barred
from recorder.track_file import TrackFile
from sfu.control.tap import (
    Record,
    RecordKind,
    SenderReport,
    TapFormatError,
    TrackOpened,
    decode_track,
)
from sfu.rtp.packet import RtpFormatError, RtpPacket

#: How many packets further on a missing one is given up: a second or more of either kind.
_WINDOW = {"audio": 64, "video": 1024}
#: Enough to read 100 GB twice, a day of a large consultation; a muxer that takes longer hangs.
_LIMIT_S = 3600.0
_EXIT_JOURNAL, _EXIT_DISK = 3, 4
_DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
#: With less than the container's own buffers left on the disk, whatever failed failed for that.
_LEAST_FREE_BYTES = 8 << 20


class MuxedTrack(msgspec.Struct, frozen=True, kw_only=True):
    """One track of a recording as it was written.

    `file` is the name in the directory, empty when no frame could be decoded or `problem` says
    why there is none. `start_offset_s` counts from the recording's origin; `lost` are packets
    that never came, `dropped` frames that were damaged or could not be decoded after a loss.
    """

    number: int
    peer: str
    source: str
    kind: Literal["audio", "video"]
    screen: bool
    codec: Literal["opus", "VP8", "H264"]
    file: str
    content_type: str
    start_offset_s: float
    duration_s: float
    packets: int
    lost: int
    frames: int
    dropped: int
    problem: str = ""


class MuxedRecording(msgspec.Struct, frozen=True, kw_only=True):
    """All tracks of a recording; `origin` is Unix seconds, None when no packet came.

    `ended` tells whether the tap's END is in the journal.
    """

    recording: str
    origin: float | None
    ended: bool
    tracks: tuple[MuxedTrack, ...]


class _TrackMux:
    """One track on its way from packets to a file."""

    def __init__(
        self, number: int, track: TrackOpened, clock: TrackClock, origin_ns: int, file: TrackFile
    ) -> None:
        self._number = number
        self._track = track
        self._clock = clock
        self._file = file
        self._reorder = Reorder(_WINDOW[track.kind])
        self._frames = depacketizer(track.codec)
        self._stamper = Stamper(origin_ns)
        self._rtp_time: int | None = None
        self._packets = 0
        self._unusable = 0
        self._problem = ""

    def take(self, record: Record) -> None:
        """Take a packet in order of arrival."""
        try:
            packet = RtpPacket.parse(record.body)
        except RtpFormatError:
            return
        self._packets += 1
        self._rtp_time = unwrapped(packet.timestamp, self._rtp_time)
        held = Packet(self._rtp_time, record.arrival_ns, packet.marker, packet.payload)
        self._use(self._reorder.push(packet.sequence, held))

    def finish(self) -> MuxedTrack:
        """Write what is held, close the file, and tell what came of it."""
        self._use(self._reorder.flush())
        self._write(self._frames.flush())
        whole = False
        if not self._problem:
            try:
                whole = self._file.finish()
            except (av.FFmpegError, OSError, MuxError) as error:
                self._fail(error)
        track, file = self._track, self._file
        return MuxedTrack(
            number=self._number,
            peer=track.peer,
            source=track.source,
            kind=track.kind,
            screen=track.screen,
            codec=track.codec,
            file=file.path.name if whole else "",
            content_type=file.content_type,
            start_offset_s=file.first_ms / 1000,
            duration_s=(file.end_ms - file.first_ms) / 1000,
            packets=self._packets,
            lost=self._reorder.lost,
            frames=file.frames,
            dropped=self._frames.dropped + self._unusable,
            problem=self._problem,
        )

    def _use(self, ordered: list[Ordered]) -> None:
        for one in ordered:
            self._write(self._frames.push(one))

    def _write(self, frames: list[Frame]) -> None:
        for frame in frames:
            if self._problem:
                return
            wall_ns = self._clock.wall_ns(frame.rtp_time, frame.arrival_ns)
            try:
                written = self._file.write(frame, self._stamper.stamp(wall_ns))
            except (av.FFmpegError, OSError) as error:
                self._fail(error)
            else:
                self._unusable += not written

    def _fail(self, error: Exception) -> None:
        """Give up the track; raise OSError when the disk is to blame: trying later helps then."""
        self._file.abandon()
        if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
            raise OSError(error.errno, "the disk is full or fails") from error
        if free_bytes(self._file.path.parent) < _LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, "the disk is full") from error
        self._problem = type(error).__name__


def survey(path: Path) -> tuple[Timeline, dict[int, TrackOpened], bool]:
    """The first reading: clocks, tracks, and whether the recording ended.

    Raises `JournalError`.
    """
    clocks = Survey()
    tracks: dict[int, TrackOpened] = {}
    open_tracks: set[int] = set()
    visits: Counter[str] = Counter()
    ended = False
    for record in journal.read(path):
        match record.kind:
            case RecordKind.OPEN:
                track = _opened(record)
                if track is None or record.track in tracks:
                    continue
                # A peer that has no track left and opens one has come back, perhaps from another
                # device: its clock need not be the one it had.
                if not any(tracks[number].peer == track.peer for number in open_tracks):
                    visits[track.peer] += 1
                tracks[record.track] = track
                open_tracks.add(record.track)
                sender = f"{track.peer} {visits[track.peer]}"
                clocks.opened(record.track, sender, track.clock_rate)
            case RecordKind.RTP if record.track in tracks and len(record.body) >= 12:
                timestamp = int.from_bytes(record.body[4:8], "big")
                clocks.packet(record.track, timestamp, record.arrival_ns)
            case RecordKind.REPORT if record.track in tracks:
                with contextlib.suppress(TapFormatError):
                    report = SenderReport.parse(record.body)
                    clocks.report(record.track, report, record.arrival_ns)
            case RecordKind.CLOSE:
                open_tracks.discard(record.track)
            case RecordKind.END:
                ended = True
            case _:
                continue
    return clocks.finish(), tracks, ended


def _opened(record: Record) -> TrackOpened | None:
    try:
        track = decode_track(record.body)
    except TapFormatError:
        return None
    return track if track.clock_rate > 0 else None


def mux(path: Path, directory: Path, barred: Sequence[Barred] = ()) -> MuxedRecording:
    """Write the files of a recording into `directory` (which exists).

    Each appears whole and on the disk, or not at all. What is `barred` is in none of them. Raises
    `JournalError`, and OSError when the disk is full or fails.
    """
    header = journal.read_header(path)
    timeline, tracks, ended = survey(path)
    origin_ns = timeline.origin_ns or 0
    working: dict[int, _TrackMux] = {}
    done: dict[int, MuxedTrack] = {}
    for record in journal.read(path):
        track = tracks.get(record.track)
        number = record.track
        if track is None or number in done:
            continue
        if record.kind is RecordKind.OPEN and number not in working:
            stem = f"{header.recording}-{number}-{'screen' if track.screen else track.kind}"
            file = TrackFile(track, directory, stem)
            working[number] = _TrackMux(number, track, timeline.tracks[number], origin_ns, file)
        elif record.kind is RecordKind.RTP and number in working:
            if not any(each.holds(track.peer, record.arrival_ns) for each in barred):
                working[number].take(record)
        elif record.kind is RecordKind.CLOSE and number in working:
            done[number] = working.pop(number).finish()
    done.update((number, one.finish()) for number, one in working.items())
    return MuxedRecording(
        recording=header.recording,
        origin=None if timeline.origin_ns is None else origin_ns / 1e9,
        ended=ended,
        tracks=tuple(done[number] for number in sorted(done)),
    )


async def mux_in_process(
    path: Path, directory: Path, barred: Sequence[Barred] = ()
) -> MuxedRecording:
    """Run `mux` in a process of its own; it is ended when this is cancelled.

    Raises `MuxError` when the process fails, `MuxTimeoutError` when it is not done within an hour,
    OSError when the disk fails.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "recorder.muxer",
        str(path),
        str(directory),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            answer, complaint = await process.communicate(msgspec.json.encode(barred))
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise MuxTimeoutError("the muxer took too long") from error
        raise
    if process.returncode == _EXIT_DISK:
        raise OSError(errno.EIO, "the disk is full or fails")
    if process.returncode != 0:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise MuxError(f"the muxer ended with {process.returncode}: {last[:200]}")
    return msgspec.json.decode(answer, type=MuxedRecording)


def main(arguments: list[str]) -> int:
    """The process: journal and directory as arguments, what is barred as JSON on standard input,
    JSON out; on failure a code and a line on stderr."""
    os.nice(10)
    av.logging.set_level(av.logging.PANIC)
    path, directory = (Path(argument) for argument in arguments)
    barred = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Barred, ...])
    try:
        muxed = mux(path, directory, barred)
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_JOURNAL
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        return _EXIT_DISK
    sys.stdout.buffer.write(msgspec.json.encode(muxed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
