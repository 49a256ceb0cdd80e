"""The generated parts of PROTOCOL.md: message tables, state diagrams, roles, codes, limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from signaling.protocol import messages as wire
from signaling.protocol.codec import MAX_MESSAGE_BYTES
from signaling.protocol.codes import TEXTS, CloseCode, ErrorCode
from signaling.rooms import conversation, invitations
from signaling.rooms.commands import Command
from signaling.rooms.roles import PROMOTIONS, ROLES, Permission
from signaling.rooms.states import CONSULTATION_STATES, PARTICIPANT_STATES
from signaling.session import limits, session

EXAMPLES = Path(__file__).parent / "examples"
_ID_PATTERN = msgspec.json.schema(wire.Id)["pattern"]

CLOSE_REASONS: dict[CloseCode, str] = {
    CloseCode.GOING_AWAY: "the server stops, or you were silent for too long: resume",
    CloseCode.TOO_LARGE: "a message far over the limit: your mistake, mend it before you resume",
    CloseCode.INTERNAL: "a mistake of the server: resume, with growing pauses",
    CloseCode.BAD_MESSAGE: "too many malformed messages: your mistake, mend it before you resume",
    CloseCode.REFUSED: "the token or session was not accepted, or none came in time: do not resume",
    CloseCode.ENDED: "after `ended`: over, for good or for you: do not resume",
    CloseCode.REPLACED: "after `ended` (replaced): another window took over: do not resume",
    CloseCode.SLOW: "you did not read what was sent: resume",
    CloseCode.TOO_MANY: "too many messages for too long: resume after a pause",
}


def parts() -> dict[str, str]:
    """Name of the part → its Markdown."""
    return {
        "client-messages": _messages(wire.ClientMessage, "client.json"),
        "server-messages": _messages(wire.ServerMessage, "server.json"),
        "values": _values(),
        "participant-states": _diagram(PARTICIPANT_STATES, "invited"),
        "consultation-states": _diagram(CONSULTATION_STATES, "scheduled"),
        "roles": _roles(),
        "promotions": _promotions(),
        "errors": _table(
            ("code", "English", "Tiếng Việt"),
            ((f"`{code.value}`", TEXTS[code][1], TEXTS[code][0]) for code in ErrorCode),
        ),
        "closes": _table(
            ("code", "when, and what to do"),
            ((str(int(code)), CLOSE_REASONS[code]) for code in CloseCode),
        ),
        "limits": _limits(),
    }


def filled(document: str) -> str:
    """The document with every generated part made anew. Raises `KeyError` for an unknown part."""
    made = parts()

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{made[match[2]]}\n{match[3]}"

    pattern = r"(<!-- generated: ([a-z-]+) -->)\n.*?(<!-- end -->)"
    return re.sub(pattern, fill, document, flags=re.DOTALL)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _messages(union: Any, examples: str) -> str:
    shown = {each["type"]: each for each in json.loads((EXAMPLES / examples).read_text())}
    return "\n\n".join(_message(each, shown) for each in get_args(union))


def _message(message: type[msgspec.Struct], shown: dict[str, Any]) -> str:
    info = msgspec.inspect.type_info(message)
    assert isinstance(info, inspect.StructType)
    tag = str(info.tag)
    says = " ".join((message.__doc__ or "").split())
    text = json.dumps(shown[tag], ensure_ascii=False)
    fields = [each for each in info.fields if each.encode_name != "ref" or tag in _ANSWERS]
    table = _fields(fields)
    return f"#### `{tag}`\n\n{says}\n\n{table}```json\n{text}\n```"


#: Server messages whose `ref` says what they answer; in client messages it is always allowed.
_ANSWERS = ("answer", "done", "error", "pong")


def _fields(fields: Iterable[inspect.Field]) -> str:
    rows = [
        (
            f"`{each.encode_name}`",
            _words(each.type),
            "required" if each.required else _default(each),
        )
        for each in fields
    ]
    return _table(("field", "value", ""), rows) + "\n\n" if rows else ""


def _default(field: inspect.Field) -> str:
    value = field.default
    if isinstance(value, msgspec.Struct):
        return "all false"
    return f"`{json.dumps(value)}` when absent"


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.StrType(pattern=pattern) if pattern == _ID_PATTERN:
            return "id: 1 to 64 of `A–Z a–z 0–9 _ -`"
        case inspect.StrType(pattern=str()):
            bounds = _bounds(kind.min_length, kind.max_length, "characters")
            return f"text{bounds}, no control characters but tab and line feed"
        case inspect.StrType():
            return "text" + _bounds(kind.min_length, kind.max_length, "characters")
        case inspect.IntType():
            below = kind.le if kind.lt is None else kind.lt - 1
            return "integer" + _bounds(kind.ge, below, "")
        case inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in kind.values)
        case inspect.EnumType():
            return "one of the error codes"
        case inspect.VarTupleType():
            bounds = _bounds(kind.min_length, kind.max_length, "of them")
            return f"list{bounds} of: {_words(kind.item_type)}"
        case inspect.UnionType():
            return " or ".join(_words(each) for each in kind.types)
        case inspect.StructType():
            return f"`{kind.cls.__name__}`"
    raise TypeError(f"no words for {kind}")


def _bounds(least: float | None, most: float | None, of_what: str) -> str:
    if most is None:
        return ""
    return f" ({int(least or 0)} to {int(most):,} {of_what}".rstrip() + ")"


def _values() -> str:
    kinds = (
        wire.Text,
        wire.ConsentText,
        wire.IceServer,
        wire.Facility,
        wire.Media,
        wire.SeatView,
        wire.Seated,
        wire.SeatStats,
        wire.Layer,
        wire.Fault,
    )
    return "\n\n".join(_value(kind) for kind in kinds)


def _value(kind: type[msgspec.Struct]) -> str:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    says = " ".join((kind.__doc__ or "").split())
    return f"#### `{kind.__name__}`\n\n{says}\n\n{_fields(info.fields)}".rstrip()


def _diagram(states: Any, first: str) -> str:
    arrows: list[str] = []
    for state, row in states.items():
        by_next: dict[str, list[str]] = {}
        for event, following in row.items():
            by_next.setdefault(following, []).append(_event(event))
        arrows += [f"    {state} --> {to}: {', '.join(why)}" for to, why in by_next.items()]
    return "\n".join(("```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, "```"))


def _event(event: type[Command]) -> str:
    """A command's name as a client knows it: `Connect` is what a `join` does."""
    known = {"Connect": "join"}
    return known.get(event.__name__, event.__name__.lower())


