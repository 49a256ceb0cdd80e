"""The recorder that this process speaks to: recordings begin, dossiers follow, archives arrive.

`Recordings` holds no room state. Its owner tells it each running recording again when
`on_connected` says that the recorder is there anew; dossiers and archives it repeats by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

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
from signaling.errors import ServerError
from signaling.protocol.codes import ErrorCode
from signaling.rooms.room import Room

log = logging.getLogger(__name__)

#: Changes within this time travel as one dossier; the recorder is never further behind than 1 s.
_DOSSIER_DELAY_S = 0.5
_LAST_DOSSIERS_WITHIN_S = 1.0
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 30.0


class RecorderDown(ServerError):
    """The recorder cannot be reached, or did not answer, or failed."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.RECORDER_UNAVAILABLE, detail)


class RecorderFull(ServerError):
    """The recorder has no room left on its disk: nothing was started."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.RECORDER_FULL, detail)


class Recordings:
    """Speaks to one recorder at a time. Call `start`, `use`, then the rest, then `close`.

    `on_failed(consultation, recording)` tells of a recording that the recorder gave up.
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
        self._consultations: dict[str, str] = {}  # recording → consultation
        self._begun: set[str] = set()  # recordings that this connection was told of
        self._dossiers: dict[str, Room] = {}
        self._unspooled: dict[str, record.Dossier] = {}
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

    async def begin(self, room: Room, recording: str, tap_url: str) -> None:
        """Have the recorder read the tap. Raises `RecorderDown`, `RecorderFull`."""
        self._consultations[recording] = room.id
        command = StartRecording(recording=recording, tap_url=tap_url, dossier=dossier(room))
        await self._ask(command)
        self._begun.add(recording)

    async def end(self, recording: str) -> None:
        """Tell that the tap has been ended. Raises `RecorderDown`."""
        self._begun.discard(recording)
        self._consultations.pop(recording, None)
        await self._ask(StopRecording(recording=recording))

    def put_dossier(self, room: Room) -> None:
        """Have the newest dossier reach the recorder soon."""
        waiting = self._dossiers.get(room.id)
        if waiting is None or waiting.version < room.version:
            self._dossiers[room.id] = room
        self._dossiers_wait.set()

    async def archive(self, room: Room) -> None:
        """Have the ended consultation archived, however long the recorder is away."""
        self._dossiers.pop(room.id, None)
        last = dossier(room)
        try:
            await asyncio.to_thread(self._spool.put, last)
        except OSError:
            log.exception("consultation %s is not on disk; it is kept in memory", room.id)
            self._unspooled[room.id] = last
        self._archives_wait.set()

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
        """Offer each kept dossier once; returns how many are left."""
        try:
            pending = await asyncio.to_thread(self._spool.pending)
        except OSError:
            log.exception("the archive spool cannot be read")
            pending = ()
        waiting = tuple(dict.fromkeys((*self._unspooled, *pending)))
        for done, consultation in enumerate(waiting):
            try:
                await self._deliver_archive(consultation)
            except (RecorderDown, RecorderFull, OSError) as error:
                log.warning("archives wait for the recorder: %s", error)
                return len(waiting) - done
        return 0

    async def _deliver_archive(self, consultation: str) -> None:
        last = self._unspooled.get(consultation)
        if last is None:
            last = await asyncio.to_thread(self._spool.read, consultation)
        if last is not None:
            await self._ask(ArchiveConsultation(dossier=last))
            self._unspooled.pop(consultation, None)
            await asyncio.to_thread(self._spool.remove, consultation)

    def _take(self, event: Events) -> None:
        match event:
            case RecordingState(state="failed"):
                consultation = self._consultations.get(event.recording)
                log.error("recording %s failed at the recorder", event.recording)
                if consultation is not None:
                    self._on_failed(consultation, event.recording)
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
