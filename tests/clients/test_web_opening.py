"""How the web client's page opens: on networks that break off, and in browsers that cannot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, Request, Route

from signaling.web.app import CLIENT_DIRECTORY
from tests.support.eventually import eventually

OPENED = '#app[data-page="nolink"]'
_IMPORT = re.compile(
    r"^(?:import|export)\b[^;]*?\bfrom '([^']+)';|^import '([^']+)';", re.MULTILINE
)
_PRELOAD = re.compile(r'<link rel="modulepreload" href="([^"]+)" />')


def program() -> set[str]:
    """The paths of all modules that the page's program is made of."""
    found: set[Path] = set()
    ahead = [CLIENT_DIRECTORY / "src" / "main.js"]
    while ahead:
        module = ahead.pop().resolve()
        if module in found:
            continue
        found.add(module)
        for named, bare in _IMPORT.findall(module.read_text("utf-8")):
            ahead.append(module.parent / (named or bare))
    return {f"/{module.relative_to(CLIENT_DIRECTORY.resolve()).as_posix()}" for module in found}


def test_page__names_all_modules_of_its_program_and_no_others() -> None:
    page = (CLIENT_DIRECTORY / "index.html").read_text("utf-8")
    assert sorted(_PRELOAD.findall(page)) == sorted(program())


async def says(page: Page, words: str) -> None:
    """Wait for words in the place of the program."""
    await page.locator(".opening", has_text=words).wait_for(state="visible", timeout=10_000)


def opened_pages(page: Page) -> list[str]:
    """The page's own addresses, each time that the browser asks for it."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.is_navigation_request():
            asked.append(request.url)

    page.on("request", note)
    return asked


async def test_page__opens__without_a_complaint_of_the_browser(blank: Page, site: str) -> None:
    complaints: list[str] = []
    blank.on("console", lambda message: complaints.append(message.text))
    await blank.goto(site)
    await blank.wait_for_selector(OPENED)
    assert complaints == []


async def test_network__comes_back_late__the_page_waits_for_it(blank: Page, site: str) -> None:
    broken_off: list[str] = []
    asked = opened_pages(blank)

    async def break_off(route: Route) -> None:
        begins = not broken_off and not route.request.url.endswith("/src/session.js")
        if begins or broken_off.count("fetch") == 3:
            await route.continue_()
        else:
            broken_off.append(route.request.resource_type)
            await route.abort("internetdisconnected")

    await blank.clock.install()
    await blank.route("**/*", break_off)
    await blank.goto(f"{site}/#t=a", wait_until="commit")
    await says(blank, "đang mở lại")

    async def complaint() -> str | None:
        await blank.clock.fast_forward(15_000)
        return None if await blank.locator("#app[data-page]").count() else "it is not open"

    await eventually(complaint, within_s=20)
    assert broken_off.count("fetch") == 3
    assert len(asked) == 2


@pytest.mark.parametrize("style", ["style.css", "src/styles/rooms.css", "src/styles/call.css"])
async def test_style__is_lost__nothing_is_shown_without_it(
    blank: Page, site: str, style: str
) -> None:
    lost: list[str] = []

    async def lose_once(route: Route) -> None:
        if lost:
            await route.continue_()
            return
        lost.append(route.request.url)
        await route.abort("internetdisconnected")

    await blank.clock.install()
    await blank.route(f"**/{style}", lose_once)
    await blank.goto(site, wait_until="commit")
    await says(blank, "đang mở lại")
    assert await blank.locator(".recording-sign").count() == 0
    await blank.clock.fast_forward(1_000)
    await blank.wait_for_selector(OPENED)


async def test_program__cannot_be_read__the_browser_is_named_at_once(
    blank: Page, site: str
) -> None:
    asked = opened_pages(blank)
    script = "class { #too_new"
    await blank.route(
        "**/src/main.js", lambda route: route.fulfill(body=script, content_type="text/javascript")
    )
    await blank.goto(site)
    await says(blank, "quá cũ")
    assert await blank.locator('.opening [lang="en"]', has_text="too old").is_visible()
    await blank.clock.install()
    await blank.clock.fast_forward(120_000)
    assert len(asked) == 1


async def test_program__fails_each_time__is_tried_some_times_and_not_for_ever(
    blank: Page, site: str
) -> None:
    asked = opened_pages(blank)
    await blank.route(
        "**/src/main.js",
        lambda route: route.fulfill(body="undefined.it", content_type="text/javascript"),
    )
    await blank.clock.install()
    await blank.goto(site)

    async def complaint() -> str | None:
        await blank.clock.fast_forward(30_000)
        words = await blank.locator(".opening").inner_text()
        return None if "quá cũ" in words else words

    await eventually(complaint, within_s=20)
    assert len(asked) == 6


async def test_network__is_slow__the_page_says_so_without_a_script(blank: Page, site: str) -> None:
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await blank.route("**/src/main.js", hold)
    await blank.goto(site, wait_until="commit")
    slow = blank.locator(".opening-slow")
    await slow.wait_for(state="attached")
    assert not await slow.is_visible()
    delay_ms = await slow.evaluate("(it) => it.getAnimations()[0].effect.getTiming().delay")
    assert delay_ms == 15_000
    await slow.evaluate("(it) => it.getAnimations()[0].finish()")
    assert await slow.is_visible()
    for route in held:
        await route.abort()
