"""The work directory: what was written is there for the next process."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from recorder.errors import CommandError, ConfigError
from recorder.workspace import RecordingFile, Workspace, check_name
from tests.recorder.visits import visit

ROW = RecordingFile(recording="rec-1", consultation="c-1", tap_url="ws://x/tap/rec-1")


def test_rows_and_dossiers__survive_the_process(tmp_path: Path) -> None:
    first = Workspace(tmp_path / "work")
    first.put_dossier(visit(ended=False))
    first.put_dossier(visit())
    first.put_recording(ROW)
    first.close()
    second = Workspace(tmp_path / "work")
    assert second.consultations() == ["c-1"]
    assert second.dossier("c-1") == visit()
    assert second.recordings("c-1") == [ROW]
    assert not second.archive_accepted("c-1")
    second.accept_archive("c-1")
    assert second.archive_accepted("c-1")
    second.close()


def test_damaged_files__are_no_dossier_and_no_row(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.put_dossier(visit())
    workspace.put_recording(ROW)
    for path in (tmp_path / "consultations/c-1").iterdir():
        path.write_bytes(b"{")
    assert workspace.dossier("c-1") is None
    assert workspace.recordings("c-1") == []
    assert workspace.unclear("c-1") == ["rec-1.json"]
    assert workspace.recordings("nobody") == []
    assert workspace.unclear("nobody") == []
    workspace.close()


def test_files_of_no_recording__are_unclear(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.put_dossier(visit())
    workspace.put_recording(ROW)
    workspace.put_recording(msgspec.structs.replace(ROW, recording="a.journal.tail-1"))
    directory = tmp_path / "consultations/c-1"
    (directory / "rec-1.journal").write_bytes(b"x")
    assert workspace.unclear("c-1") == []
    for name in ("rec-0.journal", "rec-1.journal.tail-1"):
        (directory / name).write_bytes(b"x")
    assert workspace.unclear("c-1") == ["rec-0.journal", "rec-1.journal.tail-1"]
    workspace.close()


def test_archive_accepted_again__since_the_first_time(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.put_dossier(visit())
    workspace.accept_archive("c-1")
    os.utime(tmp_path / "consultations/c-1/archive", (5, 5))
    workspace.accept_archive("c-1")
    assert workspace.archive_accepted_at("c-1") == 5
    workspace.close()


def test_remove_and_keep__leave_no_consultation(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for _ in range(2):
        workspace.put_dossier(visit())
        workspace.keep("c-1")
    workspace.put_dossier(visit())
    workspace.remove("c-1")
    workspace.remove("c-1")
    assert workspace.consultations() == []
    assert workspace.kept() == 2
    assert list((tmp_path / "removed").iterdir()) == []
    workspace.close()


def test_removal_that_was_cut_short__is_finished(tmp_path: Path) -> None:
    left = tmp_path / "removed" / "c-9"
    left.mkdir(parents=True)
    (left / "rec.journal").write_bytes(b"x")
    Workspace(tmp_path).close()
    assert not left.exists()


def test_personal_data__is_for_us_alone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    workspace.put_dossier(visit())
    for path in (tmp_path / "work").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    workspace.close()


def test_two_processes__the_second_is_refused(tmp_path: Path) -> None:
    first = Workspace(tmp_path)
    with pytest.raises(ConfigError):
        Workspace(tmp_path)
    first.close()
    Workspace(tmp_path).close()


@pytest.mark.parametrize("name", ["c-1", "A_b.9", "0", "x" * 100])
def test_names__that_files_can_have(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a b", "é", "x" * 101, "a\n"])
def test_names__that_no_file_should_have(name: str) -> None:
    with pytest.raises(CommandError):
        check_name(name)
