"""Four people at browsers of their own: each sees the other three move, and hears them."""

from __future__ import annotations

import asyncio

import pytest

from clients.python.rest import NewParticipant
from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.e2e.stack import CENTRAL
from tests.support.browser import CITIZEN, CLINICIAN, SECOND_CLINICIAN, THIRD_CLINICIAN
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

THIRD = NewParticipant(
    name="Phạm Thị Hương",
    role="consulting_clinician",
    title="BS. CKI",
    licence="009012/BYT-CCHN",
    facility=CENTRAL,
)
LOOKS = (CLINICIAN, CITIZEN, SECOND_CLINICIAN, THIRD_CLINICIAN)
#: Of the energy while one of the others beeps and the rest, on seats of their own, do too.
LEAST_TONE_SHARE = 0.5


async def sees_three_move(person: Person) -> None:
    """Wait until there are three pictures of others, and each of them moves."""

    async def complaint() -> str | None:
        count = len(await person.pictures())
        return None if count == len(LOOKS) - 1 else f"{person.look.name} sees {count} others"

    await eventually(complaint, within_s=20)
    await person.picture_moves(within_s=20)


async def hears_the_others(person: Person) -> None:
    for look in LOOKS:
        share = await person.hears(look.tone_hz)
        heard = share > LEAST_TONE_SHARE
        assert heard == (look is not person.look), (person.look, look, share)


async def test_four_people__each_sees_and_hears_the_other_three(gathering: Gathering) -> None:
    await gathering.call(also=(THIRD,))
    clinician, citizen = await gathering.both_in_call()
    second = await gathering.second()
    third = await gathering.enter(THIRD_CLINICIAN, 3)
    people = (clinician, citizen, second, third)
    await asyncio.gather(*(sees_three_move(person) for person in people))
    for person in people:
        await hears_the_others(person)
    assert not [line for person in people for line in person.console if "uncaught" in line]
