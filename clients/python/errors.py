"""What can go wrong for a caller of this client."""

from __future__ import annotations

from signaling.protocol.messages import Text


class ClientError(Exception):
    """Base of all errors of this client."""


class Refused(ClientError):
    """The server answered with an error: `code` is stable, `text` is for people."""

    def __init__(self, code: str, text: Text) -> None:
        super().__init__(f"{code}: {text.en}")
        self.code = code
        self.text = text


class Disconnected(ClientError):
    """The connection was lost: what was asked may or may not have been done."""


class SessionOver(ClientError):
    """The session cannot be resumed: it ended, was removed, replaced, or is not known any more."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MediaFailed(ClientError):
    """No media connection came about."""
