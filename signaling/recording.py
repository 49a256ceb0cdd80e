"""The recorder that this process speaks to: recordings begin, dossiers follow, archives arrive.

`Recordings` holds no room state. Its owner tells it each running recording again when
`on_connected` says that the recorder is there anew; dossiers and archives it repeats by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import NamedTuple

from recorder.control import (
    ArchiveConsultation,
    Archived,
    Events,
    PutDossier,
    RecorderClient,
    RecorderFailure,
    RecorderUnavailable,
    RecordingState,
    StartRecording,
    StopRecording,
)
from recorder.control import dossier as record
from signaling.archive_spool import ArchiveSpool
from signaling.dossier import dossier
from signaling.errors import InternalError, ServerError
from signaling.protocol.codes import ErrorCode
from signaling.rooms.room import Room

log = logging.getLogger(__name__)

#: Changes within this time travel as one dossier; the recorder is never further behind than 1 s.
_DOSSIER_DELAY_S = 0.5
_LAST_DOSSIERS_WITHIN_S = 1.0
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 30.0
#: Archived consultations whose late dossiers are still refused: changes under way last seconds.
_MAX_REMEMBERED = 10_000


class RecorderDown(ServerError):
    """The recorder cannot be reached, or did not answer, or failed."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.RECORDER_UNAVAILABLE, detail)


