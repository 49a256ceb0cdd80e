"""Browsers behind a narrow downlink and behind one that loses packets: what they hear and see."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from playwright.async_api import Playwright

from sfu.control.messages import StreamRow
from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.e2e.test_networks import beside, meeting
from tests.e2e.watching import Seen, Watching
from tests.support.browser import CITIZEN, CLINICIAN, chromium_at
from tests.support.eventually import eventually
from tests.support.netns import Networks
from tests.support.rich_media import write_rich_media
from tests.support.scrape import metric, scrape

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

LARGE_PX, SMALL_PX = (960, 540), (640, 360)
WIDE_BPS, LOW_BPS, VOICE_BPS = 3_000_000, 500_000, 64_000
MOST_GAP_MS = 200
DOWN_WITHIN_S, BACK_WITHIN_S = 2.0, 10.0
PAUSED = "Mạng của bạn đang yếu: tạm dừng hình, giữ tiếng."
LOSS, LOST = 0.05, 300
LEAST_REPAIRED = 0.99
#: A twentieth of the feedback gets lost, and with it word of what it told.
LEAST_TOLD = 0.85
#: Of frames; without repair it were a fifth.
MOST_SKIPPED = 0.04
MOST_FROZEN = 0.01
MOST_CONCEALED = 0.05

# A counter or measure of a layer that a page sends.
_SENT = """async ([rid, name]) => [...(await window.vtelehealth.pc().getStats()).values()]
  .find((row) => row.type === 'outbound-rtp' && row.kind === 'video' && row.rid === rid)
  ?.[name] ?? 0"""


@asynccontextmanager
async def two_in_call(
    networks: Networks,
    driver: Playwright,
    directory: Path,
    size_px: tuple[int, int],
) -> AsyncIterator[tuple[Gathering, Person, Person]]:
    """A clinician beside the servers and a citizen at the first site, whose pictures are rich."""
    for look in (CLINICIAN, CITIZEN):
        write_rich_media(look, directory, size_px)
    async with meeting(networks, driver, directory, directory) as gathering:
        clinician = await gathering.clinician(place=beside(gathering))
        site = chromium_at(networks.sites[0], gathering.stack.urls[0], directory)
        citizen = await gathering.waiting_citizen(place=site)
        await gathering.admit(clinician, citizen)
        yield gathering, clinician, citizen


async def test_narrow_downlink__costs_picture_and_never_the_voice(
    networks: Networks, driver: Playwright, tmp_path: Path
) -> None:
    site = networks.site()
    site.limit_downlink(WIDE_BPS)
    best = "f"
    async with two_in_call(networks, driver, tmp_path, LARGE_PX) as (gathering, clinician, citizen):
        watching = await Watching.begin(citizen, clinician)
        await shows(gathering, watching, clinician, best, within_s=20)
        await watching.hear(2_000)
        await watching.forget_gaps()
        best_px = await watching.height_px()

        site.limit_downlink(LOW_BPS)
        began_s = time.monotonic()
        await eventually(lambda: lower(gathering, best), within_s=DOWN_WITHIN_S)
        down_s = time.monotonic() - began_s
        await watching.hear(8_000)
        low = await watching.read()
        assert low.height_px < best_px
        assert low.still_ms < 2_000, "the picture goes on, smaller"

        site.limit_downlink(WIDE_BPS)
        began_s = time.monotonic()
        await shows(gathering, watching, clinician, best, within_s=BACK_WITHIN_S)
        back_s = time.monotonic() - began_s
        heard = await watching.read()
        report(down_s=down_s, back_s=back_s, longest_gap_ms=heard.longest_gap_ms)
        assert heard.longest_gap_ms <= MOST_GAP_MS

        site.limit_downlink(VOICE_BPS)
        await citizen.see("picture-paused", within_s=10)  # it must cross the full link too
        assert await citizen.page.locator(citizen.at("picture-paused")).first.inner_text() == PAUSED
        await watching.hear(3_000)  # what stood in the queue has drained
        await watching.forget_gaps()
        before = await watching.read()
        await watching.hear(8_000)
        voice = (await watching.read()).since(before)
        report(voice=asdict(voice))
        assert voice.frames == 0
        assert voice.longest_gap_ms <= MOST_GAP_MS
        assert voice.concealed < MOST_CONCEALED * voice.samples


async def test_five_percent_loss_each_way__is_repaired(
    networks: Networks, driver: Playwright, tmp_path: Path
) -> None:
    site = networks.site()
    async with two_in_call(networks, driver, tmp_path, SMALL_PX) as (gathering, clinician, citizen):
        here = await Watching.begin(citizen, clinician)
        there = await Watching.begin(clinician, citizen)
        await shows(gathering, here, clinician, "h", within_s=20)
        first = [await here.read(), await there.read()]
        up_first = await camera(gathering)
        down_first = await repairs(gathering)
        sent_first = await clinician.page.evaluate(_SENT, ["h", "framesSent"])
        site.lose(LOSS)
        await eventually(lambda: too_few_lost(here, first[0]), within_s=120)
        site.lose_no_more(LOSS)
        await here.hear(1_000)  # the last repairs
        lost, came = (
            now - before for now, before in zip(await repairs(gathering), down_first, strict=True)
        )
        last = [await here.read(), await there.read()]
        up_last = await camera(gathering)
        sent = await clinician.page.evaluate(_SENT, ["h", "framesSent"]) - sent_first
        repaired = sum(row.repaired for row in up_last) - sum(row.repaired for row in up_first)
        missing = sum(row.lost for row in up_last) - sum(row.lost for row in up_first)
        down = last[0].since(first[0])
        report(down=asdict(down), sent=sent, up_repaired=repaired, up_missing=missing)
        report(down_lost=lost, down_repaired=came)
        assert lost >= LEAST_TOLD * down.lost
        assert came >= LEAST_REPAIRED * lost
        assert repaired > LOST // 2
        assert repaired >= LEAST_REPAIRED * (repaired + missing)
        # What the browser could not do without and did not get.
        assert down.given_up <= (1 - LEAST_REPAIRED) * down.lost
        # It waits for no frame that no other builds on, once the next one is there.
        assert down.whole >= (1 - MOST_SKIPPED) * sent
        for begin, end in zip(first, last, strict=True):
            seen = end.since(begin)
            report(frozen=seen.frozen, seen=asdict(seen))
            assert seen.concealed < MOST_CONCEALED * seen.samples
            assert seen.frozen < MOST_FROZEN


async def too_few_lost(watching: Watching, first: Seen) -> str | None:
    await watching.hear(500)
    lost = (await watching.read()).since(first).lost
    return None if lost >= LOST else f"{lost} packets lost so far"


async def camera(gathering: Gathering) -> list[StreamRow]:
    """What the SFU counts of the citizen's camera."""
    rows = (await gathering.stack.statistics(gathering.created.id)).streams
    return [row for row in rows if row.peer == gathering.citizen_id and row.kind == "video"]


