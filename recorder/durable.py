"""Files that are whole or not there, also after a power cut."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PARTIAL_SUFFIX = ".partial"


def sync_file(path: Path) -> None:
    """Return when the file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Return when the directory's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make the directory and its missing parents, for us alone, and put them on the disk."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for directory in reversed(missing):
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_directory(directory.parent)


def publish(partial: Path, path: Path) -> None:
    """Give a file written under another name its own name, once its bytes are on the disk."""
    sync_file(partial)
    partial.replace(path)
    sync_directory(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Replace the file's content: after a crash it is the old or the new, never a mixture."""
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    publish(partial, path)


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it; the removal is on the disk on return."""
    shutil.rmtree(path, ignore_errors=True)
    sync_directory(path.parent)


def free_bytes(path: Path) -> int:
    """What an unprivileged process may still write on the disk that holds `path`."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize
