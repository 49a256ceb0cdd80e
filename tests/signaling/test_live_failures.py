"""What a consultation does while the store, the SFU or the recorder fails: consent and record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recorder.control import messages as recorder
from sfu.control import messages as sfu
from sfu.ids import PeerId, RoomId, TapId
from signaling.errors import StoreUnavailable
from signaling.media import MediaUnavailable
from signaling.protocol import messages as wire
from signaling.protocol.replies import Farewell
from signaling.rooms import commands as c
from signaling.rooms import consent, effects
from signaling.rooms.lifecycle import apply
from signaling.store.redis import RedisStore
from tests.signaling import flows
from tests.signaling.live_desk import ROOM, Desk, FailingStore, desk_with
from tests.signaling.live_desk import desk as desk
from tests.signaling.live_desk import store as store
from tests.support.bench import STARTED_AT
from tests.support.control_server import ScriptedRecorder
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

AT_ONCE_S = 1.5
JOINED_AT = STARTED_AT + 100


@asynccontextmanager
async def under_way(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sfu_starts_anew(desk: Desk) -> None:
    desk.sfu.rooms.clear()
    await desk.sfu.hang_up()
    media = desk.consultations.media
    await eventually(lambda: "connected" if media.serving() else None)
    await eventually(lambda: None if media.serving() else "away")


def taps(desk: Desk) -> list[str]:
    return [each.tap for each in desk.sfu.heard(sfu.StartTap)]


class Page:
    """A WebSocket that hears nothing."""

    def __init__(self, participant: str) -> None:
        self.participant = participant
        self.connection = f"ws-{participant}-1"

    def send(self, message: wire.ServerMessage) -> None:
        pass

    def finish(self, why: Farewell) -> None:
        pass


# ------------------------------------------------------------------ a no counts at once


async def test_withdrawal_reaches_the_sfu_while_the_recorder_never_answers(desk: Desk) -> None:
    await desk.admit()
    desk.recorder.silent = True
    async with under_way(desk.record()):
        await eventually(
            lambda: None if desk.recorder.heard(recorder.StartRecording) else "not begun"
        )
        async with under_way(desk.decide("patient", "withdrawn")):
            await eventually(
                lambda: None if desk.sfu.heard(sfu.StopTap) else "the tap runs",
                within_s=AT_ONCE_S,
            )


@pytest.mark.parametrize("failing", ["away", "hangs"])
async def test_withdrawal_counts_while_the_store_is_away(
    desk: Desk, store: FailingStore, failing: str
) -> None:
    await desk.admit()
    await desk.record()
    setattr(store, failing, True)
    began = time.monotonic()
    change = await desk.decide("patient", "withdrawn")
    assert time.monotonic() - began < AT_ONCE_S
    assert consent.running(change.after) is None
    assert [each.tap for each in desk.sfu.heard(sfu.StopTap)] == ["rec"]
    assert [each.recording for each in desk.recorder.heard(recorder.StopRecording)] == ["rec"]

    setattr(store, failing, False)
    assert consent.decision(await desk.room(), "patient") == "given"
    await desk.consultations.reconcile(ROOM)  # before the store was told
    assert len(desk.sfu.heard(sfu.StartTap)) == 1
    await desk.consultations.catch_up()
    room = await desk.room()
    assert consent.decision(room, "patient") == "withdrawn"
    assert [each.stop_reason for each in room.recordings] == ["consent_withdrawn"]
    assert room.consents[-1].at == change.after.consents[-1].at


async def test_refusal_of_somebody_not_asked_leaves_the_tap_while_the_store_is_away(
    desk: Desk, store: FailingStore
) -> None:
    await desk.admit()
    await desk.record()
    store.away = True
    await desk.decide("chair", "refused")
    last = desk.sfu.heard(sfu.StartTap)[-1]
    assert last.peers == ("patient",)
    assert last.version > desk.sfu.heard(sfu.StartTap)[0].version


async def test_yes_needs_the_store(desk: Desk, store: FailingStore) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        await desk.decide("chair", "given")
    assert desk.consultations.rooms.unsaid() == ()


# ------------------------------------------------------------------ answers that are lost


async def test_change_whose_answer_was_lost_is_carried_out(desk: Desk, store: FailingStore) -> None:
    store.loses_answers = True
    with pytest.raises(StoreUnavailable):
        await desk.admit()
    store.loses_answers = False
    assert not desk.sfu.heard(sfu.Permit)
    await desk.consultations.catch_up()
    allowed = {each.peer for each in desk.sfu.heard(sfu.Permit) if each.receive}
    assert allowed == {"chair", "patient"}
    assert desk.consultations.rooms.doubtful == {}


async def test_doubtful_room_stays_so_until_it_is_reconciled(
    desk: Desk, store: FailingStore
) -> None:
    await desk.admit()
    store.away = True
    with pytest.raises(StoreUnavailable):
        await desk.consultations.change(ROOM, c.Hold(actor="chair", participant="patient"))
    with pytest.raises(StoreUnavailable):
        await desk.consultations.catch_up()
    assert list(desk.consultations.rooms.doubtful) == [ROOM]


async def test_failed_recording_is_renewed_when_the_store_is_back(
    desk: Desk, store: FailingStore
) -> None:
    await desk.admit()
    await desk.record()
    store.away = True
    await desk.sfu.emit(sfu.TapEnded(room=RoomId(ROOM), tap=TapId("rec")))
    await eventually(
        lambda: None if desk.consultations.rooms.doubtful.get(ROOM) == "rec" else "not noticed"
    )
    store.away = False
    await desk.consultations.catch_up()
    await desk.has_recordings("failed", "")


# ------------------------------------------------------------------ the end


async def test_archive_is_on_disk_before_anything_is_asked_of_the_sfu(desk: Desk) -> None:
    await desk.admit()
    await desk.record()
    desk.sfu.silent = desk.recorder.silent = True
    async with under_way(desk.consultations.change(ROOM, c.End(actor="chair"))):
        await eventually(
            lambda: None if desk.spool.pending() == (ROOM,) else "not on disk", within_s=AT_ONCE_S
        )
        assert await desk.store.list_open() == (ROOM,)


async def test_ended_consultation_is_settled(desk: Desk) -> None:
    await desk.admit()
    await desk.consultations.change(ROOM, c.End(actor="chair"))
    assert await desk.store.list_open() == ()


@pytest.mark.parametrize("command", [c.End(actor="chair"), c.Expire()])
async def test_end_that_nobody_carried_out_is_carried_out_by_the_sweep(
    desk: Desk, command: c.Command
) -> None:
    await desk.admit()
    desk.recorder.silent = True
    for who in ("chair", "patient"):
        gone = c.Disconnect(participant=who, connection=f"ws-{who}-1")
        await desk.consultations.change(ROOM, gone)
        await desk.consultations.change(ROOM, c.Lose(participant=who, grace_s=0))
    await desk.store.change(ROOM, lambda room: apply(room, command, time.time() - 6))
    assert (await desk.room()).state == "ended"
    upkeep = desk.upkeep
    await upkeep.beat()
    await upkeep.tick()
    assert desk.spool.pending() == (ROOM,)
    assert desk.sfu.heard(sfu.CloseRoom)
    assert await desk.store.list_open() == ()


async def test_end_is_left_to_who_carries_it_out_for_a_while(desk: Desk) -> None:
    await desk.admit()
    await desk.store.change(ROOM, lambda room: apply(room, c.End(actor="chair"), time.time()))
    upkeep = desk.upkeep
    await upkeep.beat()
    await upkeep.tick()
    assert await desk.store.list_open() == (ROOM,)


# ------------------------------------------------------------------ recordings that are dead


@pytest.mark.parametrize("state", ["stopped", "failed"])
async def test_recording_that_is_over_at_the_recorder_is_renewed(desk: Desk, state: Any) -> None:
    await desk.admit()
    await desk.record()
    await desk.recorder.emit(recorder.RecordingState(recording="rec", state=state))
    await desk.has_recordings("failed", "")
    begun = desk.recorder.heard(recorder.StartRecording)
    assert len({each.recording for each in begun}) == 2


async def _nth_recording(desk: Desk, number: int) -> str:
    """The id of the `number`th recording, once the recorder was told to start it."""

    def begun() -> list[str]:
        return list(
            dict.fromkeys(e.recording for e in desk.recorder.heard(recorder.StartRecording))
        )

    await eventually(lambda: None if len(begun()) >= number else f"begun: {begun()}")
    return begun()[number - 1]


async def test_recording_that_keeps_failing_is_not_renewed_for_ever(desk: Desk) -> None:
    await desk.admit()
    await desk.record()
    for failures in range(1, 5):
        running = await _nth_recording(desk, failures)
        await desk.recorder.emit(recorder.RecordingState(recording=running, state="failed"))
        await desk.has_recordings(*["failed"] * failures, *[""] * (failures < 4))


async def test_recording_whose_tap_ended_is_renewed(desk: Desk) -> None:
    await desk.admit()
    await desk.record()
    await desk.sfu.emit(sfu.TapEnded(room=RoomId(ROOM), tap=TapId("rec")))
    await desk.has_recordings("failed", "")


async def test_recording_that_was_stopped_on_purpose_is_not_renewed(desk: Desk) -> None:
    await desk.admit()
    await desk.record()
    await desk.consultations.change(ROOM, c.StopRecording(actor="chair"))
    await desk.recorder.emit(recorder.RecordingState(recording="rec", state="stopped"))
    await desk.record("second")
    await desk.has_recordings("stopped", "")


async def test_another_recorder_gets_a_recording_of_its_own(desk: Desk) -> None:
    await desk.admit()
    await desk.record()
    async with ScriptedRecorder() as other:
        await desk.consultations.recordings.use(other.url)
        await desk.has_recordings("failed", "")
        await eventually(
            lambda: None if other.heard(recorder.StartRecording) else "nothing is recorded"
        )
        assert "rec" not in [each.recording for each in other.heard(recorder.StartRecording)]
        await desk.consultations.recordings.use("")


async def test_same_recorder_goes_on_with_the_same_recording(desk: Desk) -> None:
    await desk.admit()
    await desk.record()
    await desk.recorder.hang_up()

    def complaint() -> str | None:
        begun = [each.recording for each in desk.recorder.heard(recorder.StartRecording)]
        return None if begun == ["rec", "rec"] else str(begun)

    await eventually(complaint)
    await desk.has_recordings("")


async def test_recording_is_renewed_once_when_the_sfu_started_anew(desk: Desk) -> None:
    await desk.admit()
    await desk.record()
    await sfu_starts_anew(desk)
    await desk.has_recordings("failed", "")
    second = (await desk.room()).recordings[-1].id
    await eventually(
        lambda: None if second in taps(desk)[1:] else f"its tap is not there: {taps(desk)}"
    )
    await desk.consultations.reconcile(ROOM)
    await desk.has_recordings("failed", "")
    assert set(taps(desk)) == {"rec", second}


async def test_recording_that_fails_while_the_sfu_is_away_is_renewed_when_it_is_back(
    desk: Desk,
) -> None:
    await desk.admit()
    await desk.record()
    media = desk.consultations.media
    await media.use(())
    await desk.recorder.emit(recorder.RecordingState(recording="rec", state="failed"))
    doubtful = desk.consultations.rooms.doubtful
    await eventually(lambda: None if doubtful.get(ROOM) == "rec" else "not noticed")
    await desk.has_recordings("")
    await media.use([desk.sfu.url])
    await eventually(lambda: None if media.serving() else "away")
    await desk.consultations.catch_up()
    await desk.has_recordings("failed", "")


async def test_recording_is_renewed_when_a_command_opens_the_room_at_a_new_sfu_process(
    desk: Desk, store: FailingStore
) -> None:
    await desk.admit()
    await desk.record()
    store.away = True  # so that nothing is reconciled
    await sfu_starts_anew(desk)
    store.away = False
    media = desk.consultations.media
    permit = effects.SetPermit(participant="chair", send=(), receive=True, version=99)
    await media.carry_out(desk.sfu.url, ROOM, permit)
    assert desk.sfu.rooms == {ROOM}
    await desk.has_recordings("failed", "")


async def test_sfu_that_came_back_is_not_held_to_its_earlier_absence(desk: Desk) -> None:
    await desk.admit()
    media = desk.consultations.media
    room = await desk.room()
    await desk.sfu.hang_up()
    await eventually(lambda: "connected" if media.serving() else None)
    with pytest.raises(MediaUnavailable):
        await desk.consultations._performer.host(room)
    assert desk.consultations._performer._host_lost_at
    await eventually(lambda: None if media.serving() else "away")
    assert not desk.consultations._performer._host_lost_at


# ------------------------------------------------------------------ media that is lost


def connections(page: flows.Page) -> list[str]:
    return [each.state for each in page.told if isinstance(each, wire.MediaConnection)]


async def connected(desk: Desk) -> flows.Page:
    """The patient's WebSocket, when it was told that their media is connected."""
    await desk.admit()
    patient = flows.Page("patient")
    await desk.consultations.attach(ROOM, patient)
    transport = sfu.PeerTransport(room=RoomId(ROOM), peer=PeerId("patient"), state="connected")
    await desk.sfu.emit(transport)
    await eventually(lambda: None if connections(patient) == ["connected"] else "not told")
    return patient


