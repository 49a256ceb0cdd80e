"""The journal of a recording: an append-only file of tap records, each with a checksum.

One file for all tracks of a recording: a tap numbers its records over all tracks, so one file
needs one fsync for a batch and has one last sequence number from which to continue.

    magic      8 bytes
    header     a frame: JSON `Header`
    records    frames: one tap record each, verbatim as in `sfu.control.tap`

    frame      length u32, CRC-32 of the content u32, content; network order

After any crash the file holds a whole prefix of what was appended, and perhaps a torn tail, which
`Journal.open` cuts off and `read` does not see. What `append` returned for is in the prefix. A tail
of more than a torn frame may be of a damaged disk: it is copied to ``<file>.tail-<n>`` first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from recorder.durable import free_bytes, sync_directory, sync_file
from recorder.errors import DiskFullError, JournalError
from sfu.control.tap import (
    HEADER_BYTES,
    MAX_BODY_BYTES,
    Record,
    RecordKind,
    TapFormatError,
    parse_records,
)

_MAGIC = b"VTHJRNL1"
_FRAME = struct.Struct("!II")
_MAX_CONTENT_BYTES = HEADER_BYTES + MAX_BODY_BYTES
_READ_BUFFER_BYTES = 1 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal is of."""

    recording: str
    consultation: str


