"""Firefox and Chromium, two implementations of WebRTC, in one call."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Playwright

from tests.e2e.person import RECEIVED
from tests.e2e.test_networks import beside, meeting
from tests.support.eventually import eventually
from tests.support.firefox import TONE_HZ, Firefox, why_no_firefox
from tests.support.netns import Networks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

_PRESS = """(id) => {
  const found = document.querySelector(`[data-testid="${id}"]`);
  if (!found || found.disabled || !found.checkVisibility()) return false;
  found.click();
  return true;
}"""
_VOICE = """async () => [...(await window.vtelehealth.pc().getStats()).values()]
  .filter((row) => row.type === 'inbound-rtp' && row.kind === 'audio')
  .map(({packetsReceived, totalAudioEnergy, totalSamplesReceived, concealedSamples, audioLevel}) =>
    ({packetsReceived, totalAudioEnergy, totalSamplesReceived, concealedSamples, audioLevel}))"""
_SEES = """(id) => Boolean(document.querySelector(`[data-testid="${id}"]`)?.checkVisibility())"""


async def test_firefox_and_chromium_see_and_hear_each_other(
    networks: Networks, driver: Playwright, devices: Path, tmp_path: Path
) -> None:
    if reason := why_no_firefox():
        pytest.skip(reason)
    firefox = Firefox(networks.site(), tmp_path)
    try:
        async with meeting(networks, driver, devices, tmp_path) as gathering:
            clinician = await gathering.clinician(place=beside(gathering))
            await firefox.start()
            await firefox.open(gathering.created.invitations[1].link)
            await press(firefox, "consent-accept")
            await press(firefox, "enter")
            await sees(firefox, "waiting")
            await clinician.press(f"admit-{gathering.citizen_id}")
            await sees(firefox, "call")
            await clinician.frames_go_on()
            await frames_go_on(firefox)
            await clinician.picture_moves()
            assert await clinician.hears(TONE_HZ) > 0.5
            await hears(firefox)
    finally:
        await firefox.close()


async def press(firefox: Firefox, test_id: str) -> None:
    """Click, as soon as it can be clicked."""

    async def complaint() -> str | None:
        return None if await firefox.evaluate(_PRESS, test_id) else f"{test_id} cannot be pressed"

    await eventually(complaint, within_s=15)


async def sees(firefox: Firefox, test_id: str) -> None:
    """Wait until an element is to be seen."""

    async def complaint() -> str | None:
        return None if await firefox.evaluate(_SEES, test_id) else f"{test_id} is not to be seen"

    await eventually(complaint, within_s=15)


async def hears(firefox: Firefox) -> None:
    """Wait for sound energy in what it decodes; without a sound card it has no AudioContext."""

    async def complaint() -> str | None:
        rows = await firefox.evaluate(_VOICE)
        return None if any(row["totalAudioEnergy"] > 0 for row in rows) else f"no sound in {rows}"

    await eventually(complaint, within_s=15)


async def frames_go_on(firefox: Firefox) -> None:
    """Wait until ten further remote frames have been decoded."""
    start = (await firefox.evaluate(RECEIVED))["frames"]

    async def complaint() -> str | None:
        frames = (await firefox.evaluate(RECEIVED))["frames"]
        return None if frames >= start + 10 else f"{frames - start:.0f} new frames"

    await eventually(complaint, within_s=15)
