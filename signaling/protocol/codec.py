"""Texts ⇄ messages, strictly: an unknown type or field, or a value out of bounds, is an error."""

from __future__ import annotations

import msgspec

from signaling.errors import ProtocolError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import ClientMessage, Ref, ServerMessage

SUBPROTOCOL = "vtelehealth.v1"
#: The longest message either side takes. An SDP offer of many sections is the largest there is.
MAX_MESSAGE_BYTES = 128 * 1024


class _Referring(msgspec.Struct):
    """As much as can be read of a bad message."""

    ref: Ref = ""


# The type checker does not see that a decoder of a union gives that union.
_client: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_referring = msgspec.json.Decoder(_Referring)
_encoder = msgspec.json.Encoder()


def size_bytes(data: str | bytes) -> int:
    """How long a message is on the wire."""
    return len(data) if isinstance(data, bytes) else len(data.encode(errors="surrogatepass"))


def decode(data: str | bytes) -> ClientMessage:
    """A client's message. Raises `ProtocolError` (bad_message, too_large) with its `ref`."""
    if size_bytes(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(ErrorCode.TOO_LARGE)
    try:
        return _client.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProtocolError(
            ErrorCode.BAD_MESSAGE, type(error).__name__, ref=ref_of(data)
        ) from error


def ref_of(data: str | bytes) -> str:
    """The `ref` of a message that is not decoded, when it is readable; else empty."""
    try:
        return _referring.decode(data).ref
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


def decode_server(data: str | bytes) -> ServerMessage:
    """A server's message, for clients. Raises `ProtocolError` (bad_message)."""
    try:
        return _server.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProtocolError(ErrorCode.BAD_MESSAGE, type(error).__name__) from error


def encode(message: ClientMessage | ServerMessage) -> str:
    """The text of a message."""
    return _encoder.encode(message).decode()
