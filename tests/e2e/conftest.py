"""Browsers and running programs for the end-to-end tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Playwright

from tests.e2e.gathering import Gathering
from tests.e2e.stack import Stack, stack
from tests.support.browser import playwright
from tests.support.netns import Networks, why_not
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browsers' camera and microphone files lie; made once."""
    return tmp_path_factory.mktemp("devices")


@pytest_asyncio.fixture
async def driver() -> AsyncIterator[Playwright]:
    """The driver of the test's browsers."""
    async with playwright() as playing:
        yield playing


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Stack]:
    """sfu, recorder and one signalling node."""
    async with stack(tmp_path) as programs:
        yield programs


@pytest_asyncio.fixture
async def gathering(running: Stack, driver: Playwright, devices: Path) -> AsyncIterator[Gathering]:
    """People at browsers, on the running programs; all browsers close at the end."""
    async with AsyncExitStack() as owned:
        yield Gathering(running, driver, devices, owned)


@pytest_asyncio.fixture
async def redis_server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A real Redis of the test's own."""
    server = RedisServer(tmp_path)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def networks() -> Iterator[Networks]:
    """Networks of the test's own."""
    if reason := why_not():
        pytest.skip(reason)
    made = Networks()
    try:
        made.open()
        yield made
    finally:
        made.close()
