"""What keeps people from seeing or hearing each other is named within five seconds, to both."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Playwright

from signaling.protocol.messages import FaultCode
from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.e2e.test_networks import in_call, meeting
from tests.support.browser import Place
from tests.support.eventually import eventually
from tests.support.netns import Networks, Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NAMED_WITHIN_S = 5.0
MENDED_WITHIN_S = 5.0
DEVICES = (Path(__file__).parents[1] / "support" / "faulty_devices.js").read_text()
BREAKABLE = Place(script=DEVICES)
MUTABLE = Place(script=f"window.mutesDevices = true;\n{DEVICES}")

_FAULTS = """() => window.vtelehealth.state().room.faults
  .map(({ participant, code }) => `${participant} ${code}`)"""


async def faults(person: Person) -> list[str]:
    """What a person is told: who, and what."""
    told: list[str] = await person.page.evaluate(_FAULTS)
    return told


async def are_told(
    *people: Person, who: str, code: FaultCode, within_s: float = NAMED_WITHIN_S
) -> None:
    """Wait until these people are told of one fault, and of nothing else; on screen too."""

    async def complaint() -> str | None:
        for person in people:
            told = await faults(person)
            if told != [f"{who} {code}"]:
                return f"{person.look.name} is told {told}"
            if not await person.page.locator(person.at(f"trouble-{code}")).is_visible():
                return f"{person.look.name} is shown nothing"
        return None

    await eventually(complaint, within_s=within_s)


async def are_told_nothing(*people: Person, within_s: float = MENDED_WITHIN_S) -> None:
    """Wait until there is no fault."""

    async def complaint() -> str | None:
        told = [await faults(person) for person in people]
        return f"they are told {told}" if any(told) else None

    await eventually(complaint, within_s=within_s)


async def settled(*people: Person) -> None:
    """A call that has run for a while, in which nothing is wrong."""
    for person in people:
        await person.frames_go_on(more=80, within_s=20)
    await are_told_nothing(*people)


def block_media_downlink(networks: Networks, site: Site, gathering: Gathering) -> None:
    """Nothing of the SFU comes to the site any more, by UDP or TCP; the web still does."""
    port = str(gathering.stack.sfu.ready["udp_port"])
    for protocol in ("udp", "tcp"):
        networks.at_router(
            "iptables", "-I", "FORWARD", "-o", site.port, "-p", protocol, "--sport", port,
            "-j", "DROP",
        )  # fmt: skip


CASES: list[tuple[FaultCode, Place, str]] = [
    ("microphone_silent", BREAKABLE, "(broken) => device.silence(broken)"),
    ("camera_frozen", BREAKABLE, "(broken) => device.freeze(broken)"),
    ("microphone_muted", MUTABLE, "(broken) => device.mute('audio', broken)"),
    ("camera_muted", MUTABLE, "(broken) => device.mute('video', broken)"),
]


@pytest.mark.parametrize(("code", "place", "switch"), CASES, ids=[case[0] for case in CASES])
async def test_device_breaks__both_are_told_which__and_when_it_is_over(
    gathering: Gathering, code: FaultCode, place: Place, switch: str
) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call(citizen_at=place)
    await settled(clinician, citizen)
    await citizen.page.evaluate(switch, True)
    await are_told(clinician, citizen, who=gathering.citizen_id, code=code)
    await citizen.page.evaluate(switch, False)
    await are_told_nothing(clinician, citizen)


async def test_media_blocked_on_the_way_down__both_are_told(
    networks: Networks, driver: Playwright, devices: Path, tmp_path: Path
) -> None:
    """The web pages still come, as where a firewall drops what it does not know."""
    site = networks.site()
    async with meeting(networks, driver, devices, tmp_path) as gathering:
        clinician, citizen = await in_call(gathering, networks, tmp_path)
        await settled(clinician, citizen)
        block_media_downlink(networks, site, gathering)
        await are_told(clinician, citizen, who=gathering.citizen_id, code="downlink_blocked")


async def test_everything_blocked_on_the_way_down__the_other_is_told(
    networks: Networks, driver: Playwright, devices: Path, tmp_path: Path
) -> None:
    site = networks.site()
    async with meeting(networks, driver, devices, tmp_path) as gathering:
        clinician, citizen = await in_call(gathering, networks, tmp_path)
        await settled(clinician, citizen)
        site.block_downlink()
        await are_told(clinician, who=gathering.citizen_id, code="downlink_blocked")
        site.unblock_downlink()
        await are_told_nothing(clinician, citizen, within_s=20)
        await asyncio.gather(clinician.frames_go_on(), citizen.frames_go_on(within_s=20))
