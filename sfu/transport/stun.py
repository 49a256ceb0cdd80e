"""STUN binding requests of ICE checks (RFC 8489, RFC 8445 §7.3) as an ICE-lite agent sees them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from aioice import stun

from sfu.forwarder.contract import Address

_HEADER = struct.Struct("!HHI12x")
_ATTRIBUTE = struct.Struct("!HH")
_BINDING_REQUEST = 0x0001
_USERNAME = 0x0006
#: RFC 8489 §14.3: fewer than 509 bytes.
_MAX_USERNAME_BYTES = 508


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A request whose integrity was checked."""

    transaction_id: bytes
    nominates: bool


def username_fragments(data: bytes) -> tuple[str, str] | None:
    """The two fragments of a binding request's USERNAME, ``(ours, theirs)`` (RFC 8445 §7.2.2).

    A quick look that finds the transport before anything costly is done; None for whatever is not
    a well-formed binding request with such a name. Checks no integrity.
    """
    if len(data) < _HEADER.size:
        return None
    kind, length, cookie = _HEADER.unpack_from(data)
    if kind != _BINDING_REQUEST or cookie != stun.COOKIE or length != len(data) - _HEADER.size:
        return None
    offset = _HEADER.size
    while offset + _ATTRIBUTE.size <= len(data):
        attribute, size = _ATTRIBUTE.unpack_from(data, offset)
        offset += _ATTRIBUTE.size
        if offset + size > len(data):
            return None
        if attribute == _USERNAME:
            return _fragments(data[offset : offset + size])
        offset += size + -size % 4  # RFC 8489 §14: padded to 32 bits
    return None


def _fragments(username: bytes) -> tuple[str, str] | None:
    if len(username) > _MAX_USERNAME_BYTES or not username.isascii():
        return None
    ours, colon, theirs = username.decode().partition(":")
    if not (ours and colon and theirs) or ":" in theirs:
        return None
    return ours, theirs


def authenticate(data: bytes, password: str) -> BindingRequest | None:
    """Read a binding request and check FINGERPRINT and MESSAGE-INTEGRITY with our password."""
    try:
        message = stun.parse_message(data)
    except (ValueError, IndexError, struct.error):
        return None
    if not message.check_message_integrity(password.encode()):
        return None
    return BindingRequest(message.transaction_id, "USE-CANDIDATE" in message.attributes)


def binding_response(request: BindingRequest, address: Address, password: str) -> bytes:
    """The success response: the address as we see it, signed with the same password."""
    response = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=request.transaction_id,
        attributes={"XOR-MAPPED-ADDRESS": address[:2]},
    )
    response.add_message_integrity(password.encode())
    return bytes(response)
