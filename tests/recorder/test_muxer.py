"""Journals become files that another program plays, in step and without the lost part."""

from __future__ import annotations

import hashlib
import os
import resource
import time
from pathlib import Path

import pytest

from recorder import muxer
from recorder.errors import MuxError, MuxTimeoutError
from recorder.journal import Header, Journal
from recorder.muxer import MuxedRecording, MuxedTrack, mux, mux_in_process
from recorder.record.barred import Barred
from sfu.control.tap import Record, RecordKind
from tests.recorder.tracks import (
    SECOND_NS,
    START_NS,
    Codec,
    Tape,
    h264_frames,
    opus_frames,
    vp8_frames,
)
from tests.support.playback import play

VIDEO = {"VP8": vp8_frames, "H264": h264_frames}
FRAME_S = 1 / 30


def written(tmp_path: Path, records: list[Record], name: str = "rec-1") -> tuple[Path, Path]:
    """A journal with these records and an empty directory for its files."""
    journal, directory = tmp_path / f"{name}.journal", tmp_path / f"{name}-out"
    directory.mkdir()
    opened = Journal.open(journal, Header(recording=name, consultation="c-1"), 0)
    opened.append(records)
    opened.close()
    return journal, directory


def muxed(tmp_path: Path, tape: Tape) -> tuple[MuxedRecording, Path]:
    journal, directory = written(tmp_path, tape.in_order_of_arrival())
    return mux(journal, directory), directory


def only(recording: MuxedRecording) -> MuxedTrack:
    (track,) = recording.tracks
    return track


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_video__every_frame_plays(tmp_path: Path, codec: Codec) -> None:
    tape = Tape()
    tape.open(1, codec)
    tape.play(1, VIDEO[codec](90), codec, frame_s=FRAME_S)
    tape.end(START_NS + 4 * SECOND_NS)
    recording, directory = muxed(tmp_path, tape)
    track = only(recording)
    assert recording.ended
    assert (track.frames, track.lost, track.dropped, track.problem) == (90, 0, 0, "")
    assert track.file == f"rec-1-1-video{'.webm' if codec == 'VP8' else '.mkv'}"
    assert track.duration_s == pytest.approx(3.0, abs=0.05)
    played = play(directory / track.file)
    assert played.frames == 90
    assert played.differing_frames >= 80
    assert played.start_s == pytest.approx(0.0, abs=0.002)
    assert os.listdir(directory) == [track.file]


def test_audio__tone_plays_at_its_offset(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "VP8")
    tape.play(1, vp8_frames(30), "VP8", frame_s=FRAME_S)
    late_ns = START_NS + 3 * SECOND_NS + 200_000_000
    tape.open(2, "opus", arrival_ns=late_ns)
    tape.play(2, opus_frames(150), "opus", frame_s=0.02, start_ns=late_ns)
    tape.end(late_ns + 4 * SECOND_NS)
    recording, directory = muxed(tmp_path, tape)
    assert recording.origin == pytest.approx(START_NS / SECOND_NS)
    audio = recording.tracks[1]
    assert audio.start_offset_s == pytest.approx(3.2, abs=0.002)
    assert audio.duration_s == pytest.approx(3.0, abs=0.025)
    played = play(directory / audio.file)
    assert played.start_s == pytest.approx(3.2, abs=0.02)
    assert played.end_s == pytest.approx(6.2, abs=0.04)
    assert played.tone(440) > 0.8


def test_pause__is_a_gap_in_the_file(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "opus")
    frames = opus_frames(100)
    again_ns = START_NS + 10 * SECOND_NS
    tape.play(1, frames[:50], "opus", frame_s=0.02, first_timestamp=0)
    tape.play(
        1,
        frames[50:],
        "opus",
        frame_s=0.02,
        first_sequence=65_550,
        first_timestamp=480_000,
        start_ns=again_ns,
    )
    recording, directory = muxed(tmp_path, tape)
    assert only(recording).duration_s == pytest.approx(11.0, abs=0.03)
    assert play(directory / only(recording).file).end_s == pytest.approx(11.0, abs=0.05)
    assert not recording.ended


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_lost_packet__gap_up_to_the_next_key_frame(tmp_path: Path, codec: Codec) -> None:
    tape = Tape()
    tape.open(1, codec)
    tape.play(1, VIDEO[codec](90), codec, frame_s=FRAME_S)
    # The first packet of frame 35: up to the next key frame, what follows would look wrong.
    times = [r.arrival_ns for r in tape.records if r.kind is RecordKind.RTP]
    at = START_NS + round(35 * FRAME_S * SECOND_NS)
    del tape.records[times.index(at) + 1]
    recording, directory = muxed(tmp_path, tape)
    track = only(recording)
    assert track.lost == 1
    assert 35 < track.frames < 90
    assert track.frames + track.dropped >= 89
    assert track.duration_s == pytest.approx(3.0, abs=0.05)
    assert play(directory / track.file).frames == track.frames