async def repairs(gathering: Gathering) -> tuple[float, float]:
    """Video packets that the citizen's browser told to be lost, and those of them that came."""
    text = await scrape(f"http://127.0.0.1:{gathering.stack.sfu.ready['control_port']}")
    name = "vtelehealth_sfu_downlink_video"
    return metric(text, f"{name}_lost_total"), metric(text, f"{name}_repaired_total")


async def layer(gathering: Gathering) -> str:
    """The layer that the citizen is sent of the clinician; empty while none is."""
    rows = [row for row in await gathering.legs(gathering.citizen_id) if row.kind == "video"]
    return next(row.rid for row in rows if row.source is not None)


async def lower(gathering: Gathering, best: str) -> str | None:
    return "the best layer is sent" if await layer(gathering) == best else None


async def shows(
    gathering: Gathering, watching: Watching, clinician: Person, best: str, *, within_s: float
) -> None:
    """Wait until the layer is sent to the citizen and its whole picture is on the page."""

    async def complaint() -> str | None:
        sent, height_px = await layer(gathering), await watching.height_px()
        # A browser on a busy machine makes its camera smaller.
        whole_px = await clinician.page.evaluate(_SENT, [best, "frameHeight"])
        wanted = (sent, height_px) == (best, whole_px)
        return None if wanted else f"{sent!r} is sent, {height_px} of {whole_px} lines are shown"

    await eventually(complaint, within_s=within_s)


def report(**figures: object) -> None:
    """For whoever reads the test's log: what was measured."""
    logging.getLogger(__name__).warning("%s", json.dumps(figures))
