"""Before admission, and on hold, nothing crosses: asserted at the SFU and in the browser."""

from __future__ import annotations

import time

import pytest

from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def test_nothing_reaches_or_leaves_the_waiting_room(gathering: Gathering) -> None:
    await gathering.call()
    clinician = await gathering.clinician()
    second = await gathering.second()
    citizen = await gathering.waiting_citizen()
    await clinician.open_panel("chat")
    await clinician.says("Bệnh nhân đang chờ")
    await second.frames_go_on(more=40)  # meanwhile the others' call runs

    transport = await gathering.transport(gathering.citizen_id)
    assert transport is None or transport.rtp_sent_packets == 0
    assert await gathering.legs(gathering.citizen_id) == []
    statistics = await gathering.stack.statistics(gathering.created.id)
    assert not [row for row in statistics.streams if row.peer == gathering.citizen_id]
    assert (await citizen.received())["packets"] == 0
    assert "Bệnh nhân đang chờ" not in await citizen.page.content()
    state = await citizen.page.evaluate("() => JSON.stringify(window.vtelehealth.state())")
    assert "Bệnh nhân đang chờ" not in state

    await gathering.admit(clinician, citizen)
    state = await citizen.page.evaluate("() => JSON.stringify(window.vtelehealth.state())")
    assert "Bệnh nhân đang chờ" not in state, "what was written before is not theirs to read"


async def at_rest(person: Person) -> float:
    """The packets that a page has received, once it has read those that had come already."""
    count, since_s = -1.0, 0.0

    async def complaint() -> str | None:
        nonlocal count, since_s
        now = (await person.received())["packets"]
        if now != count:
            count, since_s = now, time.monotonic()
        rest_s = time.monotonic() - since_s
        return None if rest_s > 0.2 else f"{count} packets {rest_s:.1f} s ago"

    await eventually(complaint)
    return count


async def test_on_hold_nothing_crosses_and_return_brings_it_back(gathering: Gathering) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    second = await gathering.second()
    await clinician.open_panel("people")
    await clinician.press(f"hold-{gathering.citizen_id}")
    await citizen.see("waiting")

    async def nothing_shown() -> str | None:
        legs = await gathering.legs(gathering.citizen_id)
        shown = [row.source for row in legs if row.source is not None]
        return f"legs show {shown}" if shown else None

    await eventually(nothing_shown)
    before = await gathering.transport(gathering.citizen_id)
    packets_before = await at_rest(citizen)
    await clinician.open_panel("chat")
    await clinician.says("Chỉ giữa bác sĩ với nhau")
    await second.frames_go_on(more=40)
    after = await gathering.transport(gathering.citizen_id)
    assert before is not None
    assert after is not None
    assert after.rtp_sent_packets == before.rtp_sent_packets
    assert (await citizen.received())["packets"] == packets_before
    statistics = await gathering.stack.statistics(gathering.created.id)
    shown = [row.source for row in statistics.legs if row.source is not None]
    assert not [source for source in shown if source.startswith(gathering.citizen_id)]
    assert "Chỉ giữa bác sĩ" not in await citizen.page.content()

    await clinician.open_panel("people")
    await clinician.press(f"return-{gathering.citizen_id}")
    await citizen.see("call")
    await citizen.frames_go_on()
    await clinician.picture_moves()
