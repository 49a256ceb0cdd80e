"""Everything the signalling server raises on purpose; each error has the code a client reads.

Theirs (`RequestError`): what was asked cannot be done, the asker can mend it. Ours (`ServerError`):
the server or what it stands on failed, asking again later may help. `ConfigError` alone has no
code: it never reaches a client, it stops the start.
"""

from __future__ import annotations

from signaling.protocol.codes import ErrorCode


class ConfigError(Exception):
    """A setting is missing or wrong; the text is one plain sentence for the operator."""


class SignalingError(Exception):
    """Base. `code` is for the client; `detail` is for logs (ids only, nothing of a person)."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(f"{code.value}: {detail}" if detail else code.value)
        self.code = code
        self.detail = detail


class RequestError(SignalingError):
    """Theirs: the request cannot be done as it is."""


class ProtocolError(RequestError):
    """A text that is no message of the protocol; `ref` is its own, when that was readable."""

    def __init__(self, code: ErrorCode, detail: str = "", *, ref: str = "") -> None:
        super().__init__(code, detail)
        self.ref = ref


class TokenError(RequestError):
    """An invitation or session token that is not good (RFC 7519 §7.2)."""


class RoomError(RequestError):
    """A command that the room does not allow: permission, state, limit, or somebody unknown."""


class RoomUnknown(RequestError):
    """There is no room of that id (or it has expired)."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.CONSULTATION_UNKNOWN, detail)


class ServerError(SignalingError):
    """Ours: what was asked is right and could not be done now."""


class StoreUnavailable(ServerError):
    """The store cannot be reached now. What was asked may or may not have been done."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.STORE_UNAVAILABLE, detail)


class InternalError(ServerError):
    """A mistake in this program."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.INTERNAL, detail)


class RoomExists(InternalError):
    """A room of that id is there already: ids are made at random, so this is our mistake."""
