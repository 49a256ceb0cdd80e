"""The OpenAPI 3.1 document of the REST API, made from its table of operations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from signaling.release import version
from signaling.web.operations import Operation
from signaling.web.resources import Problem

_REFERENCE = "#/components/schemas/{name}"
_ID_SCHEMA = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document, ready for JSON."""
    listed = tuple(operations)
    types: list[type[msgspec.Struct]] = [Problem]
    for operation in listed:
        types += [each for each in (operation.body, operation.answer) if each is not None]
    _, schemas = msgspec.json.schema_components(list(dict.fromkeys(types)), ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vtelehealth",
            "version": version(),
            "description": "Consultations and their invitations, for hospital systems.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    names = re.findall(r"{(\w+)}", operation.path)
    if names:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": _ID_SCHEMA} for name in names
        ]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.body)}
    if operation.secured:
        described["security"] = [{"apiKey": []}]
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": operation.status.phrase}
    if operation.answer is not None:
        good["content"] = _json(operation.answer)
    statuses = set(operation.errors)
    if operation.secured:
        statuses |= {
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            HTTPStatus.SERVICE_UNAVAILABLE,
        }
    answers = {str(operation.status.value): good}
    for status in sorted(statuses):
        # What an operation answers by itself, such as "not ready", has its own type.
        body = Problem if operation.secured else operation.answer or Problem
        answers[str(status.value)] = {"description": status.phrase, "content": _json(body)}
    return answers


def _json(body: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(name=body.__name__)}}}
