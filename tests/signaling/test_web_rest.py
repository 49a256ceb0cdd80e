"""The REST API against the real server: what it makes, and what it does with hostile requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from signaling.__main__ import Server
from signaling.protocol import messages as wire
from tests.support.rest_consultation import HEADERS, Consultation, body
from tests.support.signaling_server import signaling_server
from tests.support.wire_client import WireClient, both_inside


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with signaling_server(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest_asyncio.fixture
async def visit(server: Server, session: aiohttp.ClientSession) -> Consultation:
    return await Consultation.create(session, server.public_url, "treating_clinician", "patient")


class Api:
    """Requests with the API key; each gives the status and the JSON."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def __call__(
        self, method: str, path: str, headers: dict[str, str] = HEADERS, **request: Any
    ) -> tuple[int, Any]:
        async with self._session.request(
            method, self._url + path, headers=headers, **request
        ) as response:
            text = await response.text()
            return response.status, await response.json() if text else None


@pytest_asyncio.fixture
async def api(server: Server, session: aiohttp.ClientSession) -> Api:
    return Api(session, server.public_url)


async def test_created_consultation_is_read_without_tokens_or_patient(
    api: Api, session: aiohttp.ClientSession, server: Server
) -> None:
    made = body(
        "treating_clinician", "patient", patient={"identifier": "079", "name": "Nguyễn Văn An"}
    )
    status, created = await api("POST", "/v1/consultations", json=made)
    assert status == 201
    assert [each["role"] for each in created["invitations"]] == ["treating_clinician", "patient"]
    assert all(
        each["link"].startswith(f"{server.public_url}/#t=") for each in created["invitations"]
    )
    async with session.get(
        f"{server.public_url}/v1/consultations/{created['id']}", headers=HEADERS
    ) as response:
        text = await response.text()
        read = await response.json()
    assert read["state"] == "scheduled"
    assert [each["state"] for each in read["participants"]] == ["invited", "invited"]
    assert read["participants"][0]["connection"] is None
    assert "#t=" not in text
    assert "079" not in text


async def test_end_closes_the_consultation_once(
    api: Api, session: aiohttp.ClientSession, visit: Consultation
) -> None:
    clinician, _ = await both_inside(session, visit.links)
    path = f"/v1/consultations/{visit.id}/end"
    status, ended = await api("POST", path)
    assert (status, ended["state"]) == (200, "ended")
    assert (await clinician.next(wire.Ended)).reason == "ended"
    status, problem = await api("POST", path)
    assert (status, problem["code"]) == (409, "consultation_ended")


async def test_new_person_is_invited_and_comes_in(
    api: Api, session: aiohttp.ClientSession, visit: Consultation
) -> None:
    status, made = await api(
        "POST",
        f"/v1/consultations/{visit.id}/invitations",
        json={"new_participant": {"name": "Lê Cúc", "role": "interpreter"}, "expires_in_s": 60},
    )
    assert status == 201
    assert made["role"] == "interpreter"
    client = await WireClient.join(session, made["link"])
    assert client.participant == made["participant"]


async def test_second_link_for_the_same_person(
    api: Api, session: aiohttp.ClientSession, visit: Consultation
) -> None:
    path = f"/v1/consultations/{visit.id}/invitations"
    status, made = await api("POST", path, json={"participant": visit.participants[1]})
    assert (status, made["participant"]) == (201, visit.participants[1])
    status, _ = await api("DELETE", f"{path}/{visit.invitations[1]}")
    assert status == 204
    client = await WireClient.join(session, made["link"])
    assert client.participant == visit.participants[1]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/consultations/none", "consultation_unknown"),
        ("POST", "/v1/consultations/none/end", "consultation_unknown"),
        ("DELETE", "/v1/consultations/none/invitations/x", "consultation_unknown"),
        ("GET", "/v1/consultations/" + "x" * 5000, "consultation_unknown"),
        ("GET", "/v1/nothing", "not_found"),
        ("GET", "/v1/consultations/..%2f..%2fetc/end", "not_found"),
    ],
)
async def test_unknown_things_are_404(api: Api, method: str, path: str, code: str) -> None:
    status, problem = await api(method, path)
    assert (status, problem["code"]) == (404, code)
    assert set(problem["text"]) == {"vi", "en"}


