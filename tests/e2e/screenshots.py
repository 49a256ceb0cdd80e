"""Takes the pictures of docs/ from the real product: ``python -m tests.e2e.screenshots``."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.e2e.stack import stack
from tests.support.browser import CITIZEN_PHONE, CLINICIAN, SECOND_CLINICIAN, playwright
from tests.support.media import FRAMES_PER_S, HEIGHT, WIDTH, write_microphone

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: Red, green, blue.
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Portrait:
    """A drawn person before a wall: enough of a face for a picture of a call."""

    wall: Colour
    skin: Colour
    hair: Colour
    coat: Colour


PORTRAITS = {
    CLINICIAN: Portrait((205, 222, 226), (226, 184, 150), (38, 32, 34), (246, 248, 250)),
    CITIZEN_PHONE: Portrait((222, 208, 180), (214, 168, 132), (176, 172, 168), (116, 138, 92)),
    SECOND_CLINICIAN: Portrait((188, 200, 218), (220, 178, 142), (28, 26, 30), (120, 178, 190)),
}


def draw(portrait: Portrait, sway_px: float) -> NDArray[np.float64]:
    """One picture, (HEIGHT, WIDTH, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    middle = WIDTH / 2 + sway_px
    picture = np.empty((HEIGHT, WIDTH, 3))
    picture[:] = portrait.wall
    picture *= (1.04 - 0.16 * y / HEIGHT)[..., None]

    def fill(where: NDArray[np.bool_], colour: Colour) -> None:
        picture[where] = colour

    fill(((x - middle) / 78) ** 2 + ((y - 150) / 100) ** 2 < 1, portrait.hair)
    fill(((x - middle) / 170) ** 2 + ((y - 400) / 150) ** 2 < 1, portrait.coat)
    fill((abs(x - middle) < 26) & (y > 210) & (y < 275), portrait.skin)
    fill(((x - middle) / 62) ** 2 + ((y - 165) / 82) ** 2 < 1, portrait.skin)
    fill((((x - middle) / 66) ** 2 + ((y - 110) / 42) ** 2 < 1) & (y < 128), portrait.hair)
    for side in (-1, 1):
        fill((x - middle - side * 24) ** 2 + (y - 162) ** 2 < 30, (40, 34, 34))
    fill(((x - middle) / 20) ** 2 + ((y - 206) / 5) ** 2 < 1, (170, 92, 88))
    return np.clip(picture, 0, 255)


def write_portrait(path: Path, portrait: Portrait) -> None:
    """A Y4M file of somebody who sways a little (BT.601, 4:2:0)."""
    frames = 2 * FRAMES_PER_S
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FRAMES_PER_S}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(frames):
            picture = draw(portrait, 6 * np.sin(2 * np.pi * number / frames))
            red, green, blue = np.moveaxis(picture, 2, 0)
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            planes = (
                luma,
                (0.564 * (blue - luma) + 128)[::2, ::2],
                (0.713 * (red - luma) + 128)[::2, ::2],
            )
            file.write(b"FRAME\n" + b"".join(plane.astype(np.uint8).tobytes() for plane in planes))


def _devices(directory: Path) -> None:
    for look, portrait in PORTRAITS.items():
        write_portrait(directory / f"{look.name}.y4m", portrait)
        write_microphone(directory / f"{look.name}.wav", look.tone_hz)


async def _picture(person: Person, name: str) -> None:
    await person.page.screenshot(path=DOCS / f"{name}.png")


async def _own_picture(person: Person) -> None:
    """Wait until a person sees themselves, and the microphone's meter has had a moment."""
    await person.page.wait_for_function(
        "() => [...document.querySelectorAll('video')].some((one) => one.currentTime > 0.5)"
    )


async def take() -> None:
    """Walk through a consultation and take the pictures on the way."""
    DOCS.mkdir(exist_ok=True)
    async with AsyncExitStack() as owned:
        directory = Path(owned.enter_context(tempfile.TemporaryDirectory()))
        await asyncio.to_thread(_devices, directory)
        programs = await owned.enter_async_context(stack(directory))
        driver = await owned.enter_async_context(playwright())
        gathering = Gathering(programs, driver, directory, owned)
        await gathering.call()
        clinician = await gathering.arrive(CLINICIAN, 0, agree=None)
        await _own_picture(clinician)
        await _picture(clinician, "lobby-desktop")
        await clinician.decide_consent(agree=True)
        await clinician.press("enter")
        await clinician.see("call")
        citizen = await gathering.arrive(CITIZEN_PHONE, 1, agree=None)
        await _own_picture(citizen)
        await _picture(citizen, "lobby-phone")
        await citizen.decide_consent(agree=True)
        await citizen.press("enter")
        await citizen.see("waiting")
        await _picture(citizen, "waiting-phone")
        await citizen.page.set_viewport_size({"width": 1280, "height": 800})
        await _picture(citizen, "waiting-desktop")
        await citizen.page.set_viewport_size(
            {"width": CITIZEN_PHONE.width_px, "height": CITIZEN_PHONE.height_px}
        )
        await _picture(clinician, "door-desktop")
        await gathering.admit(clinician, citizen)
        second = await gathering.second()
        await second.frames_go_on(more=40)
        await clinician.press("record")
        await citizen.see("recording-sign")
        await clinician.open_panel("chat")
        await clinician.says("Bác đo huyết áp giúp tôi nhé.")
        await clinician.reads("Bác đo huyết áp")
        await clinician.frames_go_on(more=40)
        await _picture(clinician, "call-desktop")
        await _picture(citizen, "call-phone")


if __name__ == "__main__":
    asyncio.run(take())