def test_reordered_and_repeated_packets__all_frames_in_order(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "VP8")
    tape.play(1, vp8_frames(60), "VP8", frame_s=FRAME_S)
    packets = tape.records[2:]
    # Retransmissions come 100 ms late, and some packets twice.
    late = [
        Record(0, r.arrival_ns + (100_000_000 if i % 7 == 0 else 0), r.kind, r.track, r.body)
        for i, r in enumerate(packets)
    ]
    tape.records[2:] = late + [packets[i] for i in range(0, len(packets), 11)]
    recording, directory = muxed(tmp_path, tape)
    track = only(recording)
    assert (track.frames, track.lost, track.dropped) == (60, 0, 0)
    assert play(directory / track.file).frames == 60


def test_picture_grows_in_the_middle__one_file_plays(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "VP8")
    frames = vp8_frames(30) + vp8_frames(30, 640, 480)
    tape.play(1, frames, "VP8", frame_s=FRAME_S)
    recording, directory = muxed(tmp_path, tape)
    assert play(directory / only(recording).file).frames == 60


def test_same_journal__same_bytes(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "VP8")
    tape.open(2, "opus")
    tape.open(3, "H264")
    tape.play(1, vp8_frames(30), "VP8", frame_s=FRAME_S)
    tape.play(2, opus_frames(50), "opus", frame_s=0.02)
    tape.play(3, h264_frames(30), "H264", frame_s=FRAME_S)
    journal, first = written(tmp_path, tape.in_order_of_arrival())
    second = tmp_path / "again"
    second.mkdir()
    assert mux(journal, first) == mux(journal, second)
    for path in first.iterdir():
        assert (
            hashlib.sha256(path.read_bytes()).digest()
            == hashlib.sha256((second / path.name).read_bytes()).digest()
        )


def test_lips_and_voice__as_the_sender_reports_them(tmp_path: Path) -> None:
    """The picture travels 300 ms longer than the sound; reports of both tell the truth."""
    tape = Tape()
    tape.open(1, "opus")
    tape.open(2, "VP8")
    slow_ns = 300_000_000
    tape.play(1, opus_frames(150), "opus", frame_s=0.02, first_timestamp=0)
    tape.play(
        2,
        vp8_frames(90),
        "VP8",
        frame_s=FRAME_S,
        first_timestamp=777,
        start_ns=START_NS + slow_ns,
    )
    for second in range(1, 3):
        at_ns = START_NS + second * SECOND_NS
        tape.report(1, at_ns, second * 48_000, at_ns + 1000)
        tape.report(2, at_ns, 777 + second * 90_000, at_ns + slow_ns)
    tape.end(START_NS + 5 * SECOND_NS)
    recording, directory = muxed(tmp_path, tape)
    sound, picture = (play(directory / track.file) for track in recording.tracks)
    assert picture.start_s == pytest.approx(sound.start_s, abs=0.02)
    assert picture.end_s == pytest.approx(sound.end_s, abs=0.06)


def test_no_key_frame_ever__no_file(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "VP8")
    tape.play(1, vp8_frames(20)[1:], "VP8", frame_s=FRAME_S)
    recording, directory = muxed(tmp_path, tape)
    track = only(recording)
    assert (track.file, track.frames, track.problem) == ("", 0, "")
    assert track.dropped == 19
    assert os.listdir(directory) == []