class Journal:
    """A journal open for writing; all methods block, so call them in a thread, one at a time.

    Call `open`, then `append` for each batch, then `close`. `last_sequence` is the sequence
    number of the last record on the disk (0: none), `ended` whether that is an END.
    """

    def __init__(self, descriptor: int, path: Path, min_free_bytes: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self._min_free_bytes = min_free_bytes
        self.size_bytes = 0
        self.last_sequence = 0
        self.ended = False

    @classmethod
    def open(cls, path: Path, header: Header, min_free_bytes: int) -> Journal:
        """Open the file, made when missing, and cut off a torn tail.

        Raises `DiskFullError`; `JournalError` when the file is a journal of something else.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _failure(error) from error
        journal = cls(descriptor, path, min_free_bytes)
        try:
            journal._recover(header)
        except BaseException:
            os.close(descriptor)
            raise
        return journal

    def append(self, records: Sequence[Record]) -> list[Record]:
        """Write the records that are new and return them when they are on the disk.

        A sequence number at or below the last one is a duplicate and is left out, and so is what
        comes after an END. Raises `DiskFullError` or `JournalError`; then what was there before
        is there still, and whole.
        """
        fresh = self._fresh(records)
        if not fresh:
            return fresh
        data = b"".join(_frame(bytes(record)) for record in fresh)
        self._keep_reserve(len(data))
        self._write(data)
        self.last_sequence = fresh[-1].sequence
        self.ended = fresh[-1].kind is RecordKind.END
        return fresh

    def close(self) -> None:
        """Close the file; all that was appended is on the disk already."""
        os.close(self._descriptor)

    def _fresh(self, records: Sequence[Record]) -> list[Record]:
        last, ended = self.last_sequence, self.ended
        fresh = []
        for record in records:
            if ended:
                break
            if record.sequence > last:
                fresh.append(record)
                last = record.sequence
                ended = record.kind is RecordKind.END
        return fresh

    def _keep_reserve(self, size_bytes: int) -> None:
        try:
            free = free_bytes(self._path.parent)
        except OSError as error:
            raise _failure(error) from error
        if free - size_bytes < self._min_free_bytes:
            raise DiskFullError("the disk is at its reserve")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError as error:
            # Half a batch must not stay: a later append would stand behind it, out of reach.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size_bytes)
            raise _failure(error) from error
        self.size_bytes += len(data)

    def _recover(self, header: Header) -> None:
        with open(self._descriptor, "rb", buffering=_READ_BUFFER_BYTES, closefd=False) as file:
            file.seek(0)
            found = _read_header(file)
            if found is None:
                self._begin(header)
                return
            if found != header:
                raise JournalError("the journal is of another recording")
            self.size_bytes = file.tell()
            for record in _read_records(file):
                self.size_bytes = file.tell()
                self.last_sequence = record.sequence
                self.ended = record.kind is RecordKind.END
        try:
            self._cut_tail()
        except OSError as error:
            raise _failure(error) from error

    def _cut_tail(self) -> None:
        tail_bytes = os.fstat(self._descriptor).st_size - self.size_bytes
        if tail_bytes > _FRAME.size + _MAX_CONTENT_BYTES:
            self._set_tail_aside(tail_bytes)
        if tail_bytes > 0:
            os.ftruncate(self._descriptor, self.size_bytes)
        os.fsync(self._descriptor)

    def _set_tail_aside(self, tail_bytes: int) -> None:
        self._keep_reserve(tail_bytes)
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.tail-{number}")).exists():
            number += 1
        with self._path.open("rb") as source, aside.open("xb") as target:
            os.fchmod(target.fileno(), 0o600)
            source.seek(self.size_bytes)
            shutil.copyfileobj(source, target, _READ_BUFFER_BYTES)
        sync_file(aside)
        sync_directory(aside.parent)

    def _begin(self, header: Header) -> None:
        os.ftruncate(self._descriptor, 0)
        self._write(_MAGIC + _frame(msgspec.json.encode(header)))
        sync_directory(self._path.parent)


def read(path: Path) -> Iterator[Record]:
    """The records of a journal, up to the last whole one; holds one at a time in memory.

    Raises `JournalError` when the file cannot be opened. A file cut within its header has none.
    """
    try:
        file = path.open("rb", buffering=_READ_BUFFER_BYTES)
    except OSError as error:
        raise JournalError("the journal cannot be opened") from error
    with file:
        if _read_header(file) is not None:
            yield from _read_records(file)


def read_header(path: Path) -> Header:
    """What the journal is of. Raises `JournalError` when it does not say."""
    try:
        with path.open("rb") as file:
            header = _read_header(file)
    except OSError as error:
        raise JournalError("the journal cannot be opened") from error
    if header is None:
        raise JournalError("the journal has no whole header")
    return header


def _frame(content: bytes) -> bytes:
    return _FRAME.pack(len(content), zlib.crc32(content)) + content


def _read_frame(file: BinaryIO) -> bytes | None:
    """The next frame's content; None where the file has no further whole frame."""
    head = file.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    length, checksum = _FRAME.unpack(head)
    # A tail of zeros, as a power cut leaves it, would pass the checksum of nothing.
    if not 0 < length <= _MAX_CONTENT_BYTES:
        return None
    content = file.read(length)
    if len(content) < length or zlib.crc32(content) != checksum:
        return None
    return content


def _read_header(file: BinaryIO) -> Header | None:
    """The header; None when the file is shorter than it. Raises `JournalError` when not ours."""
    magic = file.read(len(_MAGIC))
    # A power cut may leave the length of the first write and zeros for its bytes.
    if not _MAGIC.startswith(magic.rstrip(b"\0")):
        raise JournalError("the file is not a journal")
    content = _read_frame(file) if magic == _MAGIC else None
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Header)
    except msgspec.MsgspecError as error:
        raise JournalError("the journal's header is not readable") from error


def _read_records(file: BinaryIO) -> Iterator[Record]:
    last = 0
    while (content := _read_frame(file)) is not None:
        try:
            (record,) = parse_records(content)
        except (TapFormatError, ValueError):
            return
        if record.sequence <= last:
            return
        last = record.sequence
        yield record
        if record.kind is RecordKind.END:
            return


def _failure(error: OSError) -> DiskFullError | JournalError:
    if error.errno in _NO_ROOM:
        return DiskFullError("the disk is full")
    return JournalError(f"the disk fails: {errno.errorcode.get(error.errno or 0, 'unknown')}")
