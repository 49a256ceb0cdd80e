"""Two signalling nodes on one Redis hold one consultation, and either may die."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Playwright

from tests.e2e.gathering import Gathering
from tests.e2e.stack import stack
from tests.support.browser import CITIZEN, CLINICIAN
from tests.support.outage import Outage
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def test_people_on_two_nodes_meet_and_a_node_may_die(
    tmp_path: Path, driver: Playwright, devices: Path, redis_server: RedisServer
) -> None:
    async with AsyncExitStack() as owned:
        programs = await owned.enter_async_context(
            stack(tmp_path, nodes=2, redis_url=redis_server.url)
        )
        gathering = Gathering(programs, driver, devices, owned)
        await gathering.call()
        first, other = programs.urls
        # The citizen's address is a relay, as a balancer is: it leads to node 1, later to node 0.
        balancer = await owned.enter_async_context(Outage(int(other.rsplit(":", 1)[1])))
        clinician = await gathering.clinician(base=first)
        citizen = await gathering.waiting_citizen(base=f"http://127.0.0.1:{balancer.port}")
        await gathering.admit(clinician, citizen)
        await clinician.picture_moves()
        assert await clinician.hears(CITIZEN.tone_hz) > 0.5
        assert await citizen.hears(CLINICIAN.tone_hz) > 0.5
        for person in (clinician, citizen):
            await person.open_panel("chat")
        await citizen.says("Chào bác sĩ")
        await clinician.reads("Chào bác sĩ")

        await programs.nodes[1].kill()
        await balancer.cut()
        await citizen.see("banner")
        await citizen.frames_go_on(more=40)
        balancer.lead_to(int(first.rsplit(":", 1)[1]))
        await balancer.restore()
        await citizen.page.locator(citizen.at("banner")).first.wait_for(
            state="hidden", timeout=15_000
        )
        await citizen.see("call")
        await citizen.frames_go_on()
        await clinician.frames_go_on()
        await clinician.says("Bác còn nghe không ạ?")
        await citizen.reads("Bác còn nghe không ạ?")
