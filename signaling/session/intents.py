"""What a connection wants after a message: one of these, for the edge to carry out."""

from __future__ import annotations

import msgspec

from signaling.protocol import messages as wire
from signaling.protocol.codes import CloseCode
from signaling.rooms.commands import Command


class Enter(msgspec.Struct, frozen=True, kw_only=True):
    """Look at an invitation's token; then `c.Connect`, and `Connection.welcomed` or `refused`."""

    ref: str
    token: str
    language: wire.Language


class TakeUp(msgspec.Struct, frozen=True, kw_only=True):
    """Look at a session's secret; then `c.Reconnect`, and `Connection.welcomed` or `refused`."""

    ref: str
    session: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Apply a command of this person to their room; `Done` or `Error` with `ref`.

    After an applied `c.Leave` the connection ends with `Ended` (left).
    """

    ref: str
    command: Command


class Negotiate(msgspec.Struct, frozen=True, kw_only=True):
    """Hand an offer to the media engine, when the person is admitted; `Answer` or `Error`."""

    ref: str
    sdp: str
    fresh: bool
    saver: bool


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the media engine how the person's seats are drawn; `Done` or `Error`."""

    ref: str
    seats: tuple[wire.SeatView, ...]
    pinned: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Take in how the person's devices do, without an answer unless there is a `ref` (`Done`).

    None: they come too often, this one counts for nothing.
    """

    ref: str
    stats: wire.Stats | None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Send this, and no more; with `close` set, close the WebSocket after it."""

    message: wire.ServerMessage
    close: CloseCode | None = None


Intent = Enter | TakeUp | Change | Negotiate | Show | Report | Reply