class RecorderFull(ServerError):
    """The recorder has no room left on its disk: nothing was started."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.RECORDER_FULL, detail)


class _Told(NamedTuple):
    """What a recorder was told to record: for which consultation, and which recorder."""

    consultation: str
    url: str


class Recordings:
    """Speaks to one recorder at a time. Call `start`, `use`, then the rest, then `close`.

    `on_failed(consultation, recording)` tells of a recording that the recorder gave up, or found to
    be over: one that still runs in the room has failed.
    `on_pending(n)` tells how many archives wait for a recorder.
    """

    def __init__(
        self,
        secret: str,
        spool: ArchiveSpool,
        *,
        on_connected: Callable[[], None],
        on_failed: Callable[[str, str], None],
        on_pending: Callable[[int], None],
    ) -> None:
        self._secret = secret
        self._spool = spool
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._on_pending = on_pending
        self._url = ""
        self._client: RecorderClient | None = None
        self._told: dict[str, _Told] = {}  # by recording
        self._begun: set[str] = set()  # recordings that this connection was told of
        self._dossiers: dict[str, Room] = {}
        self._unspooled: dict[str, record.Dossier] = {}
        self._archived: dict[str, None] = {}  # consultations, the oldest first
        self._dossiers_wait = asyncio.Event()
        self._archives_wait = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @property
    def connected(self) -> bool:
        """Whether the recorder can be spoken to now."""
        return self._client is not None and self._client.connected

    def start(self) -> None:
        """Begin to deliver dossiers and archives."""
        self._archives_wait.set()  # what an earlier process left
        self._tasks = (
            asyncio.create_task(self._send_dossiers(), name="dossiers"),
            asyncio.create_task(self._send_archives(), name="archives"),
        )

    async def use(self, url: str) -> None:
        """Speak to the recorder at `url` from now on; empty: to none."""
        if url == self._url:
            return
        client, self._client, self._url = self._client, None, url
        if client is not None:
            await client.close()
        if url:
            self._client = RecorderClient(url, self._secret, self._take, self._state)
            await self._client.start()

    async def close(self) -> None:
        """Disconnect; what waits on disk is delivered by the next process."""
        if self.connected and self._dossiers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_DOSSIERS_WITHIN_S):
                    await self._send_dossiers_once()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = ()
        await self.use("")

    def begun(self, recording: str) -> bool:
        """Whether the recorder was told of this recording on this connection."""
        return recording in self._begun

    def elsewhere(self, recording: str) -> bool:
        """Whether we had another recorder begin it: its journal is on that machine."""
        told = self._told.get(recording)
        return told is not None and told.url != self._url

    async def begin(self, room: Room, recording: str, tap_url: str) -> None:
        """Have the recorder read the tap. Raises `RecorderDown`, `RecorderFull`."""
        self._told[recording] = _Told(room.id, self._url)
        command = StartRecording(recording=recording, tap_url=tap_url, dossier=dossier(room))
        await self._ask(command)
        if recording in self._told:  # not ended meanwhile
            self._begun.add(recording)

    async def end(self, recording: str) -> None:
        """Tell that the tap has been ended. Raises `RecorderDown`."""
        self._begun.discard(recording)
        self._told.pop(recording, None)
        await self._ask(StopRecording(recording=recording))

    def put_dossier(self, room: Room) -> None:
        """Have the newest dossier reach the recorder soon; not after the last of all."""
        waiting = self._dossiers.get(room.id)
        if waiting is None or waiting.version < room.version:
            self._dossiers[room.id] = room
        self._dossiers_wait.set()

    async def archive(self, room: Room) -> None:
        """Have the ended consultation archived, however long the recorder is away.

        Once it is on disk, asking again changes nothing. Raises `InternalError` when it is not; it
        is kept in memory then.
        """
        if room.id in self._archived and room.id not in self._unspooled:
            return
        self._remember_archived(room.id)
        last = self._unspooled[room.id] = dossier(room)
        try:
            await asyncio.to_thread(self._spool.put, last)
        except OSError as error:
            log.exception("consultation %s is not on disk; it is kept in memory", room.id)
            raise InternalError("an archive is not on disk") from error
        else:
            self._unspooled.pop(room.id, None)
        finally:
            self._archives_wait.set()

    def _remember_archived(self, consultation: str) -> None:
        self._archived[consultation] = None
        if len(self._archived) > _MAX_REMEMBERED:
            del self._archived[next(iter(self._archived))]

    async def _ask(
        self, command: StartRecording | StopRecording | PutDossier | ArchiveConsultation
    ) -> None:
        if self._client is None:
            raise RecorderDown("no recorder is known")
        try:
            await self._client.request(command)
        except RecorderUnavailable as error:
            raise RecorderDown(str(error)) from error
        except RecorderFailure as error:
            if error.code == "disk_full":
                raise RecorderFull(error.detail) from error
            raise RecorderDown(f"the recorder refused: {error.code}") from error

    async def _send_dossiers(self) -> None:
        while True:
            await self._dossiers_wait.wait()
            await asyncio.sleep(_DOSSIER_DELAY_S)
            self._dossiers_wait.clear()
            await self._send_dossiers_once()

    async def _send_dossiers_once(self) -> None:
        waiting, self._dossiers = self._dossiers, {}
        for number, room in enumerate(waiting.values()):
            if room.id in self._archived:
                continue
            try:
                await self._ask(PutDossier(dossier=dossier(room)))
            except (RecorderDown, RecorderFull):
                # Sent again after the next connect, unless a newer one has come meanwhile.
                for kept in tuple(waiting.values())[number:]:
                    self._dossiers.setdefault(kept.id, kept)
                return

    async def _send_archives(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(retry_s):
                    await self._archives_wait.wait()
            self._archives_wait.clear()
            left = await self._deliver_archives()
            self._on_pending(left)
            retry_s = min(retry_s * 2, _LAST_RETRY_S) if left else _LAST_RETRY_S

    async def _deliver_archives(self) -> int:
        """Offer each kept dossier once; returns how many are left. One that is refused or cannot
        be read is left, and stands in nobody's way."""
        try:
            pending = await asyncio.to_thread(self._spool.pending)
        except OSError:
            log.exception("the archive spool cannot be read")
            pending = ()
        waiting = tuple(dict.fromkeys((*self._unspooled, *pending)))
        delivered = 0
        for consultation in waiting:
            if not self.connected:
                log.warning("%d archives wait for the recorder", len(waiting) - delivered)
                break
            try:
                delivered += await self._deliver_archive(consultation)
            except (RecorderDown, RecorderFull, OSError) as error:
                log.warning("archive of consultation %s waits: %s", consultation, error)
        return len(waiting) - delivered

    async def _deliver_archive(self, consultation: str) -> bool:
        last = self._unspooled.get(consultation)
        if last is None:
            last = await asyncio.to_thread(self._spool.read, consultation)
        if last is None:
            return False
        await self._ask(ArchiveConsultation(dossier=last))
        self._unspooled.pop(consultation, None)
        await asyncio.to_thread(self._spool.remove, consultation)
        return True

    def _take(self, event: Events) -> None:
        match event:
            case RecordingState(state="failed" | "stopped"):
                told = self._told.get(event.recording)
                if event.state == "failed":
                    log.error("recording %s failed at the recorder", event.recording)
                if told is not None:
                    self._on_failed(told.consultation, event.recording)
            case Archived():
                log.info("consultation %s is archived", event.consultation)
            case _:
                pass

    def _state(self, connected: bool) -> None:
        self._begun.clear()
        log.info("recorder %s", "connected" if connected else "lost")
        if connected:
            self._archives_wait.set()
            if self._dossiers:
                self._dossiers_wait.set()
            self._on_connected()
