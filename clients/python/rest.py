"""The REST side: make, read and end consultations, make and revoke invitations.

async with Rest("https://call.example.vn", api_key) as rest:
    consultation = await rest.create(NewConsultation(...))
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from clients.python.errors import Disconnected, Refused
from signaling.protocol.messages import Facility, Mode, RecordingPolicy, Role, Text

TIMEOUT_S = 10.0


class NewParticipant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who may come. Clinicians have a `title`, a `licence` and a `facility`."""

    name: str
    role: Role
    title: str = ""
    licence: str = ""
    facility: Facility | None = None


class Patient(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who the visit is for, by the identifier of a system."""

    identifier: str
    system: str = ""
    name: str = ""


class NewConsultation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `POST /v1/consultations` takes."""

    mode: Mode
    title: str
    facility: Facility
    recording_policy: RecordingPolicy
    participants: tuple[NewParticipant, ...]
    patient: Patient | None = None
    expires_in_s: float = 86_400.0


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A link for one participant in their role; `link` is a secret, `invitation` its id."""

    invitation: str
    participant: str
    role: Role
    expires_at: float
    link: str


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A new consultation, with an invitation for each participant in the order that was asked."""

    id: str
    expires_at: float
    invitations: tuple[Invitation, ...]


class _Problem(msgspec.Struct, frozen=True):
    code: str
    text: Text


class Rest:
    """The REST API of the server at a public URL, with an API key.

    Methods raise `Refused` when the server says no and `Disconnected` when it cannot be reached.
    """

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url.rstrip("/")
        self._key = api_key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def create(self, consultation: NewConsultation) -> Created:
        """Make a consultation and an invitation for each of its participants."""
        body = await self._ask("POST", "/v1/consultations", consultation)
        return msgspec.json.decode(body, type=Created)

    async def read(self, consultation: str) -> dict[str, Any]:
        """The staff view of a consultation."""
        body = await self._ask("GET", f"/v1/consultations/{consultation}")
        return msgspec.json.decode(body, type=dict[str, Any])

    async def end(self, consultation: str) -> None:
        """End a consultation for everyone."""
        await self._ask("POST", f"/v1/consultations/{consultation}/end")

    async def invite(self, consultation: str, participant: str) -> Invitation:
        """A further link for somebody who is a participant already."""
        path = f"/v1/consultations/{consultation}/invitations"
        body = await self._ask("POST", path, {"participant": participant})
        return msgspec.json.decode(body, type=Invitation)

    async def revoke(self, consultation: str, invitation: str) -> None:
        """Void a link; who came by it is put out."""
        await self._ask("DELETE", f"/v1/consultations/{consultation}/invitations/{invitation}")

    async def _ask(self, method: str, path: str, body: object = None) -> bytes:
        assert self._session is not None, "enter `Rest` with `async with` first"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = msgspec.json.encode(body) if body is not None else None
        try:
            async with self._session.request(
                method, self._url + path, data=data, headers=headers
            ) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise _refused(answer, response.status)
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Disconnected("the server cannot be reached") from error


def _refused(answer: bytes, status: int) -> Refused | Disconnected:
    try:
        problem = msgspec.json.decode(answer, type=_Problem)
    except msgspec.DecodeError:
        return Disconnected(f"HTTP status {status}, not from the server itself")
    return Refused(problem.code, problem.text)
