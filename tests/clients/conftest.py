"""The web client's files in a real Chromium, without the rest of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page

from signaling.metrics import Metrics
from signaling.web.app import CLIENT_DIRECTORY
from signaling.web.middleware import middlewares
from signaling.web.static import StaticFiles
from tests.support.browser import CITIZEN, launch, new_page, playwright


@pytest_asyncio.fixture
async def site() -> AsyncIterator[str]:
    """The address of the client's files, served as the server does."""
    page = (CLIENT_DIRECTORY / "index.html").read_text("utf-8")
    app = web.Application(middlewares=middlewares(Metrics(), page=page))
    app.router.add_get("/{path:.*}", StaticFiles(CLIENT_DIRECTORY).serve)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture
async def blank(tmp_path: Path) -> AsyncIterator[Page]:
    """A page of a browser with camera and microphone, which has opened nothing yet."""
    async with playwright() as driver:
        browser = await launch(driver, CITIZEN, tmp_path)
        try:
            yield await new_page(browser, CITIZEN)
        finally:
            await browser.close()


@pytest_asyncio.fixture
async def page(blank: Page, site: str) -> Page:
    """A page of the client's own address, so that its modules can be loaded; no program runs."""
    await blank.goto(f"{site}/src/icons.js")
    return blank
