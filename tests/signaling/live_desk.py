"""A visit carried out by real `Consultations` between a store, an SFU and a recorder that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio

from signaling.archive_spool import ArchiveSpool
from signaling.live.consultations import Consultations
from signaling.live.upkeep import Upkeep
from signaling.metrics import Metrics
from signaling.protocol.messages import Decision
from signaling.rooms import commands as c
from signaling.rooms.consent import TEXT_VERSION
from signaling.rooms.room import Room
from signaling.store.memory import MemoryStore
from signaling.store.port import Change, Store, StoreUnavailable, Transition
from tests.support.bench import in_state
from tests.support.control_server import ScriptedRecorder, ScriptedSfu
from tests.support.eventually import eventually

NODE = "this-node"
ROOM = "con"


class FailingStore(MemoryStore):
    """A store that can be away, hang, or do what it is asked and lose the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.hangs = False
        self.loses_answers = False

    async def read(self, room_id: str) -> Room:
        await self._fail()
        return await super().read(room_id)

    async def change(self, room_id: str, transition: Transition) -> Change:
        await self._fail()
        change = await super().change(room_id, transition)
        if self.loses_answers:
            raise StoreUnavailable("lost")
        return change

    async def _fail(self) -> None:
        if self.away:
            raise StoreUnavailable("away")
        if self.hangs:
            await asyncio.Event().wait()


@dataclass
class Desk:
    """A chair in the call, a patient in the waiting room who agreed to be recorded."""

    consultations: Consultations
    store: Store
    sfu: ScriptedSfu
    recorder: ScriptedRecorder
    spool: ArchiveSpool

    @property
    def upkeep(self) -> Upkeep:
        return Upkeep(
            self.consultations,
            self.store,
            grace_s=30,
            version="1",
            fixed_sfus=(self.sfu.url,),
            fixed_recorder=self.recorder.url,
        )

    async def admit(self) -> None:
        await self.consultations.change(ROOM, c.Admit(actor="chair", participant="patient"))

    async def record(self, recording: str = "rec") -> None:
        command = c.StartRecording(actor="chair", recording=recording)
        await self.consultations.start_recording(ROOM, command)

    async def decide(self, who: str, decision: Decision) -> Change:
        return await self.consultations.change(ROOM, decided(who, decision))

    async def room(self) -> Room:
        return await self.store.read(ROOM)

    async def has_recordings(self, *reasons: str) -> None:
        async def complaint() -> str | None:
            found = tuple(each.stop_reason for each in (await self.room()).recordings)
            return None if found == reasons else str(found)

        await eventually(complaint)


def decided(who: str, decision: Decision) -> c.GiveConsent:
    return c.GiveConsent(actor=who, decision=decision, text_version=TEXT_VERSION, language="vi")


def visit() -> Room:
    bench = in_state("waiting")
    bench.decide("patient", "given")
    return bench.room


@asynccontextmanager
async def desk_with(directory: Path, store: Store) -> AsyncIterator[Desk]:
    """Everything connected, the room live."""
    spool = ArchiveSpool(directory / "spool")
    consultations = Consultations(
        node=NODE, store=store, metrics=Metrics(), control_secret="secret", spool=spool
    )
    async with ScriptedSfu() as sfu, ScriptedRecorder() as recorder:
        consultations.start()
        try:
            await store.create(visit())
            await consultations.media.use([sfu.url])
            await consultations.recordings.use(recorder.url)
            await eventually(lambda: None if consultations.media.serving() else "no SFU")
            await eventually(lambda: None if consultations.recordings.connected else "no recorder")
            consultations.rooms.enter(await store.read(ROOM))
            yield Desk(consultations, store, sfu, recorder, spool)
        finally:
            await consultations.close()
            await store.close()


@pytest_asyncio.fixture
async def store() -> FailingStore:
    return FailingStore()


@pytest_asyncio.fixture
async def desk(tmp_path: Path, store: FailingStore) -> AsyncIterator[Desk]:
    async with desk_with(tmp_path, store) as made:
        yield made
