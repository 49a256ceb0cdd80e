"""Dossiers on disk: whole, private, replaced by later ones, gone when delivered."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from recorder.record.dossier import Dossier, Facility
from signaling.archive_spool import ArchiveSpool


def dossier(consultation: str = "c1", title: str = "Khám") -> Dossier:
    return Dossier(
        consultation=consultation,
        mode="TELECONSULT_MDT",
        title=title,
        facility=Facility(code="01"),
        patient=None,
        created_at=1.0,
        started_at=2.0,
        ended_at=3.0,
        participants=(),
    )


def test_kept_until_removed(tmp_path: Path) -> None:
    spool = ArchiveSpool(tmp_path / "spool")
    spool.put(dossier("c1"))
    spool.put(dossier("c2"))
    again = ArchiveSpool(tmp_path / "spool")
    assert again.pending() == ("c1", "c2")
    assert again.read("c1") == dossier("c1")
    again.remove("c1")
    again.remove("c1")
    assert again.pending() == ("c2",)
    assert again.read("c1") is None


def test_later_dossier_replaces_the_earlier(tmp_path: Path) -> None:
    spool = ArchiveSpool(tmp_path)
    spool.put(dossier(title="first"))
    spool.put(dossier(title="second"))
    assert spool.read("c1") == dossier(title="second")
    assert len(list(tmp_path.iterdir())) == 1


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    spool = ArchiveSpool(tmp_path / "spool")
    spool.put(dossier())
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    (file,) = (tmp_path / "spool").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_half_written_file_is_not_pending(tmp_path: Path) -> None:
    spool = ArchiveSpool(tmp_path)
    (tmp_path / "c1.dossier.partial").write_bytes(msgspec.json.encode(dossier())[:20])
    assert spool.pending() == ()


def test_misnamed_file_is_pending_and_passed_over(tmp_path: Path) -> None:
    spool = ArchiveSpool(tmp_path)
    spool.put(dossier("c1"))
    (tmp_path / "c1.dossier.json").rename(tmp_path / "c2.dossier.json")
    (tmp_path / "not an id.dossier.json").write_bytes(msgspec.json.encode(dossier()))
    assert spool.pending() == ("c2", "not an id")
    assert spool.read("c2") is None
    assert spool.read("not an id") is None


def test_broken_file_is_passed_over(tmp_path: Path) -> None:
    spool = ArchiveSpool(tmp_path)
    spool.put(dossier())
    (tmp_path / "c1.dossier.json").write_bytes(b"{")
    assert spool.read("c1") is None


@pytest.mark.parametrize("name", ["../c1", "", "a/b", "x" * 65])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        ArchiveSpool(tmp_path).put(dossier(name))
