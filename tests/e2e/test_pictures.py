"""Pictures that nobody looks at are not sent: a hidden page, and a person who wants sound only."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# The page of a tab that is in the background, as far as scripts can tell.
_HIDE = """(hidden) => {
  const value = hidden ? 'hidden' : 'visible';
  Object.defineProperty(document, 'visibilityState', { value, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""

# How many encodings of one's own camera are switched on.
_ACTIVE = """() => window.vtelehealth.pc().getSenders()
  .filter(({ track }) => track && track.kind === 'video')
  .flatMap((sender) => sender.getParameters().encodings)
  .filter(({ active }) => active).length"""

_PAUSE = "() => new Promise((done) => setTimeout(done, 400))"


async def packets(gathering: Gathering, participant: str, kind: Literal["audio", "video"]) -> int:
    """How many packets of a kind have gone to a participant."""
    return sum(leg.packets for leg in await gathering.legs(participant) if leg.kind == kind)


async def goes_nowhere(
    gathering: Gathering, participant: str, person: Person, *, within_s: float
) -> None:
    """Wait until no more picture goes to a participant; sound goes on."""

    async def complaint() -> str | None:
        before = await packets(gathering, participant, "video")
        sound = await packets(gathering, participant, "audio")
        await person.page.evaluate(_PAUSE)
        more = await packets(gathering, participant, "video") - before
        if await packets(gathering, participant, "audio") <= sound:
            return "no sound comes"  # after a refresh: not yet
        return f"{more} more packets of pictures" if more else None

    await eventually(complaint, within_s=within_s)


async def sends(person: Person, encodings: range, *, within_s: float) -> None:
    """Wait until so many encodings of a person's camera are on."""

    async def complaint() -> str | None:
        active = int(await person.page.evaluate(_ACTIVE))
        return None if active in encodings else f"{active} encodings are on"

    await eventually(complaint, within_s=within_s)


async def test_hidden_page__gets_no_picture__and_the_other_camera_rests(
    gathering: Gathering,
) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await citizen.page.evaluate(_HIDE, True)
    # A second by the specification, and the time to look.
    await goes_nowhere(gathering, gathering.citizen_id, citizen, within_s=1.5)
    await sends(clinician, range(1), within_s=5)
    await citizen.page.evaluate(_HIDE, False)
    await sends(clinician, range(1, 4), within_s=5)
    await citizen.frames_go_on()


async def test_sound_only__stops_pictures_both_ways__and_is_remembered(
    gathering: Gathering,
) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await citizen.press("more")
    await citizen.press("saver")
    await citizen.see("saver-off")
    await goes_nowhere(gathering, gathering.citizen_id, citizen, within_s=2)
    await goes_nowhere(gathering, gathering.clinician_id, clinician, within_s=2)
    await citizen.page.reload()
    await citizen.see("call")
    # A touch of the page, which browsers want before they let sound through.
    await citizen.page.keyboard.press("Shift")
    await citizen.see("saver-off")
    await goes_nowhere(gathering, gathering.citizen_id, citizen, within_s=5)
    await citizen.press("saver-off")
    await citizen.frames_go_on()
    await clinician.frames_go_on()