async def told_all_again(desk: Desk, since: int) -> None:
    """Wait until the SFU that is there now has been told of everybody."""

    def complaint() -> str | None:
        told = {each.peer for each in desk.sfu.told[since:] if isinstance(each, sfu.Permit)}
        return None if {"chair", "patient"} <= told else f"told of {told}"

    await eventually(complaint)


async def test_sfu_starts_anew_during_a_hold__renegotiated_on_return(desk: Desk) -> None:
    patient = await connected(desk)
    await desk.consultations.change(ROOM, c.Hold(actor="chair", participant="patient"))
    patient.told.clear()
    since = len(desk.sfu.told)
    await sfu_starts_anew(desk)
    await told_all_again(desk, since)
    await desk.consultations.reconcile(ROOM)
    assert connections(patient) == []
    await desk.consultations.change(ROOM, c.Return(actor="chair", participant="patient"))
    assert connections(patient) == ["renegotiate"]


async def test_sfu_starts_anew_while_one_is_away__renegotiated_on_resume(desk: Desk) -> None:
    await desk.consultations.detach(ROOM, await connected(desk))
    since = len(desk.sfu.told)
    await sfu_starts_anew(desk)
    await told_all_again(desk, since)
    await desk.consultations.reconcile(ROOM)
    await desk.consultations.attach(ROOM, again := flows.Page("patient"))
    again_here = c.Reconnect(
        participant="patient",
        secret_sha256="secret-patient-1",
        node=desk.consultations.node,
        connection=again.connection,
    )
    await desk.consultations.change(ROOM, again_here)
    assert connections(again)[:1] == ["renegotiate"]


