"""What is written down about the protocol is what the code does."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from clients.protocol.__main__ import files
from clients.protocol.document import CLOSE_REASONS, EXAMPLES, filled, parts
from clients.protocol.schemas import schemas
from signaling.protocol import codec
from signaling.protocol.codes import CloseCode
from signaling.protocol.messages import ClientMessage, ServerMessage
from signaling.rooms.consent import TEXT_VERSION
from signaling.rooms.states import PARTICIPANT_STATES

EXAMPLE_FILES = [
    ("client.json", ClientMessage, codec.decode),
    ("server.json", ServerMessage, codec.decode_server),
]


def examples(name: str) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads((EXAMPLES / name).read_text())
    return read


def test_the_generated_files_are_up_to_date() -> None:
    for path, text in files().items():
        assert path.read_text() == text, f"{path.name} is old: run python -m clients.protocol"


def test_a_changed_part_is_made_anew_and_the_rest_is_left() -> None:
    made = filled("before\n<!-- generated: roles -->\nold\n<!-- end -->\nafter\n")
    assert made == f"before\n<!-- generated: roles -->\n{parts()['roles']}\n<!-- end -->\nafter\n"


@pytest.mark.parametrize(("name", "union", "decode"), EXAMPLE_FILES)
def test_every_message_has_an_example_that_is_one(name: str, union: Any, decode: Any) -> None:
    shown = examples(name)
    tags = [each.__struct_config__.tag for each in get_args(union)]
    assert [each["type"] for each in shown] == tags
    for each in shown:
        again = json.loads(codec.encode(decode(json.dumps(each))))
        assert set(each) <= set(again)


def test_the_examples_speak_of_the_consent_text_that_is_asked() -> None:
    (consent,) = [each for each in examples("client.json") if each["type"] == "consent"]
    assert consent["text_version"] == TEXT_VERSION


def references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        inner = set().union(*map(references, schema.values())) if schema else set()
        return inner | ({schema["$ref"]} if "$ref" in schema else set())
    if isinstance(schema, list):
        return set().union(*map(references, schema)) if schema else set()
    return set()


@pytest.mark.parametrize("name", ["client.schema.json", "server.schema.json"])
def test_a_schema_stands_on_its_own(name: str) -> None:
    schema = schemas()[name]
    assert {ref.removeprefix("#/$defs/") for ref in references(schema)} <= set(schema["$defs"])
    # What a client sends must be known; what a server sends may be of a newer one.
    closed = False if name == "client.schema.json" else None
    for definition in schema["$defs"].values():
        if "properties" in definition:
            assert definition.get("additionalProperties") is closed


def test_the_diagram_has_every_arrow() -> None:
    lines = parts()["participant-states"].splitlines()
    for state, row in PARTICIPANT_STATES.items():
        for event, following in row.items():
            name = {"Connect": "join"}.get(event.__name__, event.__name__.lower())
            (arrow,) = [each for each in lines if f"{state} --> {following}:" in each]
            assert name in arrow.split(": ")[1].split(", ")


def test_every_close_code_says_what_to_do() -> None:
    assert set(CLOSE_REASONS) == set(CloseCode)
