"""The recorder: carries out commands, keeps the recordings and archives the consultations."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp

from recorder.archive import Archive, ArchiveJob
from recorder.config import Config
from recorder.control import (
    Answers,
    ArchiveConsultation,
    Archived,
    Commands,
    Done,
    Events,
    Failed,
    PutDossier,
    RecordingState,
    StartRecording,
    StopRecording,
)
from recorder.durable import free_bytes
from recorder.errors import CommandError, DiskFullError
from recorder.job import RecordingJob, State
from recorder.metrics import Metrics
from recorder.record.dossier import Dossier
from recorder.workspace import RecordingFile, Workspace, check_name

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0
#: Muxing is work for a whole core; the recordings that go on need the others.
_ARCHIVES_AT_ONCE = 2
#: Signalling speaks of a consultation at each change and at each reconnect. The longest on call,
#: a night's watch of a patient without any change, is far shorter than a day.
_QUIET_S = 24 * 3600.0
_ORPHANS_EVERY_S = 600.0


class Recorder:
    """Call `start` once, then `handle` for each command, then `close`.

    `emit` gets each event and must return at once. `close` leaves everything as it is on disk, for
    the next process to go on with.
    """

    def __init__(
        self,
        config: Config,
        workspace: Workspace,
        archive: Archive,
        metrics: Metrics,
        emit: Callable[[Events], None],
    ) -> None:
        self._config = config
        self._workspace = workspace
        self._archive = archive
        self._metrics = metrics
        self._emit = emit
        self._session: aiohttp.ClientSession | None = None
        self._jobs: dict[str, RecordingJob] = {}
        self._archiving: dict[str, asyncio.Task[None]] = {}
        self._archive_slots = asyncio.Semaphore(_ARCHIVES_AT_ONCE)
        # When each consultation was last spoken of by a command to this process.
        self._heard_s: dict[str, float] = {}
        self._began_s = time.monotonic()
        self._orphans: asyncio.Task[None] | None = None
        # Commands change files that belong together; they come seldom.
        self._command = asyncio.Lock()

    # -------------------------------------------------------------- life

    async def start(self) -> None:
        """Take up what the last process left, before anybody asks: what waits at the SFU for a
        recording whose stop was lost is fetched all the same."""
        self._session = aiohttp.ClientSession()
        self._began_s = time.monotonic()
        left = []
        for consultation in await asyncio.to_thread(self._workspace.consultations):
            rows = await asyncio.to_thread(self._workspace.recordings, consultation)
            accepted = await asyncio.to_thread(self._workspace.archive_accepted, consultation)
            for row in rows:
                if not row.final:
                    await self._take_up(row, draining=accepted or row.stage == "draining")
            if accepted:
                self._begin_archive(consultation)
            else:
                left.append(consultation)
        self._orphans = asyncio.create_task(self._watch_for_orphans(left), name="orphans")

    async def close(self) -> None:
        """End all tasks; every journal is whole and closed on return."""
        tasks = [*self._archiving.values()]
        if self._orphans is not None:
            tasks.append(self._orphans)
        for task in tasks:
            task.cancel()
        jobs = (job.close() for job in self._jobs.values())
        await asyncio.gather(*tasks, *jobs, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _watch_for_orphans(self, left: list[str]) -> None:
        """Archive what nobody asks for: after the grace what the last process left, and then
        what is over and was not spoken of for a day."""
        await asyncio.sleep(self._config.orphan_s)
        for consultation in left:
            if consultation not in self._heard_s:
                await self._adopt(consultation, lambda c: c not in self._heard_s)
        while True:
            await asyncio.sleep(_ORPHANS_EVERY_S)
            try:
                working = await asyncio.to_thread(self._workspace.consultations)
            except OSError as error:
                log.error("the work directory cannot be read: %s", error.strerror)
                continue
            for consultation in working:
                if consultation not in self._archiving and self._is_quiet(consultation):
                    await self._adopt(consultation, self._is_quiet)

    def _is_quiet(self, consultation: str) -> bool:
        """Whether its recordings are over and it was not spoken of for a day."""
        over = all(job.state.final for job in self._jobs_of(consultation))
        heard_s = self._heard_s.get(consultation, self._began_s)
        return over and time.monotonic() - heard_s >= _QUIET_S

    async def _adopt(self, consultation: str, still: Callable[[str], bool]) -> None:
        """Archive a consultation with its last dossier, if it is `still` nobody's."""
        async with self._command:
            if not still(consultation):
                return
            log.warning("consultation %s was claimed by nobody: archived", consultation)
            try:
                await self._archive_all(consultation)
            except OSError as error:
                log.error("consultation %s: %s", consultation, error.strerror)

    # ---------------------------------------------------------- commands

    async def handle(self, command: Commands) -> Answers:
        """Carry out a command; what it asks for is on the disk when it is answered."""
        try:
            async with self._command:
                match command:
                    case StartRecording():
                        await self._start_recording(command)
                    case StopRecording():
                        await self._stop_recording(command.recording)
                    case PutDossier():
                        await self._put_dossier(command.dossier)
                    case ArchiveConsultation():
                        await self._archive_consultation(command.dossier)
        except CommandError as error:
            return Failed(id=command.id, code="bad_message", detail=str(error))
        except DiskFullError as error:
            return Failed(id=command.id, code="disk_full", detail=str(error))
        except OSError as error:
            log.error("a command failed: %s", error.strerror)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            detail = error.strerror or "the disk fails"
            return Failed(id=command.id, code="disk_full" if full else "internal", detail=detail)
        return Done(id=command.id)

    async def _start_recording(self, command: StartRecording) -> None:
        name, dossier = check_name(command.recording), command.dossier
        if urlsplit(command.tap_url).scheme not in ("ws", "wss"):
            raise CommandError("a tap's address begins with ws:// or wss://")
        job = self._jobs.get(name)
        if job is not None:
            if job.row.consultation != dossier.consultation:
                raise CommandError("the recording is of another consultation")
            await self._put_newer(dossier)
            await job.retarget(command.tap_url)
            self._tell(job)
            return
        if await asyncio.to_thread(self._archived, dossier.consultation, name):
            self._emit(RecordingState(recording=name, state="stopped", detail="archived"))
            return
        row = RecordingFile(
            recording=name, consultation=dossier.consultation, tap_url=command.tap_url
        )
        rows = await asyncio.to_thread(self._workspace.recordings, check_name(row.consultation))
        known = next((one for one in rows if one.recording == name), None)
        if known is None:
            await asyncio.to_thread(self._check_room)
        if not await self._put_newer(dossier) and not await self._is_working(row.consultation):
            raise CommandError("the consultation was archived with a newer dossier")
        if known is not None and known.final:
            state: State = State.STOPPED if known.stage == "stopped" else State.FAILED
            self._tell_state(name, state, known.detail)
            return
        await asyncio.to_thread(self._workspace.put_recording, row)
        await self._take_up(row, draining=False)

    async def _stop_recording(self, name: str) -> None:
        job = self._jobs.get(name)
        if job is not None:
            self._heard_s[job.row.consultation] = time.monotonic()
            await job.stop()

    async def _put_dossier(self, dossier: Dossier) -> None:
        """Store it, unless the consultation is archived with all that it says."""
        consultation = check_name(dossier.consultation)
        if not await self._is_working(consultation):
            archived = await asyncio.to_thread(self._archive.version, consultation)
            if archived is not None and dossier.version <= archived:
                return
        await self._put_newer(dossier)

    async def _put_newer(self, dossier: Dossier) -> bool:
        """Store it, unless a newer one is known; False when one is."""
        consultation = check_name(dossier.consultation)
        if await self._is_working(consultation):
            self._heard_s[consultation] = time.monotonic()
        stored = await asyncio.to_thread(self._workspace.dossier, consultation)
        archived = await asyncio.to_thread(self._archive.version, consultation)
        if dossier.version < max(stored.version if stored is not None else 0, archived or 0):
            log.info("consultation %s: an older dossier is ignored", consultation)
            return False
        await asyncio.to_thread(self._workspace.put_dossier, dossier)
        self._heard_s[consultation] = time.monotonic()
        return True

    async def _is_working(self, consultation: str) -> bool:
        return consultation in await asyncio.to_thread(self._workspace.consultations)

    async def _archive_consultation(self, dossier: Dossier) -> None:
        consultation = check_name(dossier.consultation)
        if not await self._is_working(consultation) and await asyncio.to_thread(
            self._archive.holds, dossier
        ):
            self._emit(Archived(consultation=consultation, directory=consultation))
            return
        await self._put_newer(dossier)
        await self._archive_all(consultation)

    async def _archive_all(self, consultation: str) -> None:
        """Accept the archive on disk, end the recordings, and begin."""
        await asyncio.to_thread(self._workspace.accept_archive, consultation)
        for job in self._jobs_of(consultation):
            await job.stop()
        self._begin_archive(consultation)

    def _archived(self, consultation: str, recording: str) -> bool:
        manifest = self._archive.manifest(check_name(consultation))
        return manifest is not None and any(row.id == recording for row in manifest.recordings)

    def _check_room(self) -> None:
        for directory in (self._config.work_dir, self._config.archive_dir):
            if free_bytes(directory) < self._config.min_free_bytes:
                raise DiskFullError("the disk is at its reserve")

    # -------------------------------------------------------- recordings

    async def _take_up(self, row: RecordingFile, *, draining: bool) -> None:
        assert self._session is not None
        job = RecordingJob(
            row, self._workspace, self._session, self._config, self._metrics, self._tell
        )
        self._jobs[row.recording] = job
        if draining:
            await job.stop()
        job.start()

    def _tell(self, job: RecordingJob) -> None:
        self._tell_state(job.row.recording, job.state, job.row.detail)

    def _tell_state(self, recording: str, state: State, detail: str) -> None:
        match state:
            case State.RECORDING | State.DRAINING:
                self._emit(RecordingState(recording=recording, state="recording"))
            case State.STOPPED:
                self._emit(RecordingState(recording=recording, state="stopped", detail=detail))
            case State.FAILED:
                self._emit(RecordingState(recording=recording, state="failed", detail=detail))
            case State.STARTING:
                pass

    # ---------------------------------------------------------- archives

    def _begin_archive(self, consultation: str) -> None:
        if consultation not in self._archiving:
            task = asyncio.create_task(self._make_archive(consultation), name="archive")
            self._archiving[consultation] = task

    async def _make_archive(self, consultation: str) -> None:
        """Archive until it is done, with the newest dossier, then forget the sources."""
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                if await self._archive_once(consultation):
                    return
                retry_s = _FIRST_RETRY_S
                continue
            except OSError as error:
                log.error("archive of consultation %s: %s", consultation, error.strerror)
            except Exception:
                log.exception("archive of consultation %s failed", consultation)
            self._metrics.archive_failures.inc()
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _archive_once(self, consultation: str) -> bool:
        """One attempt; False when a newer dossier or recording came meanwhile."""
        for job in self._jobs_of(consultation):
            await job.finished()
        dossier = await asyncio.to_thread(self._workspace.dossier, consultation)
        problems: list[str] = []
        if dossier is not None:
            async with self._archive_slots:
                archive = ArchiveJob(self._archive, dossier)
                await archive.run()
            problems = archive.problems
        else:
            problems = ["dossier"]
            self._metrics.archive_problems.labels("dossier").inc()
        async with self._command:
            newest = await asyncio.to_thread(self._workspace.dossier, consultation)
            if newest != dossier or any(not j.state.final for j in self._jobs_of(consultation)):
                return False
            await self._forget(consultation, keep=bool(problems))
        if dossier is not None:
            if dossier.ended_at is not None:
                self._metrics.archive_lag.observe(max(time.time() - dossier.ended_at, 0.0))
            log.info("consultation %s is archived", consultation)
            self._emit(Archived(consultation=consultation, directory=consultation))
        return True

    async def _forget(self, consultation: str, *, keep: bool) -> None:
        if keep:
            log.error("consultation %s could not be archived whole: sources kept", consultation)
            await asyncio.to_thread(self._workspace.keep, consultation)
        else:
            await asyncio.to_thread(self._workspace.remove, consultation)
        for job in self._jobs_of(consultation):
            del self._jobs[job.row.recording]
        self._archiving.pop(consultation, None)
        self._heard_s.pop(consultation, None)

    def _jobs_of(self, consultation: str) -> list[RecordingJob]:
        return [job for job in self._jobs.values() if job.row.consultation == consultation]

    # ----------------------------------------------------------- metrics

    def recordings_by_state(self) -> dict[str, int]:
        """How many recordings are in each state, of those not yet archived."""
        counts = Counter(job.state.value for job in self._jobs.values())
        return {state.value: counts[state.value] for state in State}

    def backlog_records(self) -> int:
        """Tap records received and not yet on the disk."""
        return sum(job.backlog_records for job in self._jobs.values())

    def archives_pending(self) -> int:
        """Consultations that wait for their archive."""
        return len(self._archiving)

    def kept_consultations(self) -> int:
        """Consultations put aside because something in them could not be archived."""
        return self._workspace.kept()

    def oldest_archive_age_s(self) -> float:
        """For how long the first of them has waited; 0 when none waits."""
        ages = [0.0]
        for consultation in self._archiving:
            with contextlib.suppress(OSError):
                ages.append(time.time() - self._workspace.archive_accepted_at(consultation))
        return max(ages)

    def free_bytes(self) -> dict[str, int]:
        """Free bytes on the disks of the journals and of the archive."""
        found = {}
        for name, path in (
            ("work", self._config.work_dir),
            ("archive", self._config.archive_dir),
        ):
            found[name] = 0
            with contextlib.suppress(OSError):
                found[name] = free_bytes(path)
        return found