@pytest.mark.parametrize("anew", ["another", "the same"])
async def test_room_moves_during_a_hold__renegotiated_on_return(desk: Desk, anew: str) -> None:
    patient = await connected(desk)
    await desk.consultations.change(ROOM, c.Hold(actor="chair", participant="patient"))
    await desk.consultations.attach(ROOM, chair := flows.Page("chair"))
    since = len(desk.sfu.told)
    url = "ws://127.0.0.1:1/control" if anew == "another" else desk.sfu.url
    desk.sfu.rooms.clear()
    await desk.consultations.rooms.change(ROOM, c.HostMedia(url=url, epoch=9))
    await eventually(lambda: None if connections(chair) == ["renegotiate"] else "not told")
    opened = [each for each in desk.sfu.told[since:] if isinstance(each, sfu.OpenRoom)]
    assert bool(opened) is (anew == "the same")
    patient.told.clear()
    await desk.consultations.change(ROOM, c.Return(actor="chair", participant="patient"))
    assert "renegotiate" in connections(patient)


# ------------------------------------------------------------------ sessions


async def test_session_is_lost_whatever_process_it_names(desk: Desk) -> None:
    gone = c.Disconnect(participant="chair", connection="ws-chair-1")
    await desk.store.change(ROOM, lambda room: apply(room, gone, time.time() - 60))
    desk.consultations.rooms.release(ROOM)
    upkeep = desk.upkeep
    await upkeep.beat()
    await upkeep.tick()
    session = (await desk.room()).participants[0].session
    assert session is not None
    assert session.lost


