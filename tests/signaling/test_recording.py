"""Recording with real SFU and recorder processes: consent, withdrawal, and what dies on the way."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from signaling.__main__ import Server
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from signaling.rooms.consent import TEXT_VERSION
from tests.support.eventually import eventually
from tests.support.rest_consultation import Consultation
from tests.support.signaling_server import signaling_server
from tests.support.signalled_call import SignalledCall
from tests.support.wire_client import WireClient, both_inside

RECORD = wire.Record(ref="record", action="start")


@dataclass
class Visit:
    """A clinician and a patient who hear and see each other."""

    server: Server
    session: aiohttp.ClientSession
    consultation: Consultation
    clinician: WireClient
    patient: WireClient
    calls: tuple[SignalledCall, SignalledCall]

    async def recordings(self) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = (await self.consultation.read(self.session))["recordings"]
        return answer

    def kill(self, kind: str) -> None:
        child = next(child for child in self.server.children if child.kind == kind)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture(autouse=True)
def _small_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDER_MIN_FREE_BYTES", "0")


async def is_ready(session: aiohttp.ClientSession, server: Server, *parts: str) -> None:
    async def complaint() -> str | None:
        async with session.get(f"{server.public_url}/ready") as response:
            missing = set((await response.json())["missing"]) & set(parts)
        return f"missing: {missing}" if missing else None

    await eventually(complaint)


@asynccontextmanager
async def visit(
    session: aiohttp.ClientSession, directory: Path, *, recorder: bool = True
) -> AsyncIterator[Visit]:
    async with signaling_server(directory, media=True, recorder=recorder) as server:
        await is_ready(session, server, "sfu", *(["recorder"] if recorder else []))
        consultation = await Consultation.create(
            session, server.public_url, "treating_clinician", "patient"
        )
        clinician, patient = await both_inside(session, consultation.links)
        calls = (SignalledCall(clinician), SignalledCall(patient))
        try:
            for call in calls:
                assert isinstance(await call.offer(), wire.Answer)
            for call in calls:
                await call.receives()
            yield Visit(server, session, consultation, clinician, patient, calls)
        finally:
            for call in calls:
                await call.hang_up()


async def decide(client: WireClient, decision: wire.Decision) -> wire.ServerMessage:
    return await client.ask(
        wire.Consent(
            ref="consent",
            purpose="recording",
            decision=decision,
            text_version=TEXT_VERSION,
            language="vi",
        )
    )


async def manifest_of(directory: Path, consultation: str) -> dict[str, Any]:
    path = directory / "recorder" / "archive" / consultation / "manifest.json"
    await eventually(lambda: None if path.exists() else "no manifest", within_s=20)
    answer: dict[str, Any] = json.loads(path.read_text())
    return answer


async def test_recording_needs_consent_and_is_archived(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with visit(session, tmp_path) as here:
        refused = await here.clinician.ask(RECORD)
        assert isinstance(refused, wire.Error)
        assert refused.code is ErrorCode.CONSENT_MISSING

        assert isinstance(await decide(here.patient, "given"), wire.Done)
        assert isinstance(await here.clinician.ask(RECORD), wire.Done)
        await here.patient.next(wire.Recording, lambda each: each.state == "on")
        # A track begins with a key frame, and a sender is asked for one at most once a second.
        for call in here.calls:
            await call.receives(60)
        await here.clinician.ask(wire.End(ref="end"))
        manifest = await manifest_of(tmp_path, here.consultation.id)
        (recording,) = manifest["recordings"]
        assert sorted((each["role"], each["frames"] > 0) for each in recording["tracks"]) == [
            ("patient", True),
            ("patient", True),
            ("treating_clinician", True),
            ("treating_clinician", True),
        ]
        rows = await here.recordings()
        assert [row["stop_reason"] for row in rows] == ["consultation_ended"]


async def test_withdrawal_stops_at_once_and_no_later_sample_is_in_any_file(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with visit(session, tmp_path) as here:
        await decide(here.patient, "given")
        assert isinstance(await here.clinician.ask(RECORD), wire.Done)
        await here.calls[0].receives(30)
        assert isinstance(await decide(here.patient, "withdrawn"), wire.Done)
        off = await here.patient.next(
            wire.Recording, lambda each: each.state == "off" and each.stop_reason != ""
        )
        assert off.stop_reason == "consent_withdrawn"
        await here.calls[0].receives(50)  # the call goes on, for more than a second
        (row,) = await here.recordings()
        recorded_s = row["stopped_at"] - row["started_at"]
        await here.clinician.ask(wire.End(ref="end"))
        manifest = await manifest_of(tmp_path, here.consultation.id)
        (recording,) = manifest["recordings"]
        ends_s = [each["start_offset_s"] + each["duration_s"] for each in recording["tracks"]]
        assert len(ends_s) == 4
        assert max(ends_s) < recorded_s + 0.5


async def test_without_a_recorder_the_asker_is_told_and_nothing_runs(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with visit(session, tmp_path, recorder=False) as here:
        await decide(here.patient, "given")
        answer = await here.clinician.ask(RECORD)
        assert isinstance(answer, wire.Error)
        assert answer.code is ErrorCode.RECORDER_UNAVAILABLE
        assert [row["stop_reason"] for row in await here.recordings()] == ["failed"]


async def test_killed_recorder_continues_the_same_recording(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with visit(session, tmp_path) as here:
        await decide(here.patient, "given")
        await here.clinician.ask(RECORD)
        await here.calls[0].receives(10)
        here.kill("recorder")
        await here.calls[0].receives(10)
        await is_ready(session, here.server, "recorder")
        await here.clinician.ask(wire.Record(ref="stop", action="stop"))
        await here.clinician.ask(wire.End(ref="end"))
        manifest = await manifest_of(tmp_path, here.consultation.id)
        (recording,) = manifest["recordings"]
        assert [each["lost"] for each in recording["tracks"]] == [0, 0, 0, 0]


async def test_killed_sfu_closes_the_recording_and_a_new_one_goes_on(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with visit(session, tmp_path) as here:
        await decide(here.patient, "given")
        await here.clinician.ask(RECORD)
        here.kill("sfu")

        async def complaint() -> str | None:
            reasons = [row["stop_reason"] for row in await here.recordings()]
            return None if reasons == ["failed", ""] else f"recordings: {reasons}"

        await eventually(complaint)


async def test_consultation_that_ends_while_the_recorder_is_away_is_archived_later(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with visit(session, tmp_path) as here:
        here.kill("recorder")
        await here.clinician.ask(wire.End(ref="end"))
        await manifest_of(tmp_path, here.consultation.id)
        spool = tmp_path / "signaling" / "archives"
        await eventually(
            lambda: str(list(spool.iterdir())) if any(spool.iterdir()) else None, within_s=20
        )
