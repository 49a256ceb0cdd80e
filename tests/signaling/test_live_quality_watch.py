"""When faults and measurements are written down, in a process with a store and an SFU."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from recorder.control import messages as recorder
from signaling.live.errands import Errands
from signaling.live.live_room import LiveRoom
from signaling.live.quality_watch import NOTE_EVERY_S, QualityWatch
from signaling.live.rooms import Rooms
from signaling.metrics import Metrics
from signaling.protocol import messages as wire
from signaling.rooms import commands as c
from signaling.rooms.commands import Command
from signaling.rooms.room import Room
from signaling.store.memory import MemoryStore
from signaling.store.port import StoreUnavailable
from tests.signaling.flows import GOOD, TALKS, Page, second, talking
from tests.signaling.live_desk import NODE, ROOM, Desk, FailingStore
from tests.signaling.live_desk import desk as desk
from tests.signaling.live_desk import store as store
from tests.support.eventually import eventually

SILENT = msgspec.structs.replace(GOOD, audio_packets=0, level=None)


class Process:
    """A process with one room on a clock of the test, whose writes are counted and may fail."""

    def __init__(self) -> None:
        self.now = 0.0
        self.writes: list[tuple[Command, ...]] = []
        self.away = False
        self.store = MemoryStore()
        self.metrics = Metrics()
        self.errands = Errands()
        self.rooms = Rooms(self.store, self.metrics, lambda live, before: None)
        self.watch = QualityWatch(
            "node", self.rooms, self.metrics, self.errands, self._change, lambda: self.now
        )

    async def open(self) -> None:
        bench = talking()
        self.now = bench.now
        self.live = await self.enter(bench.room)

    async def enter(self, room: Room) -> LiveRoom:
        await self.store.create(room)
        live = self.rooms.enter(room)
        self.watch.look()
        return live

    async def close(self) -> None:
        await self.rooms.close()
        await self.errands.close()
        await self.store.close()

    async def _change(self, room_id: str, commands: tuple[Command, ...]) -> object:
        if self.away:
            raise StoreUnavailable("away")
        self.writes.append(commands)
        return await self.rooms.change(room_id, *commands)

    async def seconds(self, count: int, *, silent: bool = False) -> None:
        for _ in range(count):
            self.now += 1
            rows = {"patient": SILENT} if silent else {}
            self.watch.hear(self.live, second(self.live.room, **rows))
            self.watch.look()
            await self._written()

    async def _written(self) -> None:
        writing = [task for task in asyncio.all_tasks() if task.get_name() == "note quality"]
        await asyncio.gather(*writing)

    def told(self, kind: type[Command]) -> int:
        return sum(isinstance(each, kind) for write in self.writes for each in write)


async def test_store__hears_of_changes_only() -> None:
    process = Process()
    await process.open()
    try:
        await process.seconds(10)
        assert process.told(c.NoteFaults) == 0
        await process.seconds(10, silent=True)
        assert process.told(c.NoteFaults) == 1
        await process.seconds(10)
        assert process.told(c.NoteFaults) == 2
        await process.seconds(int(2 * NOTE_EVERY_S))
        # Two people, noted each half minute.
        assert process.told(c.NoteQuality) == 6
        assert process.told(c.NoteFaults) == 2
    finally:
        await process.close()


async def test_many_rooms__not_all_written_in_one_second() -> None:
    process = Process()
    await process.open()
    try:
        rooms = [
            await process.enter(msgspec.structs.replace(process.live.room, id=f"room {number}"))
            for number in range(30)
        ]
        for live in rooms:
            process.watch.hear(live, second(live.room))
        written: list[int] = []
        for _ in range(int(NOTE_EVERY_S)):
            before = process.told(c.NoteQuality)
            await process.seconds(1)
            written.append(process.told(c.NoteQuality) - before)
        assert sum(written) == 2 * 31
        assert max(written) <= 2 * 8
    finally:
        await process.close()


async def test_store_away__told_in_time_and_people_at_once() -> None:
    process = Process()
    await process.open()
    process.live.attach(chair := Page("chair"))
    try:
        await process.seconds(10)
        process.away = True
        await process.seconds(5, silent=True)
        assert chair.faults() == [("patient", "microphone_silent")]
        assert process.live.room == await process.store.read(ROOM)
        process.away = False
        await process.seconds(1, silent=True)
        (found,) = (await process.store.read(ROOM)).participants[3].breaks
        assert (found.reason, found.end) == ("microphone_silent", None)
    finally:
        await process.close()


async def test_fault_of_ours_with_one_room__the_others_are_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = Process()
    await process.open()
    try:
        other = await process.enter(msgspec.structs.replace(process.live.room, id="zz"))
        monkeypatch.setattr(process.watch._watches[ROOM], "look", None)
        process.watch.hear(other, second(other.room))
        for _ in range(int(NOTE_EVERY_S)):
            process.now += 1
            process.watch.look()
            await process._written()
        assert process.told(c.NoteQuality) == 2
    finally:
        await process.close()


async def test_metrics__faults_by_code_and_scores() -> None:
    process = Process()
    await process.open()
    try:
        await process.seconds(10)
        await process.seconds(5, silent=True)
        await process.seconds(int(NOTE_EVERY_S) - 15)
        text = process.metrics.text().decode()
        assert 'vtelehealth_signaling_faults_total{code="microphone_silent"} 1.0' in text
        assert "vtelehealth_signaling_quality_score_count 2.0" in text
    finally:
        await process.close()


async def test_released_room__forgotten() -> None:
    process = Process()
    await process.open()
    try:
        await process.seconds(3)
        assert process.watch.last_words(ROOM) != ()
        process.rooms.release(ROOM)
        process.watch.look()
        assert process.watch.last_words(ROOM) == ()
    finally:
        await process.close()


# ------------------------------------------------------------------ with a store and an SFU


async def in_the_call_here(desk: Desk) -> None:
    """The patient's place is this process's, with microphone and camera on."""
    await desk.admit()
    again = c.Reconnect(
        participant="patient",
        secret_sha256="secret-patient-1",
        node=NODE,
        connection="ws-patient-1",
    )
    await desk.consultations.change(ROOM, again, c.SetMedia(actor="patient", media=TALKS))


async def found(desk: Desk, page: Page, *faults: str) -> None:
    """The SFU goes on to tell of silence until the fault is told."""

    async def complaint() -> str | None:
        room = await desk.room()
        await desk.sfu.emit(second(room, patient=SILENT))
        told = page.faults() or []
        return None if [code for _, code in told] == list(faults) else str(told)

    await eventually(complaint, within_s=15)


def measured(room: Room) -> int:
    patient = next(each for each in room.participants if each.id == "patient")
    return sum(each.score.count for each in patient.measured)


async def test_fault_at_the_sfu__told_to_the_other_end_and_kept_in_the_archive(
    desk: Desk, store: FailingStore
) -> None:
    await in_the_call_here(desk)
    live = desk.consultations.rooms.get(ROOM)
    assert live is not None
    live.attach(chair := Page("chair"))
    await found(desk, chair, "microphone_silent")
    noted = measured(await desk.room())
    await desk.sfu.emit(second(await desk.room(), patient=SILENT))
    watch = desk.consultations._quality
    await eventually(lambda: None if watch.last_words(ROOM) else "all is written down")
    await desk.consultations.change(ROOM, c.End(actor="chair"))
    assert measured(await desk.room()) > noted

    def archived() -> str | None:
        return None if desk.recorder.heard(recorder.ArchiveConsultation) else "no archive"

    await eventually(archived)
    (command,) = desk.recorder.heard(recorder.ArchiveConsultation)
    (quality,) = command.dossier.quality
    assert quality.participant == "patient"
    assert quality.measured_s > 0
    assert [each.reason for each in quality.breaks] == ["microphone_silent"]
    assert quality.breaks[0].end is not None


async def test_appointment_over_while_people_talk__nothing_is_written_at_each_sweep(
    desk: Desk,
) -> None:
    await in_the_call_here(desk)
    await desk.sfu.emit(second(await desk.room()))
    watch = desk.consultations._quality
    await eventually(lambda: None if watch.last_words(ROOM) else "nothing is measured")
    past = await desk.store.change(
        ROOM, lambda room: (msgspec.structs.replace(room, expires_at=room.created_at), ())
    )
    await desk.upkeep._look_after(past.after, frozenset())
    assert (await desk.room()).version == past.after.version


async def test_sfu_lost__a_break_in_the_record(desk: Desk) -> None:
    await in_the_call_here(desk)
    await desk.sfu.emit(second(await desk.room()))
    watch = desk.consultations._quality
    await eventually(lambda: None if watch.last_words(ROOM) else "nothing is measured")
    desk.sfu.rooms.clear()
    await desk.sfu.hang_up()

    async def complaint() -> str | None:
        patient = next(each for each in (await desk.room()).participants if each.id == "patient")
        reasons = [each.reason for each in patient.breaks]
        return None if reasons == ["media_lost"] else str(reasons)

    await eventually(complaint)


async def test_note_that_is_lost__nobody_is_reconciled_for_it(
    desk: Desk, store: FailingStore
) -> None:
    await in_the_call_here(desk)
    store.loses_answers = True
    with pytest.raises(StoreUnavailable):
        await desk.consultations.change(ROOM, c.NoteFaults(participant="patient", faults=()))
    assert desk.consultations.rooms.doubtful == {}
    with pytest.raises(StoreUnavailable):
        await desk.consultations.change(ROOM, c.Hold(actor="chair", participant="patient"))
    assert list(desk.consultations.rooms.doubtful) == [ROOM]


async def test_clients_report__reaches_the_watch(desk: Desk) -> None:
    await in_the_call_here(desk)
    live = desk.consultations.rooms.get(ROOM)
    assert live is not None
    live.attach(chair := Page("chair"))
    muted = wire.Stats(microphone="muted", camera="on")

    def complaint() -> str | None:
        desk.consultations.report(ROOM, "patient", muted)
        desk.consultations.report("no-room", "patient", muted)
        return None if chair.faults() == [("patient", "microphone_muted")] else "not told"

    await eventually(complaint, within_s=15)
