"""What the recorder keeps on disk until a consultation is archived.

    <work>/lock                                              held by the one process that works here
    <work>/consultations/<consultation>/dossier.json         the newest dossier
    <work>/consultations/<consultation>/archive              the consultation is to be archived
    <work>/consultations/<consultation>/<recording>.json     a recording, its tap and its state
    <work>/consultations/<consultation>/<recording>.journal  its packets
    <work>/consultations/<consultation>/<recording>.journal.tail-<n>  cut off when it was damaged
    <work>/kept/<consultation>                               what could not be archived whole
    <work>/removed/<consultation>                            archived, being removed
    <work>/outbox                                            bundles not yet delivered

All methods block and may raise OSError: call them in a thread.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Literal

import msgspec

from recorder.durable import make_directory, remove_tree, sync_directory, write_file
from recorder.errors import CommandError, ConfigError
from recorder.record.dossier import Dossier

#: Ids become file names: no separator, no leading dot, short enough for any file system.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_DOSSIER, _ARCHIVE, _RECORDING, _JOURNAL = "dossier.json", "archive", ".json", ".journal"
_TAIL = re.compile(r".+\.journal\.tail-\d+")

Stage = Literal["open", "draining", "stopped", "failed"]


class RecordingFile(msgspec.Struct, frozen=True, kw_only=True):
    """A recording as known on disk; `open` is one that goes on, or did when the recorder died.

    `stopped_ns` (Unix time) is when the stop came, None when it has not.
    """

    recording: str
    consultation: str
    tap_url: str
    stage: Stage = "open"
    detail: str = ""
    stopped_ns: int | None = None

    @property
    def final(self) -> bool:
        """Whether nothing more will be written to its journal."""
        return self.stage in ("stopped", "failed")


def check_name(name: str) -> str:
    """The id, when it can name a file. Raises `CommandError`."""
    if _NAME.fullmatch(name) is None or name + _RECORDING == _DOSSIER:
        raise CommandError("an id must be 1 to 100 letters, digits, dots, dashes or underscores")
    return name


class Workspace:
    """The work directory; made when missing. One process at a time may hold it."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._consultations = directory / "consultations"
        self._kept = directory / "kept"
        self._removed = directory / "removed"
        self.outbox = directory / "outbox"
        for path in (self._consultations, self._kept, self._removed):
            make_directory(path)
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise ConfigError("RECORDER_WORK_DIR is in use by another recorder.") from error
        for left_by_a_crash in self._removed.iterdir():
            remove_tree(left_by_a_crash)

    def close(self) -> None:
        """Let another process have the directory."""
        os.close(self._lock)

    def consultations(self) -> list[str]:
        """Those that are not archived, by id."""
        return sorted(path.name for path in self._consultations.iterdir() if path.is_dir())

    def dossier(self, consultation: str) -> Dossier | None:
        """The newest dossier; None when there is none that can be read."""
        try:
            data = (self._consultations / consultation / _DOSSIER).read_bytes()
            return msgspec.json.decode(data, type=Dossier)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def put_dossier(self, dossier: Dossier) -> None:
        """Replace the dossier of its consultation."""
        directory = self._consultations / check_name(dossier.consultation)
        make_directory(directory)
        write_file(directory / _DOSSIER, msgspec.json.encode(dossier))

    def accept_archive(self, consultation: str) -> None:
        """Remember, over any crash, that the consultation is to be archived, and since when."""
        if not self.archive_accepted(consultation):
            write_file(self._consultations / consultation / _ARCHIVE, b"")

    def archive_accepted(self, consultation: str) -> bool:
        """Whether the consultation is to be archived."""
        return (self._consultations / consultation / _ARCHIVE).exists()

    def archive_accepted_at(self, consultation: str) -> float:
        """When it was first to be archived (Unix seconds). Raises OSError when it is not."""
        return (self._consultations / consultation / _ARCHIVE).stat().st_mtime

    def put_recording(self, row: RecordingFile) -> None:
        """Replace what is known of a recording."""
        write_file(self._path(row, _RECORDING), msgspec.json.encode(row))

    def recordings(self, consultation: str) -> list[RecordingFile]:
        """The consultation's recordings, by id; `unclear` names those that cannot be read."""
        found = self._rows(consultation).values()
        return [row for row in found if row is not None]

    def unclear(self, consultation: str) -> list[str]:
        """Names of files that no recording accounts for: a row that cannot be read, a journal
        without a row, what was cut off a damaged journal. Nobody else may have their packets."""
        rows = self._rows(consultation)
        names = [name for name, row in rows.items() if row is None]
        for path in sorted((self._consultations / consultation).glob(f"*{_JOURNAL}*")):
            alone = path.suffix == _JOURNAL and path.stem + _RECORDING not in rows
            if alone or _TAIL.fullmatch(path.name) is not None:
                names.append(path.name)
        return names

    def _rows(self, consultation: str) -> dict[str, RecordingFile | None]:
        """File name → row, None when it cannot be read."""
        rows: dict[str, RecordingFile | None] = {}
        for path in sorted((self._consultations / consultation).glob(f"*{_RECORDING}")):
            if path.name == _DOSSIER:
                continue
            try:
                rows[path.name] = msgspec.json.decode(path.read_bytes(), type=RecordingFile)
            except (msgspec.MsgspecError, UnicodeError):
                rows[path.name] = None
        return rows

    def journal(self, row: RecordingFile) -> Path:
        """Where the recording's packets are."""
        return self._path(row, _JOURNAL)

    def remove(self, consultation: str) -> None:
        """Forget a consultation: its archive is complete."""
        directory = self._consultations / consultation
        if directory.exists():
            # Renamed first: half a consultation must not be taken for one that is to be archived.
            removed = self._removed / consultation
            remove_tree(removed)
            directory.rename(removed)
            sync_directory(self._consultations)
            remove_tree(removed)

    def keep(self, consultation: str) -> None:
        """Put a consultation aside: something in it could not be archived."""
        target = self._kept / consultation
        number = 1
        while target.exists():
            number += 1
            target = self._kept / f"{consultation}-{number}"
        (self._consultations / consultation).rename(target)
        sync_directory(self._consultations)
        sync_directory(self._kept)

    def kept(self) -> int:
        """How many consultations were put aside."""
        return sum(1 for _ in self._kept.iterdir())

    def _path(self, row: RecordingFile, suffix: str) -> Path:
        return self._consultations / row.consultation / (row.recording + suffix)
