"""FHIR R4 data types and bundle entries as plain dictionaries, strict about what R4 allows in them.

Text from people is made fit here: R4's `string` allows no white space other than space, tab and
line ends, and no empty value. PURE.
"""

from __future__ import annotations

import base64
import unicodedata
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

Json = dict[str, object]

#: Fixed for all time: a change makes every archived consultation a second one.
_NAMESPACE = uuid.UUID("5f0c1a52-93d7-5d0e-8a55-3f3c9f7b61e4")
#: 9999-12-31T23:59:59Z, the last second that a FHIR date can name.
_LATEST_S = 253_402_300_799.0
#: White space in JavaScript's and Java's regular expressions, though not in Python's `isspace`.
_BYTE_ORDER_MARK = "\ufeff"

_SEARCH_SYNTAX = frozenset("\\,$|")


class DossierError(ValueError):
    """The dossier or a file says what no FHIR resource can hold, such as a time in year 20000."""


def stable_id(*parts: str) -> str:
    """The same parts give the same UUID, always and everywhere (RFC 9562 §5.5)."""
    return str(uuid.uuid5(_NAMESPACE, "\x00".join(parts)))


def text(value: str) -> str:
    """`value` as R4 `string`: other white space becomes a space, control characters go."""
    return "".join(map(_fit, value)).strip()


def _fit(character: str) -> str:
    if character in " \t\r\n":
        return character
    if character.isspace() or character == _BYTE_ORDER_MARK:
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cs") else character


def code(value: str) -> str:
    """`value` as R4 `code`: single spaces inside, none around."""
    return " ".join(text(value).split())


def uri(value: str) -> str:
    """`value` as R4 `uri`: white space and control characters are percent-encoded."""
    kept = text(value)
    return "".join(quote(c) if c.isspace() else c for c in kept)


def instant(unix_s: float) -> str:
    """Unix seconds as R4 `instant`, to the millisecond. Raises `DossierError` out of range."""
    if not 0 <= unix_s <= _LATEST_S:
        raise DossierError("a time in the dossier is outside the years 1970 to 9999")
    moment = datetime.fromtimestamp(unix_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def period(start: float | None, end: float | None) -> Json | None:
    """A Period (invariant per-1: it does not end before it starts); None when nothing is known."""
    if start is not None and end is not None:
        end = max(start, end)
    values: Json = {}
    if start is not None:
        values["start"] = instant(start)
    if end is not None:
        values["end"] = instant(end)
    return values or None


def coding(system: str, value: str, display: str = "") -> Json:
    return {"system": uri(system), "code": code(value), "display": text(display)}


def concept(*codings: Json, says: str = "") -> Json:
    """A CodeableConcept."""
    return {"coding": list(codings), "text": text(says)}


def identifier(system: str, value: str) -> Json:
    return {"system": uri(system), "value": text(value)}


def content_identifier(sha256_hex: str) -> Json | None:
    """The bytes themselves, named by their SHA-256: an ``ni`` URI (RFC 6920 §3).

    R4's Attachment.hash is SHA-1 and nothing else. None when `sha256_hex` is no SHA-256.
    """
    try:
        digest = bytes.fromhex(sha256_hex)
    except ValueError:
        return None
    if len(digest) != 32:
        return None
    named = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return {"system": "urn:ietf:rfc:3986", "value": f"ni:///sha-256;{named}"}


def pruned(value: object) -> object:
    """`value` without its empty parts: FHIR has no null, empty string, list or object."""
    if isinstance(value, dict):
        return dict(_pruned_items(value))
    if isinstance(value, list):
        return [kept for kept in map(pruned, value) if not _empty(kept)]
    return value


def _pruned_items(value: dict[str, object]) -> Iterator[tuple[str, object]]:
    for key, part in value.items():
        kept = pruned(part)
        if not _empty(kept):
            yield key, kept


def _empty(value: object) -> bool:
    return value is None or value == "" or value == [] or value == {}


class Entries:
    """The entries of one transaction, each resource once, in the order they were first named.

    Two ways to write make a replay harmless. What is ours is *put*: PUT to an id made from the
    consultation, so a replay or a repaired archive overwrites itself, even when two deliveries
    race. What others own (patients, facilities, licensed people) is *found*: created only when no
    resource carries the identifier (R4 http.html, "conditional create"), and never overwritten.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Json] = {}

    def put(self, resource_type: str, *key: str, resource: Json, display: str = "") -> Json:
        """Add our own resource, named by `key`; returns a Reference to it."""
        resource_id = stable_id(resource_type, *key)
        return self._add(
            resource_type,
            resource_id,
            {"id": resource_id, **resource},
            {"method": "PUT", "url": f"{resource_type}/{resource_id}"},
            display,
        )

    def find(
        self, resource_type: str, system: str, value: str, *, resource: Json, display: str = ""
    ) -> Json:
        """Add what others own, by its identifier; returns a Reference to it.

        An identifier with characters that mean something in a search (R4 search.html, "escaping")
        is put by an id made from it instead: servers disagree on escapes, and each replay would
        make one more patient on those that know none. Real register numbers have none of them.
        """
        system, value = uri(system), text(value)
        resource = {"identifier": [identifier(system, value)], **resource}
        key = ("by-identifier", system, value)
        if not _SEARCH_SYNTAX.isdisjoint(system + value):
            return self.put(resource_type, *key, resource=resource, display=display)
        request: Json = {
            "method": "POST",
            "url": resource_type,
            "ifNoneExist": f"identifier={quote(system, safe='')}%7C{quote(value, safe='')}",
        }
        resource_id = stable_id(resource_type, *key)
        return self._add(resource_type, resource_id, resource, request, display)

    def _add(
        self, resource_type: str, resource_id: str, resource: Json, request: Json, display: str
    ) -> Json:
        full_url = f"urn:uuid:{resource_id}"
        self._entries.setdefault(
            full_url,
            {
                "fullUrl": full_url,
                "resource": {"resourceType": resource_type, **resource},
                "request": request,
            },
        )
        return {"reference": full_url, "type": resource_type, "display": text(display)}

    def as_list(self) -> list[object]:
        return list(self._entries.values())