def test_garbage_records__others_are_muxed(tmp_path: Path) -> None:
    tape = Tape()
    tape.add(RecordKind.RTP, 9, b"before its track", START_NS)
    tape.add(RecordKind.OPEN, 8, b"not json", START_NS)
    tape.add(RecordKind.CLOSE, 7, b"", START_NS)
    tape.open(1, "opus")
    tape.open(2, "H264")
    tape.add(RecordKind.RTP, 1, b"\x80", START_NS)
    tape.add(RecordKind.RTP, 1, b"no rtp version at all", START_NS)
    tape.add(RecordKind.REPORT, 1, b"short", START_NS)
    tape.play(1, opus_frames(50), "opus", frame_s=0.02)
    # An IDR whose parameter sets say nothing: no size can be read from it.
    tape.play(2, [[b"\x67\x00", b"\x68\x00", b"\x65" + bytes(50)]] * 5, "H264", frame_s=FRAME_S)
    tape.add(RecordKind.CLOSE, 1, b"", START_NS + 2 * SECOND_NS)
    tape.rtp(1, 9, 9, opus_frames(50)[0][0], False, START_NS + 3 * SECOND_NS)
    tape.end(START_NS + 4 * SECOND_NS)
    recording, directory = muxed(tmp_path, tape)
    audio, video = recording.tracks
    assert audio.frames == 50
    assert (video.file, video.frames) == ("", 0)
    assert os.listdir(directory) == [audio.file]


def test_nothing_came__no_track_and_no_origin(tmp_path: Path) -> None:
    journal, directory = written(tmp_path, [])
    assert mux(journal, directory) == MuxedRecording(
        recording="rec-1", origin=None, ended=False, tracks=()
    )


def test_no_room_for_the_file__the_disk_is_blamed_and_nothing_is_left(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "VP8")
    tape.play(1, vp8_frames(90), "VP8", frame_s=FRAME_S)
    journal, directory = written(tmp_path, tape.in_order_of_arrival())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OSError, match="disk"):
            mux(journal, directory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(directory) == []


async def test_process__same_result_and_typed_failure(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "opus")
    tape.play(1, opus_frames(50), "opus", frame_s=0.02)
    journal, directory = written(tmp_path, tape.in_order_of_arrival())
    assert await mux_in_process(journal, directory) == mux(journal, directory)
    broken = tmp_path / "broken.journal"
    broken.write_bytes(b"this is not a journal")
    with pytest.raises(MuxError):
        await mux_in_process(broken, directory)
    with pytest.raises(OSError, match="disk"):
        await mux_in_process(journal, tmp_path / "missing")


def test_what_is_barred_is_in_no_file(tmp_path: Path) -> None:
    tape = Tape()
    for number, peer in ((1, "peer1"), (2, "peer2")):
        tape.open(number, "opus", peer)
        tape.play(number, opus_frames(200), "opus", frame_s=0.02)
    tape.end(START_NS + 5 * SECOND_NS)
    journal, directory = written(tmp_path, tape.in_order_of_arrival())
    after_two = Barred("peer1", START_NS + 2 * SECOND_NS, None)
    for_everyone = Barred("", START_NS + 3 * SECOND_NS, None)
    recording = mux(journal, directory, (after_two, for_everyone))
    ends = {track.peer: play(directory / track.file).end_s for track in recording.tracks}
    assert ends["peer1"] == pytest.approx(2.0, abs=0.05)
    assert ends["peer2"] == pytest.approx(3.0, abs=0.05)


async def test_process_that_hangs__is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muxer, "_LIMIT_S", 0.5)
    # A file that is never whole: the process waits for its writer for ever.
    os.mkfifo(tmp_path / "fifo")
    began = time.monotonic()
    with pytest.raises(MuxTimeoutError):
        await mux_in_process(tmp_path / "fifo", tmp_path)
    assert time.monotonic() - began < 10


async def test_what_is_barred_reaches_the_process(tmp_path: Path) -> None:
    tape = Tape()
    tape.open(1, "opus")
    tape.play(1, opus_frames(200), "opus", frame_s=0.02)
    tape.end(START_NS + 5 * SECOND_NS)
    journal, directory = written(tmp_path, tape.in_order_of_arrival())
    gap = Barred("peer1", START_NS + SECOND_NS, START_NS + 2 * SECOND_NS)
    whole = await mux_in_process(journal, directory)
    less = await mux_in_process(journal, directory, (gap,))
    assert only(whole).packets == 200
    assert only(less).packets == 150
