"""What is recorded: all of it, through a killed recorder; none of it, after a withdrawn consent."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.support.browser import CITIZEN, CLINICIAN, SECOND_CLINICIAN
from tests.support.eventually import eventually
from tests.support.playback import Playback, play, tracks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def _archive(gathering: Gathering, ender: Person) -> tuple[Path, dict[str, Any]]:
    """End the consultation, wait for its archive; its directory and manifest."""
    await ender.press("end")
    await ender.press("end-confirm")
    await ender.see("ended")
    directory = gathering.stack.archive / gathering.created.id
    await eventually(
        lambda: None if (directory / "bundle.json").exists() else "no archive yet", within_s=30
    )
    manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_bytes())
    return directory, manifest


async def _tracks_of(
    directory: Path, manifest: dict[str, Any], participant: str
) -> dict[str, Playback]:
    """What a participant's files decode to, by kind."""
    return {
        track["kind"]: await asyncio.to_thread(play, directory / track["path"])
        for track in tracks(manifest)
        if track["participant"] == participant
    }


def _span_s(manifest: dict[str, Any]) -> tuple[float, float]:
    """From when to when was recorded, by signalling's word, in Unix seconds."""
    (recording,) = manifest["recordings"]
    return float(recording["started_at"]), float(recording["stopped_at"])


async def test_kill_9_of_the_recorder_loses_no_packet(gathering: Gathering) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await clinician.press("record")
    await citizen.see("recording-sign")
    await citizen.frames_go_on(more=60)
    await gathering.stack.recorder.kill()
    await citizen.frames_go_on(more=60)  # the call goes on; packets wait at the SFU
    await gathering.stack.recorder.start()
    await citizen.frames_go_on(more=60)
    directory, manifest = await _archive(gathering, clinician)
    started_s, stopped_s = _span_s(manifest)
    recorded_s = stopped_s - started_s

    assert len(tracks(manifest)) == 4
    for track in tracks(manifest):
        assert track["lost"] == 0, track
    people = {gathering.clinician_id: CLINICIAN.tone_hz, gathering.citizen_id: CITIZEN.tone_hz}
    for participant, tone_hz in people.items():
        played = await _tracks_of(directory, manifest, participant)
        for one in played.values():
            assert recorded_s - 1.0 < one.end_s < recorded_s + 0.5
        assert played["audio"].hole_s < 0.5, "a hole of the killed recorder's length would show"
        assert played["audio"].tone(tone_hz) > 0.5
        assert played["video"].differing_frames > 150


async def test_withdrawn_consent_leaves_no_later_sample(gathering: Gathering) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await clinician.press("record")
    await citizen.see("recording-sign")
    await citizen.frames_go_on(more=80)
    await citizen.press("recording-sign")
    await citizen.press("withdraw")
    withdrawn_s = time.time()
    await clinician.page.locator(clinician.at("recording-sign")).first.wait_for(state="hidden")
    await citizen.frames_go_on(more=80)  # the call goes on, unrecorded
    directory, manifest = await _archive(gathering, clinician)

    started_s, stopped_s = _span_s(manifest)
    assert stopped_s - withdrawn_s < 2.0
    recorded_s = stopped_s - started_s
    assert len(tracks(manifest)) == 4
    for track in tracks(manifest):
        played = await asyncio.to_thread(play, directory / track["path"])
        assert recorded_s - 1.5 < played.end_s < recorded_s + 0.5, track


async def test_refused_consent_under_the_policy_everyone_bars_the_recording(
    gathering: Gathering,
) -> None:
    await gathering.call("everyone")
    clinician = await gathering.clinician()
    citizen = await gathering.waiting_citizen(agree=False)
    await gathering.admit(clinician, citizen)
    await clinician.press("record")
    await clinician.see("record-missing")
    await clinician.page.keyboard.press("Escape")
    await citizen.frames_go_on(more=40)
    assert not await citizen.page.locator(citizen.at("recording-sign")).first.is_visible()
    directory, manifest = await _archive(gathering, clinician)
    assert tracks(manifest) == []
    assert not [path for path in directory.rglob("*") if path.suffix in (".webm", ".mkv")]


async def test_refusal_of_one_who_is_not_asked_leaves_them_out(gathering: Gathering) -> None:
    await gathering.call("patient")
    clinician, _ = await gathering.both_in_call()
    second = await gathering.second(agree=False)
    await second.frames_go_on()
    await clinician.press("record")
    await second.see("recording-sign")
    await second.frames_go_on(more=80)
    directory, manifest = await _archive(gathering, clinician)

    people = {track["participant"] for track in tracks(manifest)}
    assert people == {gathering.clinician_id, gathering.citizen_id}
    for track in tracks(manifest):
        if track["kind"] == "audio":
            played = await asyncio.to_thread(play, directory / track["path"])
            assert played.tone(SECOND_CLINICIAN.tone_hz) < 0.1
