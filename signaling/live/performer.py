"""Carries out what a change of a room asks of SFU and recorder.

A step that fails is counted and left: when the SFU or the recorder is there again, it is told
everything that should be so (`reconcile`). What a person's consent or the record hangs on waits for
nobody: first the archive and the taps, which are versioned or final, at once; then what peers may
do, one change of a room after the other; the recorder, which may take its time, last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Coroutine
from typing import Any
from weakref import WeakValueDictionary

from signaling.errors import (
    RequestError,
    RoomUnknown,
    ServerError,
    SignalingError,
    StoreUnavailable,
)
from signaling.live.live_room import LiveRoom
from signaling.live.rooms import Rooms
from signaling.media import Media, MediaBusy, MediaUnavailable, RoomForgotten
from signaling.metrics import Metrics
from signaling.protocol import messages as wire
from signaling.recording import RecorderFull, Recordings
from signaling.rooms import commands, consent, effects
from signaling.rooms.room import MediaHost, Room
from signaling.store.port import Change

log = logging.getLogger(__name__)

#: A child SFU is back in a second or two; one that is away for longer gives its rooms to another.
_ANOTHER_HOST_AFTER_S = 5.0
#: An SFU that is away for longer is taken to have closed, or lost, a room that has ended.
_CLOSED_AFTER_S = 60.0
_PEERS = effects.SetPermit | effects.RemovePeer | effects.TellMedia | effects.CloseMedia
_TAPS = effects.StopTap | effects.SetTap

#: One crash costs a recording or two; more within this time is a fault that renewing won't mend.
_MOST_RENEWALS = 3
_LATE_S = 60.0

Failures = dict[effects.Effect, ServerError]


def _failed_of_late(room: Room, now: float) -> int:
    return sum(
        each.stop_reason == "failed" and now - (each.stopped_at or now) < _LATE_S
        for each in room.recordings
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
        #: Rooms at SFUs that may have taken them and may not have become their host: (id, URL).
        self._unhosted: set[tuple[str, str]] = set()
        #: Those of them that are closed; whether another process made them the host is to be seen.
        self._unmade: set[tuple[str, str]] = set()

    async def perform(self, change: Change) -> Failures:
        """Carry out the effects of a change; returns what failed, which has been counted."""
        room = change.after
        failures = await self._carry_out(room, effects.effects(change.before, room))
        if room.state == "ended" and change.before.state != "ended" and _is_settled(failures):
            await self._settled(room)
        return failures

    async def settle(self, room: Room) -> None:
        """Do what follows from a consultation's end, for whoever ended it and did not."""
        steps = effects.desired(room)
        away = room.media is not None and not self._media.connected(room.media.url)
        if away:
            steps = tuple(step for step in steps if isinstance(step, effects.Archive))
        failures = await self._carry_out(room, steps)
        over_since = room.ended_at if room.ended_at is not None else 0.0
        if _is_settled(failures) and (not away or time.time() - over_since > _CLOSED_AFTER_S):
            await self._settled(room)

    async def _settled(self, room: Room) -> None:
        try:
            await self._rooms.settled(room.id)
        except StoreUnavailable as error:  # the sweep does it again
            log.warning("room %s is settled, which the store does not know: %s", room.id, error)

    async def start_recording(self, room_id: str, command: commands.StartRecording) -> None:
        """Start a recording. When it cannot really begin it is stopped as failed, and raises."""
        await self._open_for_recording(room_id)
        failures = await self.perform(await self._rooms.change(room_id, command))
        if failures:
            await self.fail_recording(room_id, command.recording)
            raise next(iter(failures.values()))

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
        `MediaUnavailable`, `MediaBusy` when every SFU has too much to do."""
        current = room.media
        if current is not None:
            if self._media.connected(current.url):
                if await self._has(current.url, room.id):
                    return current.url
            elif self._is_just_lost(current.url):
                raise MediaUnavailable("the room's SFU is away")
        url = await self._willing(room.id)
        epoch = current.epoch + 1 if current is not None else 1
        try:
            change = await self._rooms.change(room.id, commands.HostMedia(url=url, epoch=epoch))
        except RequestError:  # another process was quicker
            newest = await self._give_back(room.id)
            if newest is None or newest == current:
                raise
            return newest.url
        self._unhosted.discard((room.id, url))
        log.info("room %s is hosted, epoch %d", room.id, epoch)
        await self._tell_peers(change.after, url, effects.desired(change.after), {})
        return url

    async def give_back(self) -> None:
        """Close what SFUs took and were not made hosts of, for the store did not answer. Raises
        `StoreUnavailable`; call again then."""
        for room_id in {room_id for room_id, _ in self._unhosted}:
            async with self._lock(room_id):
                await self._give_back(room_id)

    async def _give_back(self, room_id: str) -> MediaHost | None:
        """The same for one room; returns its host. Raises `StoreUnavailable`."""
        host = await self._host_of(room_id)
        for each in [each for each in self._unhosted if each[0] == room_id]:
            url = each[1]
            if each not in self._unmade and (host is None or host.url != url):
                with contextlib.suppress(MediaUnavailable):
                    await self._media.unmake(url, room_id)
                    self._unmade.add(each)
                host = await self._host_of(room_id)
            if each in self._unmade and host is not None and host.url == url:
                await self._begin_anew(room_id, host)
            self._unhosted.discard(each)
            self._unmade.discard(each)
        return host

    async def _host_of(self, room_id: str) -> MediaHost | None:
        try:
            return (await self._rooms.read(room_id)).media
        except RoomUnknown:
            return None

    async def _begin_anew(self, room_id: str, host: MediaHost) -> None:
        """Another process made it the host just before it was made to close the room: by a new
        epoch all processes learn that what they told it is lost."""
        again = commands.HostMedia(url=host.url, epoch=host.epoch + 1)
        with contextlib.suppress(RequestError):
            await self._rooms.change(room_id, again)
        self._rooms.doubtful.setdefault(room_id, "")

    def _is_just_lost(self, url: str) -> bool:
        lost_at = self._host_lost_at.setdefault(url, time.monotonic())
        return time.monotonic() - lost_at < _ANOTHER_HOST_AFTER_S

    async def _has(self, url: str, room_id: str) -> bool:
        """Whether the room's own SFU has it: one that began anew may have too much to do for it."""
        try:
            await self._media.open(url, room_id)
        except MediaBusy:
            return False
        except MediaUnavailable as error:  # whoever asks for more will find out
            log.info("room %s is not opened: %s", room_id, error)
        return True

    async def _willing(self, room_id: str) -> str:
        """The least loaded SFU that takes the room. Raises `MediaUnavailable`, `MediaBusy`."""
        refusal = MediaUnavailable("no SFU is there")
        for url in self._media.serving():
            self._unhosted.add((room_id, url))
            try:
                await self._media.make(url, room_id)
            except MediaBusy as error:
                self._unhosted.discard((room_id, url))
                refusal = error
            except MediaUnavailable as error:
                self._count("open", error)
            else:
                return url
        raise refusal

    def found(self, url: str) -> None:
        """That SFU can be spoken to again."""
        self._host_lost_at.pop(url, None)

    async def open(self, live: LiveRoom) -> None:
        """Have the events of the room's SFU come here; later when it is away now."""
        host = live.room.media
        if host is not None and self._media.connected(host.url):
            try:
                await self._media.open(host.url, live.room.id)
            except MediaUnavailable as error:
                self._count("open", error)

    async def reconcile(self, room_id: str, broken: str = "") -> frozenset[str]:
        """Tell SFU and recorder all that should be so. Returns whose media must be set up anew:
        the people in the call or on hold who have no transport there. `broken` is a recording that
        cannot go on."""
        room = await self._rooms.read(room_id)
        if room.state == "ended":
            await self.settle(room)
            return frozenset()
        if room.media is None:
            inside = any(person.state == "admitted" for person in room.participants)
            if inside and self._media.serving():
                async with self._lock(room_id):
                    await self.host(room)
            return frozenset()
        known = await self._media.peers_with_transport(room.media.url, room_id)
        running = consent.running(room)
        if running is not None and (known is None or running.id == broken):
            await self.renew_recording(room_id, running.id)
            room = await self._rooms.read(room_id)
        await self._carry_out(room, effects.desired(room))
        return effects.with_media(room) - (known or frozenset())

    async def resume_recording(self, live: LiveRoom) -> None:
        """The recorder is there anew: it continues what runs, or the recording has failed. What
        another recorder began is renewed, for its journal is there.

        Where none runs it hears of the consultation all the same: it would archive one that
        nobody speaks of.
        """
        room = await self._rooms.read(live.room.id)
        tap = effects.tap(room)
        if tap is None:
            if room.state != "ended":
                self._recordings.put_dossier(room)
            return
        if self._recordings.elsewhere(tap.recording):
            await self.renew_recording(room.id, tap.recording)
            return
        failures = await self._carry_out(room, (tap, effects.PutDossier()))
        if any(isinstance(failure, RecorderFull) for failure in failures.values()):
            await self.fail_recording(room.id, tap.recording)

    async def renew_recording(self, room_id: str, recording: str) -> None:
        """A recording cannot go on: it is closed, and a new one goes on. Nothing when it does not
        run any more, so whoever notices may ask; no new one when too many have failed of late.
        Raises `MediaUnavailable` while no new one can begin, and `StoreUnavailable`; ask again
        then."""
        await self._open_for_recording(room_id)
        if not await self.fail_recording(room_id, recording):
            return
        if _failed_of_late(await self._rooms.read(room_id), time.time()) > _MOST_RENEWALS:
            log.error("recording of room %s keeps failing: it does not go on", room_id)
            return
        try:
            await self.start_recording(room_id, commands.StartRecording(recording=new_id()))
        except SignalingError as error:
            log.error("recording of room %s does not go on: %s", room_id, error.code.value)

    async def _open_for_recording(self, room_id: str) -> None:
        # Else the recording that begins is taken for one that a restarted SFU has lost.
        room = await self._rooms.read(room_id)
        if room.media is not None:
            await self._media.open(room.media.url, room_id)

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

    async def _carry_out(self, room: Room, steps: tuple[effects.Effect, ...]) -> Failures:
        failures: Failures = {}
        for step in steps:
            if isinstance(step, effects.Archive):
                await self._try(step, self._recordings.archive(room), failures)
            elif isinstance(step, _TAPS):
                await self._try(step, self._tell_tap(room, step), failures)
        if any(isinstance(step, _PEERS) for step in steps):
            async with self._lock(room.id):
                url = await self._host_for(room, steps, failures)
                await self._tell_peers(room, url, steps, failures)
        for step in steps:
            await self._try(step, self._tell_recorder(room, step, failures), failures)
        return failures

    async def _try(
        self, step: effects.Effect, work: Coroutine[Any, Any, None], failures: Failures
    ) -> None:
        try:
            await work
        except ServerError as error:
            failures.setdefault(step, error)
            self._count(type(step).__name__, error)

    async def _tell_tap(self, room: Room, step: effects.StopTap | effects.SetTap) -> None:
        if room.media is not None:
            await self._media.carry_out(room.media.url, room.id, step)
        elif isinstance(step, effects.SetTap):
            raise MediaUnavailable("the room has no SFU")

    async def _tell_peers(
        self, room: Room, url: str, steps: tuple[effects.Effect, ...], failures: Failures
    ) -> None:
        for step in steps:
            if isinstance(step, _PEERS) and url:
                work = self._media.carry_out(url, room.id, step)
                await self._try(step, work, failures)
            if isinstance(step, effects.CloseMedia):
                self._media.forget(room.id)

    async def _tell_recorder(self, room: Room, step: effects.Effect, failures: Failures) -> None:
        match step:
            case effects.StopTap():
                await self._recordings.end(step.recording)
            case effects.SetTap() if step not in failures and room.media is not None:
                if not self._recordings.begun(step.recording):
                    tap_url = self._media.tap_url(room.media.url, step.recording)
                    await self._recordings.begin(room, step.recording, tap_url)
            case effects.PutDossier():
                self._recordings.put_dossier(room)
            case _:
                pass

    async def _host_for(
        self, room: Room, steps: tuple[effects.Effect, ...], failures: Failures
    ) -> str:
        """Where the steps go: a host is chosen only when somebody is let in."""
        lets_in = (step for step in steps if isinstance(step, effects.SetPermit) and step.receive)
        first = next(lets_in, None)
        if first is None:
            return room.media.url if room.media is not None else ""
        try:
            return await self.host(room)
        except SignalingError as error:
            if isinstance(error, ServerError):
                failures[first] = error
            self._count("host", error)
            return ""

    def _count(self, effect: str, error: Exception) -> None:
        if not isinstance(error, MediaBusy):  # no fault: the SFUs' own load tells of it
            self._metrics.effect_failures.labels(effect).inc()
        log.warning("%s failed: %s", effect, error)


def _is_settled(failures: Failures) -> bool:
    """Whether an ended consultation is on disk and its media is closed."""
    return not any(isinstance(step, effects.Archive | effects.CloseMedia) for step in failures)
