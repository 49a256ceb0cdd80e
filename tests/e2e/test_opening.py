"""A page that is opened while the network changes."""

from __future__ import annotations

import pytest
from playwright.async_api import Request, Route

from tests.e2e.gathering import Gathering
from tests.support.browser import CITIZEN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def test_loading_is_broken_off__the_page_says_so_and_opens_again(
    gathering: Gathering,
) -> None:
    await gathering.call()
    person = await gathering.visitor(CITIZEN)
    openings: list[str] = []

    def note(request: Request) -> None:
        if request.is_navigation_request():
            openings.append(request.url)

    async def break_off_once(route: Route) -> None:
        if len(openings) == 1:
            await route.abort("internetdisconnected")
        else:
            await route.continue_()

    person.page.on("request", note)
    await person.page.route("**/src/session.js", break_off_once)
    await person.page.goto(gathering.created.invitations[1].link, wait_until="commit")
    words = person.page.locator(".opening", has_text="đang mở lại")
    await words.wait_for(state="visible", timeout=10_000)
    await person.see("lobby")
    assert len(openings) == 2
