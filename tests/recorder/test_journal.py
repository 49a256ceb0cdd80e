"""The journal: whatever happens to its file, its longest whole prefix is read."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import journal
from recorder.errors import DiskFullError, JournalError
from recorder.journal import Header, Journal
from sfu.control.tap import Record, RecordKind

HEADER = Header(recording="rec-1", consultation="c-1")
BODIES = st.lists(st.binary(max_size=80), min_size=1, max_size=12)


def records(bodies: list[bytes], first: int = 1) -> list[Record]:
    return [
        Record(first + index, 1_000 + index, RecordKind.RTP, 1, body)
        for index, body in enumerate(bodies)
    ]


def write(path: Path, batch: list[Record]) -> None:
    opened = Journal.open(path, HEADER, 0)
    opened.append(batch)
    opened.close()


def test_append__reads_back_and_continues(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    first, second = records([b"a", b"bb"]), records([b"c", b""], first=3)
    write(path, first)
    reopened = Journal.open(path, HEADER, 0)
    assert reopened.last_sequence == 2
    assert reopened.append(second) == second
    reopened.close()
    assert list(journal.read(path)) == first + second
    assert journal.read_header(path) == HEADER


def test_append__duplicates_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    batch = records([b"a", b"b", b"c"])
    opened = Journal.open(path, HEADER, 0)
    opened.append(batch[:2])
    assert opened.append(batch) == batch[2:]
    assert opened.append(batch) == []
    opened.close()
    assert list(journal.read(path)) == batch


def test_append__nothing_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    end = Record(2, 5, RecordKind.END, 0, b"")
    late = Record(3, 6, RecordKind.RTP, 1, b"late")
    opened = Journal.open(path, HEADER, 0)
    assert opened.append([*records([b"a"]), end, late]) == [*records([b"a"]), end]
    assert opened.ended
    assert opened.append([late]) == []
    opened.close()
    reopened = Journal.open(path, HEADER, 0)
    assert reopened.ended
    reopened.close()
    assert [record.kind for record in journal.read(path)][-1] is RecordKind.END


@settings(deadline=None)  # the disk decides how long
@given(bodies=BODIES, data=st.data())
def test_truncated_anywhere__longest_whole_prefix_and_no_duplicate(
    bodies: list[bytes], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.journal"
        batch = records(bodies)
        opened = Journal.open(path, HEADER, 0)
        ends = [opened.size_bytes]
        for record in batch:
            opened.append([record])
            ends.append(opened.size_bytes)
        opened.close()
        content = path.read_bytes()
        torn = content[: data.draw(st.integers(0, len(content)))]
        torn += data.draw(st.sampled_from([b"", bytes(64)]))
        path.write_bytes(torn)
        whole = sum(torn[:end] == content[:end] for end in ends[1:])
        assert list(journal.read(path)) == batch[:whole]
        reopened = Journal.open(path, HEADER, 0)
        assert reopened.last_sequence == whole
        assert reopened.append(batch) == batch[whole:]
        reopened.close()
        assert list(journal.read(path)) == batch


@settings(deadline=None)  # the disk decides how long
@given(bodies=BODIES, data=st.data())
def test_any_byte_changed__only_a_prefix_is_believed(
    bodies: list[bytes], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.journal"
        batch = records(bodies)
        write(path, batch)
        content = bytearray(path.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            found = list(journal.read(path))
        except JournalError:
            assert position < 8
        else:
            assert found == batch[: len(found)]
            assert len(found) < len(batch)


def test_torn_frame__is_cut_without_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    write(path, records([b"a"]))
    whole = path.stat().st_size
    write(path, records([b"b" * 60_000], first=2))
    os.truncate(path, path.stat().st_size - 1)
    Journal.open(path, HEADER, 0).close()
    assert path.stat().st_size == whole
    assert list(tmp_path.iterdir()) == [path]


def test_damage_in_the_middle__what_is_behind_it_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    batch = records([b"a" * 60_000, b"b" * 60_000, b"c" * 60_000])
    for _ in range(2):
        write(path, batch)
        content = bytearray(path.read_bytes())
        content[70_000] ^= 1
        path.write_bytes(content)
        reopened = Journal.open(path, HEADER, 0)
        assert reopened.last_sequence == 1
        reopened.close()
    for number in (1, 2):
        aside = tmp_path / f"x.journal.tail-{number}"
        assert aside.read_bytes() == content[path.stat().st_size :]
        assert aside.stat().st_mode & 0o077 == 0
    assert list(journal.read(path)) == batch[:1]


def test_no_room_for_the_tail__nothing_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    write(path, records([b"a" * 60_000, b"b" * 60_000, b"c" * 60_000]))
    content = bytearray(path.read_bytes())
    content[1_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DiskFullError):
        Journal.open(path, HEADER, 1 << 60)
    assert path.read_bytes() == content


def test_open__journal_of_another_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    write(path, records([b"a"]))
    with pytest.raises(JournalError):
        Journal.open(path, Header(recording="other", consultation="c-1"), 0)
    path.write_bytes(b"something else entirely")
    with pytest.raises(JournalError):
        Journal.open(path, HEADER, 0)
    with pytest.raises(JournalError):
        list(journal.read(tmp_path / "missing"))


def test_reserve__append_is_refused_and_the_rest_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    batch = records([b"a", b"b"])
    write(path, batch)
    greedy = Journal.open(path, HEADER, 1 << 60)
    with pytest.raises(DiskFullError):
        greedy.append(records([b"c"], first=3))
    assert greedy.last_sequence == 2
    greedy.close()
    assert list(journal.read(path)) == batch


def test_no_room_in_the_middle_of_a_batch__what_was_there_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    batch = records([b"a" * 100, b"b" * 100])
    write(path, batch)
    size = path.stat().st_size
    opened = Journal.open(path, HEADER, 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel takes what fits and refuses the rest, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 150, before[1]))
    try:
        with pytest.raises(DiskFullError):
            opened.append(records([b"c" * 100, b"d" * 100], first=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.stat().st_size == size
    assert opened.append(records([b"e"], first=3))
    opened.close()
    assert [record.body for record in journal.read(path)] == [b"a" * 100, b"b" * 100, b"e"]
