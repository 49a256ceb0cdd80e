"""The OpenAPI document: complete, consistent, and true of what the server takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from tests.support.signaling_server import signaling_server


@pytest_asyncio.fixture
async def document(tmp_path: Path) -> dict[str, Any]:
    async with (
        signaling_server(tmp_path) as server,
        aiohttp.ClientSession() as session,
        session.get(f"{server.public_url}/v1/openapi.json") as response,
    ):
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert "#/components/schemas/NewConsultation" in found
    schemas = document["components"]["schemas"]
    assert {reference.rpartition("/")[2] for reference in found} <= set(schemas)


async def test_operations_are_all_there(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    listed = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {
        ("post", "/v1/consultations"),
        ("get", "/v1/consultations/{consultation}"),
        ("post", "/v1/consultations/{consultation}/end"),
        ("post", "/v1/consultations/{consultation}/invitations"),
        ("delete", "/v1/consultations/{consultation}/invitations/{invitation}"),
        ("get", "/health"),
        ("get", "/ready"),
    }


async def test_operations_are_whole(document: dict[str, Any]) -> None:
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            declared = {each["name"] for each in operation.get("parameters", ())}
            in_path = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert declared == in_path
            assert operation["responses"]
            secured = path.startswith("/v1/")
            assert (operation.get("security") == [{"apiKey": []}]) is secured
            assert ("401" in operation["responses"]) is secured
    assert len(set(names)) == len(names)


async def test_bodies_are_strict(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["NewConsultation"]
    assert schema["additionalProperties"] is False
    assert {"mode", "title", "facility", "participants"} <= set(schema["required"])
