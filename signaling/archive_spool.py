"""Dossiers of ended consultations that no recorder has taken yet, on disk: they outlive us.

One file a consultation, readable by this user only, written whole or not at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path

import msgspec

from recorder.control import dossier as record

log = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SUFFIX = ".dossier.json"


class ArchiveSpool:
    """Call from a thread: every method reads or writes the disk. All may raise `OSError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, dossier: record.Dossier) -> None:
        """Keep a dossier, durably; a later one of the same consultation replaces it."""
        target = self._path(dossier.consultation)
        partial = target.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(dossier))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        folder = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def pending(self) -> tuple[str, ...]:
        """The consultations whose dossiers are kept, by the names of their files."""
        names = sorted(path.name for path in self._directory.glob(f"*{_SUFFIX}"))
        return tuple(name.removesuffix(_SUFFIX) for name in names)

    def read(self, consultation: str) -> record.Dossier | None:
        """A kept dossier; None when there is none that can be read."""
        try:
            data = self._path(consultation).read_bytes()
            dossier = msgspec.json.decode(data, type=record.Dossier)
            if dossier.consultation != consultation:
                raise ValueError("of another consultation")
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:  # misnamed, broken, or not ours to read
            log.error("dossier %r cannot be read: %s", consultation, type(error).__name__)
            return None
        return dossier

    def remove(self, consultation: str) -> None:
        """The recorder has it on its own disk now."""
        with contextlib.suppress(FileNotFoundError):
            self._path(consultation).unlink()

    def _path(self, consultation: str) -> Path:
        if not _ID.fullmatch(consultation):
            raise ValueError("not the id of a consultation")
        return self._directory / f"{consultation}{_SUFFIX}"
