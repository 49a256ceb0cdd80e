"""Where a consultation's bundle goes: a FHIR R4 server that takes transactions.

A target tells three outcomes apart. `send` returning means that the server holds everything.
`TryLater` means that the same bytes may succeed later: network, overload, a wrong token or address.
`Refused` means that they never will: the server read the bundle and rejects what it says.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

#: A transaction answer repeats each entry's outcome and, from servers that overlook
#: ``return=minimal``, the resource: some kilobytes an entry, hundreds of entries.
_ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
#: What is kept of a refusal, for a person to read.
_OUTCOME_LIMIT_BYTES = 64 * 1024
_RETRY_AFTER_LIMIT_S = 3600.0
#: A judgement of the bundle's content (RFC 9110 §15.5). Every other answer that is not a success
#: (401, 403, 404, 429, a redirect, 5xx …) speaks of the server, its load or our settings.
_CONTENT_STATUSES = frozenset({400, 406, 410, 411, 412, 413, 415, 422})


class DeliveryError(Exception):
    """Base: the server does not hold the bundle (or not all of it)."""


class TryLater(DeliveryError):
    """The same bytes may succeed later; `reason` is a short stable word or an HTTP status.

    `retry_after_s` is what the server asked for, None when it said nothing.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Refused(DeliveryError):
    """The server rejects the content with this HTTP status.

    `outcome` is its OperationOutcome as text. It may quote the bundle: personal data, never logged.
    """

    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.outcome = outcome


class Target(Protocol):
    """A place that takes bundles; `name` is its directory and its metrics label."""

    @property
    def name(self) -> str: ...

    async def send(self, bundle: bytes) -> None:
        """Deliver; raise `TryLater` or `Refused`. Sending the same bytes twice must be harmless."""

    async def close(self) -> None:
        """Close the sockets; `send` may open new ones afterwards."""


class _EntryResponse(msgspec.Struct):
    status: str = ""


class _AnswerEntry(msgspec.Struct):
    response: _EntryResponse = msgspec.field(default_factory=_EntryResponse)


class _Answer(msgspec.Struct):
    resource_type: str = msgspec.field(name="resourceType")
    entry: list[_AnswerEntry] = []


class FhirTarget:
    """Posts transactions to the FHIR R4 server at `base_url` (http or https, no query).

    `token` is sent as a bearer token when it is not empty. Raises ValueError, with a phrase for
    whoever configures it, when the address or the token is not usable.
    """

    def __init__(
        self, base_url: str, token: str = "", *, name: str = "fhir", timeout_s: float = 30.0
    ) -> None:
        if not _usable(base_url):
            raise ValueError("the FHIR base address must look like https://host/fhir")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("the FHIR token must be printable ASCII without blanks")
        self._name = name
        self._url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._headers = {
            "Content-Type": "application/fhir+json",
            "Accept": "application/fhir+json",
            "Prefer": "return=minimal",
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        return self._name

    async def send(self, bundle: bytes) -> None:
        """Post one transaction Bundle; returns when each of its entries was taken.

        Raises `TryLater` and `Refused`. A success must be a Bundle whose entries are all 2xx
        (FHIR R4 http.html, "transaction"): a login page with status 200 is none, and a server that
        processes transactions as batches reports its refusals entry by entry.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            # A redirect would turn the POST into a GET, or carry the bundle to another host.
            async with self._session.post(
                self._url, data=bundle, headers=self._headers, allow_redirects=False
            ) as response:
                body = await _read(response)
        except TimeoutError:
            raise TryLater("timeout") from None
        except aiohttp.ClientSSLError as error:
            raise TryLater("tls") from error
        except (aiohttp.ClientError, OSError) as error:
            # The text of these errors may name the address, never the content.
            raise TryLater("network") from error
        _judge(response.status, response.headers.get("Retry-After", ""), body)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _usable(base_url: str) -> bool:
    try:
        parts = urlsplit(base_url)
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError:
        return False
    # Credentials in an address end up in logs, and the token has its own place.
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_a_number and plain


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _ANSWER_LIMIT_BYTES:
            raise TryLater("answer_too_large")
    return bytes(body)


def _judge(status: int, retry_after: str, body: bytes) -> None:
    if not 200 <= status < 300:
        _raise_for(status, retry_after, body)
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TryLater("not_fhir") from None
    if answer.resource_type != "Bundle":
        raise TryLater("not_fhir")
    failures = [s for s in map(_entry_status, answer.entry) if not 200 <= s < 300]
    for failure in sorted(failures, key=lambda s: s in _CONTENT_STATUSES, reverse=True):
        _raise_for(failure, retry_after, body)


def _entry_status(entry: _AnswerEntry) -> int:
    # FHIR R4: "starts with a 3 digit HTTP code"; the rest is the reason phrase.
    digits = entry.response.status[:3]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _raise_for(status: int, retry_after: str, body: bytes) -> None:
    if status in _CONTENT_STATUSES:
        raise Refused(status, body[:_OUTCOME_LIMIT_BYTES].decode("utf-8", "replace"))
    raise TryLater(str(status) if status else "not_fhir", _retry_after_s(retry_after))


def _retry_after_s(value: str) -> float | None:
    """The delay-seconds form of Retry-After (RFC 9110 §10.2.3); a date counts as nothing said."""
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        return None
    return min(float(value), _RETRY_AFTER_LIMIT_S)
