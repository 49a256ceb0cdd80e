"""A recording's life: the table of its states, and the task that lives it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from enum import Enum

import aiohttp
import msgspec

from recorder.config import Config
from recorder.errors import DiskFullError, JournalError, StateError, TapLostError
from recorder.journal import Header, Journal
from recorder.metrics import Metrics
from recorder.source import Outcome, TapReader
from recorder.workspace import RecordingFile, Stage, Workspace

log = logging.getLogger(__name__)


class State(Enum):
    """Where a recording is in its life."""

    STARTING = "starting"
    RECORDING = "recording"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether the journal is written no more."""
        return self in (State.STOPPED, State.FAILED)


class Event(Enum):
    """What happens to a recording."""

    ARRIVED = "arrived"
    STOP = "stop"
    ENDED = "ended"
    GAVE_UP = "gave_up"
    FAILED = "failed"


#: STOP comes whenever signalling repeats it; ARRIVED with every batch.
TABLE: dict[State, dict[Event, State]] = {
    State.STARTING: {
        Event.ARRIVED: State.RECORDING,
        Event.STOP: State.DRAINING,
        Event.ENDED: State.STOPPED,
        Event.FAILED: State.FAILED,
    },
    State.RECORDING: {
        Event.ARRIVED: State.RECORDING,
        Event.STOP: State.DRAINING,
        Event.ENDED: State.STOPPED,
        Event.FAILED: State.FAILED,
    },
    State.DRAINING: {
        Event.ARRIVED: State.DRAINING,
        Event.STOP: State.DRAINING,
        Event.ENDED: State.STOPPED,
        Event.GAVE_UP: State.STOPPED,
        Event.FAILED: State.FAILED,
    },
    State.STOPPED: {Event.STOP: State.STOPPED},
    State.FAILED: {Event.STOP: State.FAILED},
}


def after(state: State, event: Event) -> State:
    """The state that `event` leads to. Raises `StateError` when the table has none."""
    try:
        return TABLE[state][event]
    except KeyError as error:
        raise StateError(f"a recording that is {state.value} cannot take {event.value}") from error


class RecordingJob:
    """Keeps one recording: call `start`, then `stop` when its tap was told to end.

    `on_state` is called after each change of state, when it is on the disk. `close` leaves the
    recording as it is, for the next process to go on with. Owns the journal and the tap reader.
    """

    def __init__(
        self,
        row: RecordingFile,
        workspace: Workspace,
        session: aiohttp.ClientSession,
        config: Config,
        metrics: Metrics,
        on_state: Callable[[RecordingJob], None],
    ) -> None:
        self.row = row
        self.state = State.DRAINING if row.stage == "draining" else State.STARTING
        self._workspace = workspace
        self._session = session
        self._config = config
        self._metrics = metrics
        self._on_state = on_state
        self._reader: TapReader | None = None
        self._task: asyncio.Task[None] | None = None
        self._finished = asyncio.Event()
        self._storing = asyncio.Lock()

    @property
    def backlog_records(self) -> int:
        """Records that have come and are not on the disk."""
        return self._reader.backlog_records if self._reader is not None else 0

    def start(self) -> None:
        """Begin to read the tap from where the journal ends."""
        self._task = asyncio.create_task(self._run(), name="recording")

    async def retarget(self, tap_url: str) -> None:
        """The tap is found at this address from the next connection on."""
        if self.state.final or self.row.tap_url == tap_url:
            return
        self.row = msgspec.structs.replace(self.row, tap_url=tap_url)
        if self._reader is not None:
            self._reader.url = tap_url
        await self._store(self.row.stage, self.row.detail)

    async def stop(self) -> None:
        """No more will come: fetch the rest. Returns when that is on the disk."""
        if self.state is State.DRAINING or self.state.final:
            return
        self.state = after(self.state, Event.STOP)
        stopped_ns = time.time_ns()
        self.row = msgspec.structs.replace(self.row, stopped_ns=stopped_ns)
        if self._reader is not None:
            self._reader.stop(stopped_ns)
        await self._store("draining", "")

    async def finished(self) -> None:
        """Wait until the recording is stopped or failed."""
        await self._finished.wait()

    async def close(self) -> None:
        """End the task; the journal is whole and the recording goes on in the next process."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        try:
            event = await self._record()
            detail = ""
        except DiskFullError as error:
            event, detail = Event.FAILED, "disk_full"
            log.error("recording %s failed: %s", self.row.recording, error)
        except JournalError as error:
            event, detail = Event.FAILED, "journal"
            log.error("recording %s failed: %s", self.row.recording, error)
        except TapLostError as error:
            event, detail = Event.FAILED, "tap"
            log.error("recording %s failed: %s", self.row.recording, error)
        except Exception:
            event, detail = Event.FAILED, "internal"
            log.exception("recording %s failed", self.row.recording)
        if event is Event.FAILED:
            self._metrics.failures.labels(detail).inc()
        self.state = after(self.state, event)
        await self._store("failed" if self.state is State.FAILED else "stopped", detail)
        log.info("recording %s is %s", self.row.recording, self.state.value)
        self._on_state(self)
        self._finished.set()

    async def _record(self) -> Event:
        row = self.row
        header = Header(recording=row.recording, consultation=row.consultation)
        path = self._workspace.journal(row)
        opening = asyncio.ensure_future(
            asyncio.to_thread(Journal.open, path, header, self._config.min_free_bytes)
        )
        try:
            journal = await asyncio.shield(opening)
        except asyncio.CancelledError:
            (await opening).close()
            raise
        try:
            return await self._read(journal)
        finally:
            journal.close()

    async def _read(self, journal: Journal) -> Event:
        if journal.ended:
            return Event.ENDED
        if journal.last_sequence:
            self._arrived()
        reader = TapReader(
            self._session,
            self.row.tap_url,
            self._config.sfu_secret,
            journal,
            self._metrics,
            self._arrived,
        )
        self._reader = reader
        if self.state is State.DRAINING:
            stopped_ns = self.row.stopped_ns
            reader.stop(time.time_ns() if stopped_ns is None else stopped_ns)
        outcome = await reader.run()
        if outcome is Outcome.GAVE_UP:
            self._metrics.cuts.inc()
            log.warning("recording %s: its tap is gone before its end", self.row.recording)
            return Event.GAVE_UP
        return Event.ENDED

    def _arrived(self) -> None:
        before, self.state = self.state, after(self.state, Event.ARRIVED)
        if self.state is not before:
            self._on_state(self)

    async def _store(self, stage: Stage, detail: str) -> None:
        self.row = msgspec.structs.replace(self.row, stage=stage, detail=detail)
        async with self._storing:
            try:
                await asyncio.to_thread(self._workspace.put_recording, self.row)
            except OSError as error:
                # The next process takes the recording up again: harmless, its tap is at its end.
                log.error("recording %s: state not stored: %s", self.row.recording, error.strerror)