async def test_session_without_a_websocket_here_is_given_up_at_the_second_look(
    desk: Desk,
) -> None:
    for who in ("consultant", "nurse"):
        connect = c.Connect(
            invitation=f"i-{who}",
            role="consulting_clinician" if who == "consultant" else "nurse",
            session=f"s-{who}",
            secret_sha256="secret",
            language="vi",
            node=desk.consultations.node,
            connection=f"ws-{who}-1",
        )
        await desk.store.change(ROOM, partial(apply, command=connect, now=JOINED_AT))
    await desk.consultations.attach(ROOM, Page("nurse"))
    upkeep = desk.upkeep
    away = []
    for _ in range(2):
        await upkeep.look_for_ghosts()
        room = await desk.room()
        away.append({p.id for p in room.participants if p.session and p.session.away_since})
    assert away == [set(), {"consultant"}]


async def test_websocket_that_goes_speaks_for_itself_only(desk: Desk, store: FailingStore) -> None:
    await desk.admit()
    store.away = True
    await desk.consultations.detach(ROOM, Page("patient"))
    store.away = False
    await desk.consultations.detach("another", Page("nurse"))
    assert desk.consultations.rooms.unsaid() == (ROOM,)
    await desk.consultations.catch_up()
    assert desk.consultations.rooms.unsaid() == ()
    person = next(each for each in (await desk.room()).participants if each.id == "patient")
    assert person.session is not None
    assert person.session.away_since is not None


