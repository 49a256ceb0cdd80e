"""The call outlives its WebSocket: ten seconds without signalling, and the picture goes on."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.e2e.gathering import Gathering
from tests.e2e.watching import Watching
from tests.support.browser import CITIZEN, CLINICIAN
from tests.support.media import FRAMES_PER_S
from tests.support.outage import Outage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OUTAGE_S = 10
LONGEST_STILL_MS = 1_000


async def test_websocket_lost_for_ten_seconds_interrupts_no_media(gathering: Gathering) -> None:
    await gathering.call()
    port = urlsplit(gathering.stack.urls[0]).port
    assert port is not None
    async with Outage(port) as network:
        clinician = await gathering.clinician()
        citizen = await gathering.waiting_citizen(base=f"http://127.0.0.1:{network.port}")
        await gathering.admit(clinician, citizen)

        await citizen.mark_connection()
        watching = await Watching.begin(citizen, clinician)
        await network.cut()
        await citizen.see("banner")
        # The camera gives 20 frames a second: so many frames are ten seconds.
        await citizen.frames_go_on(more=OUTAGE_S * FRAMES_PER_S, within_s=OUTAGE_S * 2)
        await clinician.frames_go_on()
        assert (await watching.read()).still_ms < LONGEST_STILL_MS
        assert await citizen.has_the_marked_connection()
        assert await citizen.hears(CLINICIAN.tone_hz) > 0.5
        assert await clinician.hears(CITIZEN.tone_hz) > 0.5

        await network.restore()
        await citizen.page.locator(citizen.at("banner")).first.wait_for(
            state="hidden", timeout=15_000
        )
        await citizen.frames_go_on()
        await clinician.press("end")
        await clinician.press("end-confirm")
        await citizen.see("ended")
