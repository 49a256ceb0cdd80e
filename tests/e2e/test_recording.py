"""What is recorded: all of it, through a killed recorder; none of it, after a withdrawn consent."""

from __future__ import annotations

import asyncio
import json
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


def _now_ms(loop: asyncio.AbstractEventLoop) -> float:
    return loop.time() * 1_000


async def test_kill_9_of_the_recorder_loses_no_packet(gathering: Gathering) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    loop = asyncio.get_running_loop()
    await clinician.press("record")
    await citizen.see("recording-sign")
    since_ms = _now_ms(loop)
    await citizen.frames_go_on(more=60)
    await gathering.stack.recorder.kill()
    await citizen.frames_go_on(more=60)  # the call goes on; packets wait at the SFU
    await gathering.stack.recorder.start()
    await citizen.frames_go_on(more=60)
    recorded_s = (_now_ms(loop) - since_ms) / 1_000
    directory, manifest = await _archive(gathering, clinician)

    assert len(tracks(manifest)) == 4
    for track in tracks(manifest):
        assert track["lost"] == 0, track
    people = {gathering.clinician_id: CLINICIAN.tone_hz, gathering.citizen_id: CITIZEN.tone_hz}
    for participant, tone_hz in people.items():
        played = await _tracks_of(directory, manifest, participant)
        sound_s = played["audio"].end_s - played["audio"].start_s
        assert abs(played["audio"].end_s - recorded_s) < 1.5
        assert abs(played["audio"].end_s - played["video"].end_s) < 0.5
        # 50 Opus packets a second: a hole of the killed recorder's length would show.
        assert played["audio"].frames > 0.95 * 50 * sound_s
        assert played["audio"].tone(tone_hz) > 0.5
        assert played["video"].differing_frames > 150


async def test_withdrawn_consent_leaves_no_later_sample(gathering: Gathering) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    loop = asyncio.get_running_loop()
    await clinician.press("record")
    await citizen.see("recording-sign")
    since_ms = _now_ms(loop)
    await citizen.frames_go_on(more=80)
    await citizen.press("recording-sign")
    withdrawn_s = (_now_ms(loop) - since_ms) / 1_000
    await citizen.press("withdraw")
    await clinician.page.locator(clinician.at("recording-sign")).first.wait_for(state="hidden")
    assert (_now_ms(loop) - since_ms) / 1_000 - withdrawn_s < 2.0
    await citizen.frames_go_on(more=80)  # the call goes on, unrecorded
    directory, manifest = await _archive(gathering, clinician)

    assert len(tracks(manifest)) == 4
    for track in tracks(manifest):
        played = await asyncio.to_thread(play, directory / track["path"])
        assert played.end_s < withdrawn_s + 1.0, f"{track['file']} ends at {played.end_s}"
        assert played.end_s > withdrawn_s - 1.5, f"{track['file']} ends at {played.end_s}"


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
