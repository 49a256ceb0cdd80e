"""A consultation's archive job: from journals and dossier to files, manifest and bundle.

    <archive>/<consultation>/tracks/*           one file a track
    <archive>/<consultation>/chat.json …        the dossier's rows
    <archive>/<consultation>/manifest.json      what is here; its presence says: archived
    <archive>/<consultation>/bundle.json        the health record's transaction

Every step may be repeated after a crash and then does the same again. A document names a file only
when that file is on the disk. A later dossier of an archived consultation makes the documents anew
around the tracks that are there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import msgspec

from recorder.durable import PARTIAL_SUFFIX, make_directory, write_file
from recorder.errors import MuxError, MuxTimeoutError, StateError
from recorder.manifest import (
    MANIFEST,
    TRACKS,
    Manifest,
    RecordingRow,
    build,
    decode,
    document_file,
    documents,
    dossier_sha256,
    encode,
    enriched,
    fingerprint,
    recording_row,
    track_files,
    track_row,
)
from recorder.metrics import Metrics
from recorder.muxer import MuxedRecording, mux_in_process
from recorder.record.barred import barred
from recorder.record.dossier import Dossier
from recorder.record.fhir import ArchivedFile, DossierError, Systems, bundle
from recorder.record.outbox import Outbox
from recorder.workspace import RecordingFile, Workspace

log = logging.getLogger(__name__)

BUNDLE = "bundle.json"
#: A muxer that fails is tried again (it may have been killed); then the journal is put aside.
_MUX_ATTEMPTS = 3


class Step(Enum):
    """Where an archive job is."""

    COLLECTS = "collects"
    MUXES = "muxes"
    MANIFEST = "manifest"
    BUNDLE = "bundle"
    DELIVERED = "delivered"


class Progress(Enum):
    """What brings an archive job on."""

    COLLECTED = "collected"
    MUXED = "muxed"
    LISTED = "listed"
    HANDED_OVER = "handed_over"
    FAILED = "failed"


#: A job that failed begins again from its journals, which stay until it is delivered.
TABLE: dict[Step, dict[Progress, Step]] = {
    Step.COLLECTS: {Progress.COLLECTED: Step.MUXES, Progress.FAILED: Step.COLLECTS},
    Step.MUXES: {Progress.MUXED: Step.MANIFEST, Progress.FAILED: Step.COLLECTS},
    Step.MANIFEST: {Progress.LISTED: Step.BUNDLE, Progress.FAILED: Step.COLLECTS},
    Step.BUNDLE: {Progress.HANDED_OVER: Step.DELIVERED, Progress.FAILED: Step.COLLECTS},
    Step.DELIVERED: {},
}


def after(step: Step, progress: Progress) -> Step:
    """The step that `progress` leads to. Raises `StateError` when the table has none."""
    try:
        return TABLE[step][progress]
    except KeyError as error:
        raise StateError(f"an archive that {step.value} cannot be {progress.value}") from error


class Archive:
    """The archive directory (made when missing) and all that a job needs besides."""

    def __init__(
        self,
        directory: Path,
        workspace: Workspace,
        outbox: Outbox,
        systems: Systems,
        metrics: Metrics,
    ) -> None:
        make_directory(directory)
        self.workspace = workspace
        self.outbox = outbox
        self.systems = systems
        self.metrics = metrics
        self._directory = directory

    def path(self, consultation: str) -> Path:
        """Where the consultation's archive is."""
        return self._directory / consultation

    def manifest(self, consultation: str) -> Manifest | None:
        """The manifest of an archived consultation; None when it is not archived. Blocks."""
        try:
            return decode((self.path(consultation) / MANIFEST).read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def version(self, consultation: str) -> int | None:
        """Of the dossier it is archived with; None when it is not archived. Blocks."""
        manifest = self.manifest(consultation)
        return None if manifest is None else manifest.dossier_version

    def holds(self, dossier: Dossier) -> bool:
        """Whether the consultation is archived with this very dossier or a newer one. Blocks."""
        manifest = self.manifest(dossier.consultation)
        return manifest is not None and (
            manifest.dossier_version > dossier.version
            or manifest.dossier_sha256 == dossier_sha256(dossier)
        )


class ArchiveJob:
    """Archives one consultation with one dossier: call `run` until it returns.

    Its recordings must be final. `step` tells how far it is; `problems` names what could not be
    made for good, and then the sources must be kept.
    """

    def __init__(self, archive: Archive, dossier: Dossier) -> None:
        self.step = Step.COLLECTS
        self.problems: list[str] = []
        self._archive = archive
        self._dossier = dossier
        self._directory = archive.path(dossier.consultation)

    async def run(self) -> None:
        """Do all steps. Raises OSError when the disk is full or fails; run it again later then."""
        self.problems = []
        workspace, consultation = self._archive.workspace, self._dossier.consultation
        for name in await asyncio.to_thread(workspace.unclear, consultation):
            log.error("consultation %s: %s is in no archive", consultation, name)
            self._complain("file", name)
        try:
            rows = await asyncio.to_thread(self._collect)
            self._advance(Progress.COLLECTED)
            recordings = await self._mux(rows)
            self._advance(Progress.MUXED)
            files = await asyncio.to_thread(self._write_documents, recordings)
            self._advance(Progress.LISTED)
            await self._hand_over(files)
            self._advance(Progress.HANDED_OVER)
        except BaseException:
            if self.step is not Step.DELIVERED:
                self._advance(Progress.FAILED)
            raise

    def _advance(self, progress: Progress) -> None:
        self.step = after(self.step, progress)

    def _collect(self) -> list[RecordingFile]:
        make_directory(self._directory / TRACKS)
        return self._archive.workspace.recordings(self._dossier.consultation)

    async def _mux(self, rows: Sequence[RecordingFile]) -> list[RecordingRow]:
        """All recordings: those of an earlier archive, and those whose journals are here."""
        previous = await asyncio.to_thread(self._archive.manifest, self._dossier.consultation)
        found = {row.id: row for row in previous.recordings} if previous is not None else {}
        for row in rows:
            muxed = await self._mux_one(row)
            if muxed is not None:
                found[row.recording] = await asyncio.to_thread(self._hash, row, muxed)
        return [enriched(found[name], self._dossier) for name in sorted(found)]

    async def _mux_one(self, row: RecordingFile) -> MuxedRecording | None:
        journal = self._archive.workspace.journal(row)
        if not journal.exists():
            return MuxedRecording(recording=row.recording, origin=None, ended=False, tracks=())
        never = barred(self._dossier, row.recording)
        for _ in range(_MUX_ATTEMPTS):
            try:
                return await mux_in_process(journal, self._directory / TRACKS, never)
            except MuxError as error:
                log.error("recording %s could not be muxed: %s", row.recording, error)
                if isinstance(error, MuxTimeoutError):
                    break
        self._complain("recording", row.recording)
        return None

    def _hash(self, row: RecordingFile, muxed: MuxedRecording) -> RecordingRow:
        directory = self._directory / TRACKS
        for partial in directory.glob(f"{row.recording}-*{PARTIAL_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
        tracks = []
        for track in muxed.tracks:
            if track.problem:
                self._complain("track", row.recording)
            print_ = fingerprint(directory / track.file) if track.file else None
            tracks.append(track_row(track, print_))
        return recording_row(muxed, row.stage, row.detail, tracks)

    def _write_documents(self, recordings: Sequence[RecordingRow]) -> list[ArchivedFile]:
        files = track_files(self._dossier, recordings)
        for name, data in documents(self._dossier).items():
            write_file(self._directory / name, data)
            files.append(document_file(self._dossier, name, data))
        manifest = encode(build(self._dossier, recordings, files))
        write_file(self._directory / MANIFEST, manifest)
        files.append(document_file(self._dossier, MANIFEST, manifest))
        return files

    async def _hand_over(self, files: Sequence[ArchivedFile]) -> None:
        consultation = self._dossier.consultation
        try:
            data = msgspec.json.encode(bundle(self._dossier, files, self._archive.systems))
        except DossierError as error:
            log.error("consultation %s has no bundle: %s", consultation, error)
            self._complain("bundle", consultation)
            return
        await asyncio.to_thread(write_file, self._directory / BUNDLE, data)
        await self._archive.outbox.put(consultation, data)

    def _complain(self, what: str, name: str) -> None:
        self.problems.append(f"{what} {name}")
        self._archive.metrics.archive_problems.labels(what).inc()
