"""A consultation in real browsers: seen, heard, written, ended."""

from __future__ import annotations

import re

import pytest

from tests.e2e.gathering import Gathering
from tests.e2e.stack import CITIZEN_NAME, CLINICIAN_NAME, PATIENT_ID, SECOND_NAME
from tests.support.browser import CITIZEN, CLINICIAN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def test_clinician_and_citizen_see_hear_and_write_to_each_other(
    gathering: Gathering,
) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await clinician.picture_moves()
    await citizen.picture_moves()
    assert await clinician.hears(CITIZEN.tone_hz) > 0.5
    assert await citizen.hears(CLINICIAN.tone_hz) > 0.5
    assert await citizen.hears(CITIZEN.tone_hz) < 0.5, "nobody hears their own echo"

    for person in (clinician, citizen):
        await person.open_panel("chat")
    await clinician.says("Bác đau từ khi nào ạ?")
    await citizen.reads("Bác đau từ khi nào ạ?")
    await citizen.says("<b>Từ hôm qua</b>")
    await clinician.reads("<b>Từ hôm qua</b>")

    await clinician.press("end")
    await clinician.press("end-confirm")
    await clinician.see("ended")
    await citizen.see("ended")
    assert not [line for line in clinician.console + citizen.console if "uncaught" in line]
    _nothing_personal_is_logged(gathering)


def _nothing_personal_is_logged(gathering: Gathering) -> None:
    logs = gathering.stack.logs()
    assert logs, "the programs logged nothing at all"
    tokens = [re.split(r"#t=", one.link)[1] for one in gathering.created.invitations]
    private = (CITIZEN_NAME, CLINICIAN_NAME, SECOND_NAME, PATIENT_ID, "đau từ khi", *tokens)
    assert [word for word in private if word in logs] == []
    assert "a=fingerprint" not in logs
    assert "Traceback" not in logs


async def test_a_refresh_brings_the_citizen_back_without_a_new_admission(
    gathering: Gathering,
) -> None:
    await gathering.call()
    clinician, citizen = await gathering.both_in_call()
    await citizen.page.reload()
    await citizen.see("call")
    await citizen.frames_go_on()
    await clinician.frames_go_on()
    await clinician.picture_moves()
    assert await citizen.hears(CLINICIAN.tone_hz) > 0.5
    assert await clinician.hears(CITIZEN.tone_hz) > 0.5
