"""People who meet in a consultation, each at a browser: the usual ways in."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Playwright

from clients.python.rest import Created, NewParticipant
from sfu.control.messages import LegRow, TransportRow
from signaling.protocol.messages import RecordingPolicy
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.support.browser import CITIZEN, CLINICIAN, HERE, SECOND_CLINICIAN, Look, Place


class Gathering:
    """A consultation and the browsers of its people; `owned` closes the browsers."""

    def __init__(
        self, stack: Stack, driver: Playwright, devices: Path, owned: AsyncExitStack
    ) -> None:
        self.stack = stack
        self._driver = driver
        self._devices = devices
        self._owned = owned
        self._created: Created | None = None

    @property
    def created(self) -> Created:
        """The consultation; it must have been called."""
        assert self._created is not None
        return self._created

    @property
    def clinician_id(self) -> str:
        """The treating clinician's participant id."""
        return self.created.invitations[0].participant

    @property
    def citizen_id(self) -> str:
        """The citizen's participant id."""
        return self.created.invitations[1].participant

    @property
    def second_id(self) -> str:
        """The consulting clinician's participant id."""
        return self.created.invitations[2].participant

    async def call(
        self, policy: RecordingPolicy = "everyone", also: tuple[NewParticipant, ...] = ()
    ) -> None:
        """Make the consultation, with further people after the three."""
        self._created = await self.stack.create(policy, also=also)

    async def visitor(self, look: Look, place: Place = HERE) -> Person:
        """Somebody with a browser of their own, who has opened nothing yet."""
        person = await Person.arrive(self._driver, look, self._devices, place)
        self._owned.push_async_callback(person.close)
        return person

    async def arrive(
        self,
        look: Look,
        number: int,
        *,
        agree: bool | None = True,
        base: str = "",
        place: Place = HERE,
    ) -> Person:
        """Invitation `number` opened in a browser of its own, consent answered; in the lobby."""
        person = await self.visitor(look, place)
        link = self.created.invitations[number].link
        await person.open_link(base + link[link.index("/#") :] if base else link)
        if agree is not None:
            await person.decide_consent(agree=agree)
        return person

    async def clinician(
        self, *, agree: bool | None = True, base: str = "", place: Place = HERE
    ) -> Person:
        """The treating clinician, in the call."""
        person = await self.arrive(CLINICIAN, 0, agree=agree, base=base, place=place)
        await person.press("enter")
        await person.see("call")
        return person

    async def second(self, *, agree: bool | None = True) -> Person:
        """The consulting clinician, in the call."""
        return await self.enter(SECOND_CLINICIAN, 2, agree=agree)

    async def enter(self, look: Look, number: int, *, agree: bool | None = True) -> Person:
        """Somebody who need not wait, in the call."""
        person = await self.arrive(look, number, agree=agree)
        await person.press("enter")
        await person.see("call")
        return person

    async def waiting_citizen(
        self,
        look: Look = CITIZEN,
        *,
        agree: bool | None = True,
        base: str = "",
        place: Place = HERE,
    ) -> Person:
        """The citizen, in the waiting room."""
        person = await self.arrive(look, 1, agree=agree, base=base, place=place)
        await person.press("enter")
        await person.see("waiting")
        return person

    async def admit(self, clinician: Person, citizen: Person) -> None:
        """The clinician lets the citizen in; both see pictures."""
        await clinician.press(f"admit-{self.citizen_id}")
        await citizen.see("call")
        await clinician.frames_go_on()
        await citizen.frames_go_on()

    async def both_in_call(self, citizen_at: Place = HERE) -> tuple[Person, Person]:
        """The treating clinician and the citizen, in the call."""
        clinician = await self.clinician()
        citizen = await self.waiting_citizen(place=citizen_at)
        await self.admit(clinician, citizen)
        return clinician, citizen

    async def legs(self, participant: str) -> list[LegRow]:
        """The SFU's legs towards a participant."""
        statistics = await self.stack.statistics(self.created.id)
        return [row for row in statistics.legs if row.peer == participant]

    async def transport(self, participant: str) -> TransportRow | None:
        """The SFU's transport of a participant, None when there is none."""
        statistics = await self.stack.statistics(self.created.id)
        rows = [row for row in statistics.transports if row.peer == participant]
        return rows[0] if rows else None
