"""A client of the SFU's control protocol that keeps itself connected."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sfu.control.connection import ConnectionLost, ControlConnection
from sfu.control.messages import (
    Answers,
    Commands,
    Events,
    Failure,
    Negotiated,
    Reply,
    Statistics,
)
from sfu.errors import SfuFailure, SfuUnavailable

__all__ = ["SfuClient", "SfuFailure", "SfuUnavailable"]

_ANSWER_TIMEOUT_S = 5.0
#: The largest answer is a room's statistics: some 150 bytes for each of its legs.
_MAX_MESSAGE_BYTES = 8 * 1024 * 1024

_decoder: msgspec.json.Decoder[Answers | Events] = msgspec.json.Decoder(Answers | Events)


class SfuClient:
    """Speaks to one SFU at `url` (``ws://host:port/control``).

    Call `start` once, then `request` as often as needed, then `close`. After `on_state(True)` the
    owner opens its rooms again. `on_event` and `on_state` are called in the event loop and must
    return at once.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        on_event: Callable[[Events], None],
        on_state: Callable[[bool], None],
    ) -> None:
        self._connection: ControlConnection[Answers, Events] = ControlConnection(
            url,
            secret,
            peer="SFU",
            decoder=_decoder,
            answers=(Reply, Negotiated, Statistics, Failure),
            answer_timeout_s=_ANSWER_TIMEOUT_S,
            max_message_bytes=_MAX_MESSAGE_BYTES,
            on_event=on_event,
            on_state=on_state,
        )
        self.start = self._connection.start
        self.close = self._connection.close

    @property
    def connected(self) -> bool:
        """Whether a request would be sent now."""
        return self._connection.connected

    async def request(self, command: Commands) -> Reply | Negotiated | Statistics:
        """Send `command` under a fresh id and wait for its answer.

        Raises `SfuFailure` when the SFU refuses, `SfuUnavailable` when there is no answer.
        """
        try:
            answer = await self._connection.request(command)
        except ConnectionLost as error:
            raise SfuUnavailable(str(error)) from error
        if isinstance(answer, Failure):
            raise SfuFailure(answer.code, answer.detail)
        return answer
