"""What the web side asks for: consultations made, read, changed, entered, and kept right.

Owns the rooms of this process, the SFUs and recorder it speaks to, and the work between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

import msgspec

from sfu.control.messages import Flows, TapEnded
from signaling.archive_spool import ArchiveSpool
from signaling.errors import RoomError, RoomUnknown, SignalingError, StoreUnavailable
from signaling.live.errands import Errands
from signaling.live.live_room import Listener, LiveRoom
from signaling.live.performer import Performer
from signaling.live.quality_watch import QualityWatch
from signaling.live.rooms import Rooms
from signaling.media import Media, MediaUnavailable, RoomEvent
from signaling.metrics import Metrics
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from signaling.recording import Recordings
from signaling.rooms import commands, consent, effects
from signaling.rooms.commands import Command
from signaling.rooms.effects import may_negotiate
from signaling.rooms.room import MediaHost, Room
from signaling.store.port import Change, Store

log = logging.getLogger(__name__)

#: Who says no is out of the recording within 2 s, however long the store takes.
_A_NO_WAITS_S = 0.5
#: After these nobody here may hear of the person any more.
_ENDINGS = commands.End | commands.Expire | commands.Leave | commands.Disconnect


class Consultations:
    """One for each process: `start` it, use it, `close` it.

    Everything that changes a room raises `RoomUnknown`, `StoreUnavailable` and what the room says
    (`RoomError`, `TokenError`); what SFU or recorder fail to do is made good later, except where
    said.
    """

    def __init__(
        self,
        *,
        node: str,
        store: Store,
        metrics: Metrics,
        control_secret: str,
        spool: ArchiveSpool,
    ) -> None:
        self.node = node
        self._store = store
        self._metrics = metrics
        self._errands = Errands()
        self.rooms = Rooms(store, metrics, self._hosted)
        self.media = Media(control_secret, self._heard, self._sfu_connected, self._sfu_is_new)
        self.recordings = Recordings(
            control_secret,
            spool,
            on_connected=self._recorder_connected,
            on_failed=self._recording_failed,
            on_pending=metrics.archives_pending.set,
        )
        self._performer = Performer(self.rooms, self.media, self.recordings, metrics)
        self._quality = QualityWatch(
            node,
            self.rooms,
            metrics,
            self._errands,
            lambda room_id, noted: self.change(room_id, *noted),
        )
        metrics.follow_rooms(lambda: (live.room for live in self.rooms.live()))
        metrics.follow_sfus(lambda: (len(self.media.serving()), self.media.busy()))

    def start(self) -> None:
        """Begin the work in the background."""
        self.recordings.start()
        self._errands.run(self._quality.run(), "quality")

    async def close(self) -> None:
        """Stop everything of ours; SFUs, recorder and store go on."""
        await self.rooms.close()
        await self._errands.close()
        await self.media.close()
        await self.recordings.close()

    async def store_answers(self) -> bool:
        """Whether rooms can be read and written now."""
        try:
            await self._store.nodes()
        except StoreUnavailable:
            return False
        return True

    async def create(self, room: Room) -> None:
        """Keep a new consultation."""
        await self.rooms.create(room)

    async def read(self, room_id: str) -> Room:
        """A consultation as it is now."""
        live = self.rooms.get(room_id)
        return live.room if live is not None else await self.rooms.read(room_id)

    async def change(self, room_id: str, *commands_: Command) -> Change:
        """Change a consultation, and carry out what follows from it."""
        if any(isinstance(command, _ENDINGS) for command in commands_):
            commands_ = (*self._quality.last_words(room_id), *commands_)
        if any(_is_a_no(command) for command in commands_):
            change = await self._take_a_no(room_id, *commands_)
        else:
            change = await self.rooms.change(room_id, *commands_)
        self._observe(change)
        await self._performer.perform(change)
        return change

    async def _take_a_no(self, room_id: str, *commands_: Command) -> Change:
        """A no to being recorded counts at once where its person is, store or no store."""
        try:
            async with asyncio.timeout(_A_NO_WAITS_S):
                return await self.rooms.change(room_id, *commands_)
        except (StoreUnavailable, TimeoutError) as error:
            kept = self.rooms.keep(room_id, *commands_)
            if kept is None:
                raise StoreUnavailable("no to a recording") from error
        log.warning("room %s: a no to being recorded counts before the store has it", room_id)
        # One above what is known: an SFU that was told more than we were still obeys.
        after = msgspec.structs.replace(kept.after, version=kept.before.version + 1)
        return Change(kept.before, after, kept.events)

    async def start_recording(self, room_id: str, command: commands.StartRecording) -> None:
        """Start a recording. Raises `MediaUnavailable`, `RecorderDown`, `RecorderFull` too."""
        await self._performer.start_recording(room_id, command)

    async def attach(self, room_id: str, listener: Listener) -> None:
        """Tell a new WebSocket what its person may see, from now on. Raises `RoomUnknown`."""
        live = self.rooms.get(room_id) or self.rooms.enter(await self.rooms.read(room_id))
        live.attach(listener)
        self._background(self._performer.open(live), "open")

    async def detach(self, room_id: str, listener: Listener) -> None:
        """The WebSocket is gone; its session is away from now on."""
        live = self.rooms.get(room_id)
        if live is not None:
            live.detach(listener.connection)
        command = commands.Disconnect(
            participant=listener.participant, connection=listener.connection
        )
        try:
            await self.change(room_id, command)
        except StoreUnavailable:
            with contextlib.suppress(RoomError):
                self.rooms.keep(room_id, command)
        except SignalingError as error:
            log.debug("disconnect not taken: %s", error.code.value)

    async def catch_up(self) -> None:
        """Tell the store what it has still to be told, and SFU and recorder what they may not know.
        Raises `StoreUnavailable`; the rest is done the next time."""
        for room_id in self.rooms.unsaid():
            with contextlib.suppress(RoomUnknown):
                await self.change(room_id)
        for room_id, broken in tuple(self.rooms.doubtful.items()):
            del self.rooms.doubtful[room_id]
            try:
                await self.reconcile(room_id, broken)
            except RoomUnknown:
                pass
            except SignalingError as error:
                self.rooms.doubtful.setdefault(room_id, broken)
                if isinstance(error, StoreUnavailable):
                    raise
                log.warning("room %s is not reconciled: %s", room_id, error)
        await self._performer.give_back()

    async def settle(self, room: Room) -> None:
        """Do what follows from a consultation's end, if whoever ended it did not."""
        await self._performer.settle(room)

    async def negotiate(self, room_id: str, participant: str, offer: wire.Offer) -> wire.Answer:
        """Answer an offer of somebody in the call.

        Raises `RoomError` (not_admitted), `OfferRefused`, `MediaUnavailable`.
        """
        room = await self.read(room_id)
        if not may_negotiate(room, participant):
            raise RoomError(ErrorCode.NOT_ADMITTED)
        if offer.fresh:
            self._quality.begin_anew(room_id, participant)
        live = self.rooms.get(room_id)
        if live is not None:
            live.offered(participant)
        return await self._performer.negotiate(room, participant, offer)

    def report(self, room_id: str, participant: str, stats: wire.Stats) -> None:
        """What the client of somebody in the call says of its devices and its connection."""
        live = self.rooms.get(room_id)
        if live is not None:
            self._quality.report(live, participant, stats)

    async def show(self, room_id: str, participant: str, view: wire.View) -> None:
        """How somebody in the call draws their seats. Raises as `negotiate`."""
        room = await self.read(room_id)
        if not may_negotiate(room, participant):
            raise RoomError(ErrorCode.NOT_ADMITTED)
        await self._performer.show(room, participant, view)

    async def reconcile(self, room_id: str, broken: str = "") -> None:
        """Make SFU and recorder be as the room says, and have lost media set up anew."""
        anew = await self._performer.reconcile(room_id, broken)
        live = self.rooms.get(room_id)
        if live is not None:
            self._renegotiate(live, anew)

    def _observe(self, change: Change) -> None:
        before = {person.id: person for person in change.before.participants}
        for person in change.after.participants:
            earlier = before.get(person.id)
            if earlier is None or earlier.state != "waiting" or person.state != "admitted":
                continue
            if earlier.waiting_since is not None and person.presences:
                waited_s = person.presences[-1].start - earlier.waiting_since
                self._metrics.waiting_seconds.observe(max(0.0, waited_s))

    def _heard(self, url: str, event: RoomEvent) -> None:
        live = self.rooms.get(event.room)
        if live is None or live.room.media is None or live.room.media.url != url:
            return
        if isinstance(event, TapEnded):
            self._recording_failed(event.room, event.tap)
        elif isinstance(event, Flows):
            self._quality.hear(live, event)
        else:
            live.hear(event)

    def _sfu_is_new(self, url: str, room_id: str) -> None:
        live = self.rooms.get(room_id)
        running = consent.running(live.room) if live is not None else None
        if running is not None:
            self._recording_failed(room_id, running.id)

    def _sfu_connected(self, url: str) -> None:
        self._performer.found(url)
        for live in self.rooms.live():
            if live.room.media is None or live.room.media.url == url:
                self._background(self.reconcile(live.room.id), "reconcile")

    def _recorder_connected(self) -> None:
        for live in self.rooms.live():
            if live.room.recordings:
                self._background(self._performer.resume_recording(live), "resume recording")

    def _recording_failed(self, room_id: str, recording: str) -> None:
        async def renew() -> None:
            try:
                await self._performer.renew_recording(room_id, recording)
            except (StoreUnavailable, MediaUnavailable):
                self.rooms.doubtful[room_id] = recording
                raise

        self._background(renew(), "renew recording")

    def _hosted(self, live: LiveRoom, before: MediaHost | None) -> None:
        running = consent.running(live.room)
        if before is not None and running is not None:
            self._recording_failed(live.room.id, running.id)

        if before is not None:
            self.media.forget(live.room.id)  # also when it is the same SFU, which began anew

        async def open_there() -> None:
            await self._performer.open(live)
            if before is not None:
                self._renegotiate(live, effects.with_media(live.room))

        self._background(open_there(), "open")

    def _renegotiate(self, live: LiveRoom, participants: frozenset[str]) -> None:
        for participant in participants:
            self._quality.lost_media(live.room.id, participant)
        live.lost_media(participants)

    def _background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        async def quiet() -> None:
            try:
                await work
            except (RoomUnknown, StoreUnavailable) as error:
                log.warning("%s: %s", name, error)
            except SignalingError as error:
                self._metrics.effect_failures.labels(name.replace(" ", "_")).inc()
                log.warning("%s failed: %s", name, error)

        if self._errands.run(quiet(), name) is None:
            work.close()


def _is_a_no(command: Command) -> bool:
    return isinstance(command, commands.GiveConsent) and command.decision != "given"
