"""JSON Schemas (draft 2020-12) of the messages, made from their types."""

from __future__ import annotations

from typing import Any

import msgspec

from signaling.protocol.codec import SUBPROTOCOL
from signaling.protocol.messages import ClientMessage, ServerMessage


def schemas() -> dict[str, dict[str, Any]]:
    """File name → schema: what a client sends, and what a server sends."""
    return {
        "client.schema.json": _schema(ClientMessage, "What a client sends"),
        "server.schema.json": _schema(ServerMessage, "What a server sends"),
    }


def _schema(messages: Any, title: str) -> dict[str, Any]:
    (schema,), definitions = msgspec.json.schema_components(
        [messages], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{SUBPROTOCOL}: {title}",
        **schema,
        "$defs": definitions,
    }
