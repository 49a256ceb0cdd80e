"""A client of the recorder's control protocol that keeps itself connected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from recorder.control.messages import Answers, Commands, Done, Events, Failed
from sfu.control.connection import ConnectionLost, ControlConnection

#: A command is answered after an fsync; a disk that takes longer is as good as gone.
_ANSWER_TIMEOUT_S = 10.0
#: Answers and events are short; more is not a recorder.
_MAX_MESSAGE_BYTES = 65_536

_decoder: msgspec.json.Decoder[Answers | Events] = msgspec.json.Decoder(Answers | Events)


class RecorderFailure(Exception):
    """The recorder answered `Failed`; `code` is stable, `detail` is for logs."""

    def __init__(self, code: Literal["bad_message", "disk_full", "internal"], detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class RecorderUnavailable(Exception):
    """No connection, or it was lost or silent before the answer: the command may have been done.

    All commands are harmless when repeated, so the caller asks again when `on_state(True)` comes.
    """


class RecorderClient:
    """Speaks to one recorder at `url` (``ws://host:port/control``).

    Call `start` once, then `request` as often as needed, then `close`. After `on_state(True)` the
    owner repeats what the recorder must know (running recordings, archives not yet confirmed).
    `on_event` and `on_state` are called in the event loop and must return at once.
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
            peer="recorder",
            decoder=_decoder,
            answers=(Done, Failed),
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

    async def request(self, command: Commands) -> Done:
        """Send `command` under a fresh id and wait for its answer.

        Raises `RecorderFailure` when the recorder refuses, `RecorderUnavailable` when there is
        no answer.
        """
        try:
            answer = await self._connection.request(command)
        except ConnectionLost as error:
            raise RecorderUnavailable(str(error)) from error
        if isinstance(answer, Failed):
            raise RecorderFailure(answer.code, answer.detail)
        return answer