def _roles() -> str:
    head = ("role", *(f"`{each.value}`" for each in Permission))
    rows = (
        (f"`{role}`", *("✓" if each in allowed else "" for each in Permission))
        for role, allowed in ROLES.items()
    )
    return _table(head, rows)


def _promotions() -> str:
    rows = (
        (f"`{role}`", ", ".join(f"`{each}`" for each in sorted(following)) or "–")
        for role, following in PROMOTIONS.items()
    )
    return _table(("role", "may be given the role"), rows)


def _limits() -> str:
    rows = (
        ("one message", f"{MAX_MESSAGE_BYTES // 1024} KiB of UTF-8"),
        (
            "messages",
            f"{limits.MESSAGES_PER_S:.0f} a second, {limits.MESSAGES_BURST:.0f} at once",
        ),
        (
            "chat",
            f"{limits.CHAT_PER_S:.0f} lines a second, {limits.CHAT_BURST:.0f} at once;"
            f" {conversation.MAX_CHAT_LINE_CHARACTERS:,} characters a line;"
            f" {conversation.MAX_CHAT_BYTES // 1024} KiB of `chat_line` messages a consultation",
        ),
        (
            "`stats`",
            f"{limits.STATS_PER_S:.0f} a second, {limits.STATS_BURST:.0f} at once;"
            " more are overlooked",
        ),
        ("malformed messages", f"{limits.MALFORMED_MAX}, then the connection is closed"),
        ("first message", f"within {session.FIRST_MESSAGE_S:.0f} s of opening"),
        ("silence", f"at most {session.SILENT_INTERVALS} times `ping_interval_s`"),
        ("participants", f"{invitations.MAX_PARTICIPANTS} a consultation"),
    )
    return _table(("what", "limit"), rows)
