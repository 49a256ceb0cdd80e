"""Consultations over the REST API, for tests of the server."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.support.signaling_server import API_KEY

HEADERS = {"Authorization": f"Bearer {API_KEY}"}


def body(*roles: str, policy: str = "patient", **fields: object) -> dict[str, Any]:
    """What creates a consultation with one participant of each role."""
    return {
        "mode": "DIRECT_TO_PATIENT",
        "title": "Khám từ xa",
        "facility": {"code": "01001", "name": "Bệnh viện A"},
        "recording_policy": policy,
        "participants": [
            {"name": f"Người {number}", "role": role} for number, role in enumerate(roles)
        ],
        **fields,
    }


class Consultation:
    """A consultation that was created: its id and the links of its participants, in order."""

    def __init__(self, url: str, created: dict[str, Any]) -> None:
        self.url = url
        self.id: str = created["id"]
        self.links: list[str] = [each["link"] for each in created["invitations"]]
        self.participants: list[str] = [each["participant"] for each in created["invitations"]]
        self.invitations: list[str] = [each["invitation"] for each in created["invitations"]]

    @classmethod
    async def create(
        cls, session: aiohttp.ClientSession, url: str, *roles: str, policy: str = "patient"
    ) -> Consultation:
        """Create one."""
        async with session.post(
            f"{url}/v1/consultations", json=body(*roles, policy=policy), headers=HEADERS
        ) as response:
            assert response.status == 201, await response.text()
            return cls(url, await response.json())

    async def read(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """As it is now."""
        url = f"{self.url}/v1/consultations/{self.id}"
        async with session.get(url, headers=HEADERS) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def end(self, session: aiohttp.ClientSession) -> int:
        """End it; gives the HTTP status."""
        url = f"{self.url}/v1/consultations/{self.id}/end"
        async with session.post(url, headers=HEADERS) as response:
            return response.status
