"""``make demo``: one real recorded consultation between three headless browsers.

Prints one line of JSON on standard output; anything that is not as it should be is named on
standard error and makes the exit code 1.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.python.rest import Created, Rest
from tests.e2e.person import Person
from tests.e2e.stack import consultation
from tests.support.browser import CITIZEN, CLINICIAN, SECOND_CLINICIAN, playwright
from tests.support.eventually import eventually
from tests.support.playback import play, tracks
from tests.support.servers import Program

CALL_S = 20.0
LEAST_FRAMES = 200
LEAST_TONE_SHARE = 0.5
MOST_DRIFT_S = 0.5
ARCHIVED_WITHIN_S = 60.0
LOOKS = (CLINICIAN, CITIZEN, SECOND_CLINICIAN)


@dataclass
class Summary:
    """What the demo saw; `complaints` are the parts that failed."""

    figures: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def expect(self, holds: bool, complaint: str) -> None:
        """Note a complaint unless something holds."""
        if not holds:
            self.complaints.append(complaint)


async def demo(data: Path) -> Summary:
    """Start the product, hold the consultation, look at what it left."""
    summary = Summary()
    api_key = secrets.token_urlsafe(32)
    environment = {
        "SIGNALING_HTTP_PORT": "0",
        "SIGNALING_SFU_UDP_PORT": "0",
        "SIGNALING_API_KEYS": api_key,
        "SIGNALING_DATA_DIR": str(data),
    }
    product = Program("signaling", environment, data / "demo.log")
    async with AsyncExitStack() as owned:
        owned.push_async_callback(product.stop)
        await product.start()
        async with Rest(f"http://127.0.0.1:{product.ready['http_port']}", api_key) as rest:
            created = await rest.create(consultation("everyone"))
        recorded_s = await _call(summary, created)
        directory = data / "recorder" / "archive" / created.id
        await eventually(
            lambda: None if (directory / "bundle.json").exists() else "no archive",
            within_s=ARCHIVED_WITHIN_S,
        )
        await asyncio.to_thread(_judge_archive, summary, created, directory, recorded_s)
    return summary


async def _call(summary: Summary, created: Created) -> float:
    """The consultation itself; how long it was recorded, by our own clock."""
    async with AsyncExitStack() as owned:
        media = Path(owned.enter_context(tempfile.TemporaryDirectory()))
        driver = await owned.enter_async_context(playwright())
        people = []
        for look in LOOKS:
            person = await Person.arrive(driver, look, media)
            owned.push_async_callback(person.close)
            people.append(person)
        first_frames = await _enter(people, created)
        clinician = people[0]
        # Senders are asked for a key frame at most once a second; the last joiner asked just now.
        await asyncio.gather(*(person.frames_go_on(more=60) for person in people))
        await clinician.press("record")
        await clinician.see("recording-sign")
        recording_since = time.monotonic()
        heard = [await _hears_the_others(person) for person in people]
        await _let_it_run(people, recording_since)
        frames = [int((await person.received())["frames"]) for person in people]
        await clinician.press("end")
        await clinician.press("end-confirm")
        recorded_s = time.monotonic() - recording_since
        for person in people:
            await person.see("ended")
    summary.figures |= {
        "participants": len(people),
        "decoded_video_frames": frames,
        "audio_tone_detected": heard,
        "first_frame_ms": [round(value) for value in first_frames],
        "recorded_s": round(recorded_s, 3),
    }
    summary.expect(all(count > LEAST_FRAMES for count in frames), f"few frames: {frames}")
    summary.expect(all(heard), f"a tone was not heard: {heard}")
    return recorded_s


async def _enter(people: Sequence[Person], created: Created) -> list[float]:
    """Everyone into the call; how long each waited for the first remote frame, in milliseconds."""
    clinician, citizen, second = people
    for person, invitation in zip(people, created.invitations, strict=True):
        await person.open_link(invitation.link)
        await person.decide_consent(agree=True)
    await clinician.press("enter")
    await clinician.see("call")
    await citizen.press("enter")
    await citizen.see("waiting")
    citizen_id = created.invitations[1].participant
    await clinician.see(f"admit-{citizen_id}")
    admitted_at_ms = time.time() * 1_000
    await clinician.press(f"admit-{citizen_id}")
    first = await asyncio.gather(clinician.first_frame_at_ms(), citizen.first_frame_at_ms())
    waits = [at_ms - admitted_at_ms for at_ms in first]
    entered_at_ms = time.time() * 1_000
    await second.press("enter")
    await second.see("call")
    waits.append(await second.first_frame_at_ms() - entered_at_ms)
    return waits


async def _let_it_run(people: Sequence[Person], since: float) -> None:
    """Wait until the call has run its time; every picture must go on moving meanwhile."""
    while time.monotonic() - since < CALL_S:
        await asyncio.gather(*(person.frames_go_on(more=20) for person in people))


async def _hears_the_others(person: Person) -> bool:
    others = [look.tone_hz for look in LOOKS if look is not person.look]
    shares = [await person.hears(tone_hz, listen_ms=1_200) for tone_hz in others]
    return all(share > LEAST_TONE_SHARE for share in shares)


def _judge_archive(summary: Summary, created: Created, directory: Path, recorded_s: float) -> None:
    manifest = json.loads((directory / "manifest.json").read_bytes())
    bundle = json.loads((directory / "bundle.json").read_bytes())
    tones = {
        invitation.participant: look.tone_hz
        for invitation, look in zip(created.invitations, LOOKS, strict=True)
    }
    files = [
        _judge_track(summary, directory, track, tones, recorded_s) for track in tracks(manifest)
    ]
    summary.expect(len(files) == 2 * len(LOOKS), f"{len(files)} recorded files, not 6")
    counts = Counter(entry["resource"]["resourceType"] for entry in bundle["entry"])
    for kind in ("Encounter", "DocumentReference", "Consent", "Provenance"):
        summary.expect(counts[kind] > 0, f"no {kind} in the bundle")
    summary.figures |= {
        "recording": files,
        "bundle_resources": dict(sorted(counts.items())),
        "archive_dir": os.path.relpath(directory),
    }


def _judge_track(
    summary: Summary,
    directory: Path,
    track: dict[str, Any],
    tones: dict[str, float],
    recorded_s: float,
) -> dict[str, Any]:
    path = directory / track["path"]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    summary.expect(sha256 == track["sha256"], f"{path.name}: the hash is not the manifest's")
    played = play(path)
    summary.expect(
        abs(played.end_s - played.start_s - recorded_s) <= MOST_DRIFT_S,
        f"{path.name} goes from {played.start_s:.2f} s to {played.end_s:.2f} s, "
        f"{recorded_s:.2f} s were recorded",
    )
    if played.kind == "audio":
        share = played.tone(tones[track["participant"]])
        summary.expect(share > LEAST_TONE_SHARE, f"{path.name}: its own tone is not in it")
    else:
        summary.expect(played.differing_frames > LEAST_FRAMES, f"{path.name} does not move")
    return {
        "file": track["path"],
        "codec": played.codec,
        "duration_s": round(played.end_s - played.start_s, 3),
        "frames": played.frames,
        "sha256": sha256,
    }


def main() -> int:
    """Run the demo; 0 when every part of it was as it should be."""
    data = Path("var/demo").resolve()
    data.mkdir(parents=True, exist_ok=True)
    try:
        summary = asyncio.run(demo(data))
    except Exception as error:  # the one line of JSON comes whatever happened
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 1
    print(json.dumps(summary.figures | {"complaints": summary.complaints}, ensure_ascii=False))
    for complaint in summary.complaints:
        print(complaint, file=sys.stderr)
    return 1 if summary.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
