"""Carries out what a change of a room asks of SFU and recorder.

Steps of one room are carried out one after the other. A step that fails is counted and left: when
the SFU or the recorder is there again, it is told everything that should be so (`reconcile`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable
from weakref import WeakValueDictionary

from signaling.errors import RequestError, ServerError, SignalingError
from signaling.live.live_room import LiveRoom
from signaling.live.rooms import Rooms
from signaling.media import Media, MediaUnavailable, RoomForgotten
from signaling.metrics import Metrics
from signaling.protocol import messages as wire
from signaling.recording import RecorderFull, Recordings
from signaling.rooms import commands, consent, effects
from signaling.rooms.room import Room
from signaling.store.port import Change

log = logging.getLogger(__name__)

#: A child SFU is back in a second or two; one that is away for longer gives its rooms to another.
_ANOTHER_HOST_AFTER_S = 5.0
_ON_MEDIA = (
    effects.SetPermit,
    effects.RemovePeer,
    effects.TellMedia,
    effects.CloseMedia,
    effects.SetTap,
)


def new_id() -> str:
    """An id that nobody has had and nobody can guess."""
    return secrets.token_hex(12)


class Performer:
    """See the module. One for each process."""

    def __init__(
        self, rooms: Rooms, media: Media, recordings: Recordings, metrics: Metrics
    ) -> None:
        self._rooms = rooms
        self._media = media
        self._recordings = recordings
        self._metrics = metrics
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._host_lost_at: dict[str, float] = {}

    async def perform(self, change: Change) -> tuple[ServerError, ...]:
        """Carry out the effects of a change; returns what failed, which has been counted."""
        steps = effects.effects(change.before, change.after)
        if not steps:
            return ()
        async with self._lock(change.after.id):
            return await self._carry_out(change.after, steps)

    async def start_recording(self, room_id: str, command: commands.StartRecording) -> None:
        """Start a recording. When it cannot really begin it is stopped as failed, and raises."""
        failures = await self.perform(await self._rooms.change(room_id, command))
        if failures:
            await self.fail_recording(room_id, command.recording)
            raise failures[0]

    async def fail_recording(self, room_id: str, recording: str) -> bool:
        """A recording cannot go on. False when it was not running any more."""

        def runs(room: Room) -> bool:
            running = consent.running(room)
            return running is not None and running.id == recording

        change = await self._rooms.change(
            room_id, commands.StopRecording(reason="failed"), only_if=runs
        )
        await self.perform(change)
        return change.after is not change.before

    async def host(self, room: Room) -> str:
        """The control URL of the room's SFU; chooses one when there is none. Raises
        `MediaUnavailable`."""
        current = room.media
        if current is not None:
            if self._media.connected(current.url):
                self._host_lost_at.pop(current.url, None)
                return current.url
            lost_at = self._host_lost_at.setdefault(current.url, time.monotonic())
            if time.monotonic() - lost_at < _ANOTHER_HOST_AFTER_S:
                raise MediaUnavailable("the room's SFU is away")
        serving = self._media.serving()
        if not serving:
            raise MediaUnavailable("no SFU is there")
        epoch = current.epoch + 1 if current is not None else 1
        try:
            change = await self._rooms.change(
                room.id, commands.HostMedia(url=serving[0], epoch=epoch)
            )
        except RequestError:  # another process was quicker
            newest = await self._rooms.read(room.id)
            if newest.media is None or newest.media == current:
                raise
            return newest.media.url
        log.info("room %s is hosted, epoch %d", room.id, epoch)
        await self._tell_everything(change.after, serving[0])
        return serving[0]

    async def open(self, live: LiveRoom) -> None:
        """Have the events of the room's SFU come here; later when it is away now."""
        host = live.room.media
        if host is not None and self._media.connected(host.url):
            try:
                await self._media.open(host.url, live.room.id)
            except MediaUnavailable as error:
                self._count("open", error)

    async def reconcile(self, room_id: str) -> frozenset[str]:
        """Tell the room's SFU all that should be so. Returns whose media must be set up anew:
        the people in the call who have no transport there."""
        room = await self._rooms.read(room_id)
        inside = {person.id for person in room.participants if person.state == "admitted"}
        if room.media is None:
            if inside and self._media.serving():
                async with self._lock(room_id):
                    await self.host(room)
            return frozenset()
        known = await self._media.peers_with_transport(room.media.url, room_id)
        if known is None and await self.renew_recording(room):
            room = await self._rooms.read(room_id)
        async with self._lock(room_id):
            await self._tell_everything(room, room.media.url if room.media else "")
        return frozenset(inside - (known or frozenset()))

    async def resume_recording(self, live: LiveRoom) -> None:
        """The recorder is there anew: it continues what runs, or the recording has failed."""
        room = await self._rooms.read(live.room.id)
        tap = effects.tap(room)
        if tap is None:
            return
        async with self._lock(room.id):
            failures = await self._carry_out(room, (tap, effects.PutDossier()))
        if any(isinstance(failure, RecorderFull) for failure in failures):
            await self.fail_recording(room.id, tap.recording)

    async def renew_recording(self, room: Room) -> bool:
        """The SFU lost the tap: what was recorded is closed, and a new recording goes on."""
        running = consent.running(room)
        if running is None or not await self.fail_recording(room.id, running.id):
            return False
        try:
            await self.start_recording(room.id, commands.StartRecording(recording=new_id()))
        except SignalingError as error:
            log.error("recording of room %s does not go on: %s", room.id, error.code.value)
        return True

    async def negotiate(self, room: Room, participant: str, offer: wire.Offer) -> wire.Answer:
        """Take an offer to the room's SFU. Raises `OfferRefused`, `MediaUnavailable`."""
        async with self._lock(room.id):
            url = await self.host(room)
        try:
            answer = await self._media.negotiate(url, room.id, participant, offer)
        except RoomForgotten:
            # The SFU was not told yet, or started anew meanwhile.
            await self.reconcile(room.id)
            answer = await self._media.negotiate(url, room.id, participant, offer)
        return wire.Answer(ref=offer.ref, sdp=answer.sdp, seats=answer.seats)

    async def show(self, room: Room, participant: str, view: wire.View) -> None:
        """Tell the room's SFU how a person's seats are drawn. Raises `MediaUnavailable`."""
        if room.media is None:
            raise MediaUnavailable("the room has no SFU")
        await self._media.view(room.media.url, room.id, participant, view)

    def _lock(self, room_id: str) -> asyncio.Lock:
        lock = self._locks.get(room_id)
        if lock is None:
            lock = self._locks[room_id] = asyncio.Lock()
        return lock

    async def _tell_everything(self, room: Room, url: str) -> tuple[ServerError, ...]:
        return await self._carry_out(room, effects.desired(room), url)

    async def _carry_out(
        self, room: Room, steps: Iterable[effects.Effect], url: str | None = None
    ) -> tuple[ServerError, ...]:
        failures: list[ServerError] = []
        waiting = tuple(steps)
        if url is None:
            url = await self._host_for(room, waiting, failures)
        for step in waiting:
            try:
                await self._one(room, url, step)
            except ServerError as error:
                failures.append(error)
                self._count(type(step).__name__, error)
        return tuple(failures)

    async def _host_for(
        self, room: Room, steps: tuple[effects.Effect, ...], failures: list[ServerError]
    ) -> str:
        """Where the steps go: a host is chosen only when somebody is let in."""
        if not any(isinstance(step, effects.SetPermit) and step.receive for step in steps):
            return room.media.url if room.media is not None else ""
        try:
            return await self.host(room)
        except SignalingError as error:
            if isinstance(error, ServerError):
                failures.append(error)
            self._count("host", error)
            return ""

    async def _one(self, room: Room, url: str, step: effects.Effect) -> None:
        if isinstance(step, effects.StopTap):
            await self._stop_tap(room, url, step)
        elif isinstance(step, _ON_MEDIA) and url:
            await self._media.carry_out(url, room.id, step)
        match step:
            case effects.SetTap():
                if not url:
                    raise MediaUnavailable("the room has no SFU")
                if not self._recordings.begun(step.recording):
                    tap_url = self._media.tap_url(url, step.recording)
                    await self._recordings.begin(room, step.recording, tap_url)
            case effects.PutDossier():
                self._recordings.put_dossier(room)
            case effects.Archive():
                await self._recordings.archive(room)
            case effects.CloseMedia():
                self._media.forget(room.id)
            case _:
                pass

    async def _stop_tap(self, room: Room, url: str, step: effects.StopTap) -> None:
        # The SFU first: from its answer on no packet is in the recording.
        try:
            if url:
                await self._media.carry_out(url, room.id, step)
        finally:
            await self._recordings.end(step.recording)

    def _count(self, effect: str, error: Exception) -> None:
        self._metrics.effect_failures.labels(effect).inc()
        log.warning("%s failed: %s", effect, error)