async def test_unknown_invitation_and_participant_are_404(api: Api, visit: Consultation) -> None:
    path = f"/v1/consultations/{visit.id}/invitations"
    status, problem = await api("DELETE", f"{path}/none")
    assert (status, problem["code"]) == (404, "invitation_unknown")
    status, problem = await api("POST", path, json={"participant": "none"})
    assert (status, problem["code"]) == (404, "participant_unknown")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {HEADERS['Authorization'].partition(' ')[2]}"},
        {"Authorization": HEADERS["Authorization"] + "x"},
    ],
)
async def test_without_the_api_key_nothing_is_told(
    api: Api, visit: Consultation, headers: dict[str, str]
) -> None:
    for method, path in (
        ("POST", "/v1/consultations"),
        ("GET", f"/v1/consultations/{visit.id}"),
        ("GET", "/v1/consultations/none"),
        ("POST", f"/v1/consultations/{visit.id}/end"),
    ):
        status, problem = await api(method, path, headers=headers)
        assert (status, problem["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "OTHER"},
        {"title": ""},
        {"title": "x" * 201},
        {"title": "line\nbreak"},
        {"title": 5},
        {"facility": None},
        {"facility": {"code": ""}},
        {"participants": []},
        {"participants": [{"name": "A", "role": "recorder"}]},
        {"participants": [{"name": "A", "role": "patient", "admin": True}]},
        {"participants": [{"name": "A", "role": "patient"}] * 201},
        {"expires_in_s": 1},
        {"expires_in_s": 1e12},
        {"recording_policy": "always"},
        {"unknown": 1},
    ],
)
async def test_bad_field_is_400_and_says_where(api: Api, changed: dict[str, Any]) -> None:
    status, problem = await api(
        "POST", "/v1/consultations", json={**body("treating_clinician"), **changed}
    )
    assert (status, problem["code"]) == (400, "bad_request")
    assert problem["detail"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 60_000, b'"text"', b"null"])
async def test_body_that_is_not_the_json_asked_for_is_400(api: Api, data: bytes) -> None:
    status, problem = await api("POST", "/v1/consultations", data=data)
    assert (status, problem["code"]) == (400, "bad_request")


async def test_body_over_64_kib_is_413(api: Api) -> None:
    status, problem = await api("POST", "/v1/consultations", data=b" " * (64 * 1024 + 1))
    assert (status, problem["code"]) == (413, "too_large")


async def test_invitation_needs_exactly_one_kind_of_person(api: Api, visit: Consultation) -> None:
    path = f"/v1/consultations/{visit.id}/invitations"
    person = {"name": "A", "role": "patient"}
    for request in ({}, {"participant": visit.participants[0], "new_participant": person}):
        status, problem = await api("POST", path, json=request)
        assert (status, problem["code"]) == (400, "bad_request")


async def test_wrong_method_is_405(api: Api) -> None:
    status, problem = await api("PUT", "/v1/consultations", json={})
    assert (status, problem["code"]) == (405, "method_not_allowed")


async def test_every_answer_carries_the_security_headers(
    session: aiohttp.ClientSession, server: Server
) -> None:
    for path in ("/", "/health", "/v1/nothing", "/v1/consultations/x"):
        async with session.get(server.public_url + path) as response:
            headers = response.headers
            policy = headers["Content-Security-Policy"]
            assert "script-src 'self' 'sha256-" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Request-Id"]
            assert "camera=(self)" in headers["Permissions-Policy"]


async def test_readiness_names_what_is_missing(api: Api) -> None:
    assert await api("GET", "/ready") == (503, {"ready": False, "missing": ["sfu", "recorder"]})
    assert await api("GET", "/health") == (200, {"alive": True})


async def test_log_has_no_path_token_or_name(
    api: Api,
    session: aiohttp.ClientSession,
    visit: Consultation,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("DEBUG"):
        await both_inside(session, visit.links)
        await api("GET", f"/v1/consultations/{visit.id}?name=Bí+mật")
        await api("GET", "/some/secret/path")
    assert "/v1/consultations/{consultation}" in caplog.text
    for hidden in (
        *(link.partition("#t=")[2] for link in visit.links),
        "Người",
        "secret/path",
        "name=",
        "127.0.0.1",
    ):
        assert hidden not in caplog.text, hidden
