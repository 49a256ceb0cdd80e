"""Headless Chromium with a camera and a microphone of our making."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, Playwright, async_playwright

from tests.support.media import write_camera, write_microphone
from tests.support.netns import Site

CHROMIUM = "/usr/bin/chromium"
_FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Look:
    """What one person's devices show and sound like, and the size of their screen."""

    shade: int
    tone_hz: float
    width_px: int = 1280
    height_px: int = 800

    @property
    def name(self) -> str:
        """Of the files with picture and sound."""
        return f"{self.shade}-{self.tone_hz:.0f}"


@dataclass(frozen=True)
class Place:
    """Where a browser runs: the program that starts it there, and what it must be told.

    `script` runs in each page before the page's own.
    """

    executable: str = CHROMIUM
    flags: tuple[str, ...] = ()
    script: str = ""


HERE = Place()
CLINICIAN = Look(shade=60, tone_hz=440)
CITIZEN = Look(shade=120, tone_hz=1000)
SECOND_CLINICIAN = Look(shade=180, tone_hz=1760)
THIRD_CLINICIAN = Look(shade=30, tone_hz=2600)
CITIZEN_PHONE = Look(shade=120, tone_hz=1000, width_px=390, height_px=844)


@asynccontextmanager
async def playwright() -> AsyncIterator[Playwright]:
    """The driver of all browsers of a test."""
    async with async_playwright() as driver:
        yield driver


def chromium_at(site: Site, url: str, directory: Path) -> Place:
    """A browser at a site of a test network, for a page that is served there without TLS.

    It takes the page for secure, as it would with `https`, and any certificate of a TURN server.
    """
    return Place(
        str(site.wrapper(CHROMIUM, directory)),
        (f"--unsafely-treat-insecure-origin-as-secure={url}", "--ignore-certificate-errors"),
    )


async def launch(driver: Playwright, look: Look, directory: Path, place: Place = HERE) -> Browser:
    """A browser of its own (devices belong to the process); the caller closes it."""
    camera = directory / f"{look.name}.y4m"
    microphone = directory / f"{look.name}.wav"
    if not camera.exists():
        write_camera(camera, look.shade)
        write_microphone(microphone, look.tone_hz)
    return await driver.chromium.launch(
        executable_path=place.executable,
        args=[
            *_FLAGS,
            *place.flags,
            f"--use-file-for-fake-video-capture={camera}",
            f"--use-file-for-fake-audio-capture={microphone}",
        ],
    )


async def new_page(browser: Browser, look: Look) -> Page:
    """A page with the person's screen size, in a context with camera and microphone allowed."""
    context = await browser.new_context(
        viewport={"width": look.width_px, "height": look.height_px},
        permissions=["camera", "microphone"],
        locale="vi-VN",
    )
    return await context.new_page()