async def test_node_is_there_while_an_sfu_hangs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.live.upkeep._TICK_S", 0.02)
    monkeypatch.setattr("signaling.live.upkeep._NODE_TTL_S", 2.0)
    await desk.admit()
    desk.sfu.silent = True
    desk.consultations.rooms.doubtful[ROOM] = ""
    asked = len(desk.sfu.told)
    async with under_way(desk.upkeep.run()):
        await eventually(lambda: None if len(desk.sfu.told) > asked else "nothing asked")
        since = time.monotonic()

        async def complaint() -> str | None:
            assert await desk.store.nodes(), "this node looks dead"
            return None if time.monotonic() - since > 3 else "not yet longer than its word holds"

        await eventually(complaint)


# ------------------------------------------------------------------ a store that went back


async def test_versions_go_on_above_those_that_redis_lost(tmp_path: Path) -> None:
    directory = tmp_path / "redis"
    directory.mkdir()
    server = RedisServer(directory)
    await server.start()
    try:
        async with desk_with(tmp_path, RedisStore(server.url)) as desk:
            await desk.admit()
            await desk.record()
            kept = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}
            await desk.decide("patient", "withdrawn")
            await desk.consultations.change(ROOM, c.Chat(actor="chair", id="1", text="Chào"))
            highest = (await desk.room()).version
            live = desk.consultations.rooms.get(ROOM)
            assert live is not None
            await server.stop()
            for path, content in kept.items():
                path.write_bytes(content)
            await server.start()
            await eventually(
                lambda: None if live.room.version > highest else f"at {live.room.version}"
            )
            room = await desk.room()
            assert room.version > highest
            assert consent.decision(room, "patient") == "withdrawn"
            assert consent.running(room) is None
            before = len(desk.sfu.told)
            await desk.consultations.catch_up()
            permits = [each for each in desk.sfu.told[before:] if isinstance(each, sfu.Permit)]
            assert permits
            assert all(each.version > highest for each in permits)
    finally:
        await server.stop()
