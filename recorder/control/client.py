"""A client of the recorder's control protocol that keeps itself connected."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Literal

import aiohttp
import msgspec

from recorder.control.messages import (
    Answers,
    Archived,
    Commands,
    Done,
    Events,
    Failed,
    RecordingState,
)

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 2.0
_CONNECT_TIMEOUT_S = 5.0
#: A command is answered after an fsync; a disk that takes longer is as good as gone.
_ANSWER_TIMEOUT_S = 10.0
#: aiohttp closes the connection when a ping has had no pong after half of this again.
_HEARTBEAT_S = 2.0
#: Answers and events are short; more is not a recorder.
_MAX_MESSAGE_BYTES = 65_536

_decoder = msgspec.json.Decoder(Answers | Events)


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

    Call `start` once, then `request` as often as needed, then `close`. `on_state` is called with
    True after each connect and False after each loss; after True the owner repeats what the
    recorder must know (running recordings, archives not yet confirmed). `on_event` gets each
    event. Both are called in the event loop and must return at once.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        on_event: Callable[[Events], None],
        on_state: Callable[[bool], None],
    ) -> None:
        self._url = url
        self._secret = secret
        self._on_event = on_event
        self._on_state = on_state
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._answers: dict[int, asyncio.Future[Answers | None]] = {}
        self._next_id = 1
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether a request would be sent now."""
        return self._socket is not None

    async def start(self) -> None:
        """Begin to connect; returns at once. `on_state(True)` tells when it has."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="recorder-client")

    async def close(self) -> None:
        """Disconnect for good; requests that wait raise `RecorderUnavailable`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def request(self, command: Commands) -> Done:
        """Send `command` under a fresh id and wait for its answer.

        Raises `RecorderFailure` when the recorder refuses, `RecorderUnavailable` when there is
        no answer.
        """
        socket = self._socket
        if socket is None:
            raise RecorderUnavailable("not connected to the recorder")
        number = self._next_id
        self._next_id += 1
        text = msgspec.json.encode(msgspec.structs.replace(command, id=number)).decode()
        waiting: asyncio.Future[Answers | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = waiting
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await socket.send_str(text)
                answer = await waiting
        except TimeoutError as error:
            raise RecorderUnavailable("the recorder did not answer in time") from error
        except (ConnectionError, aiohttp.ClientError) as error:
            raise RecorderUnavailable("the connection to the recorder was lost") from error
        finally:
            self._answers.pop(number, None)
        if answer is None:
            raise RecorderUnavailable("the connection to the recorder was lost")
        if isinstance(answer, Failed):
            raise RecorderFailure(answer.code, answer.detail)
        return answer

    async def _stay_connected(self) -> None:
        headers = {"Authorization": f"Bearer {self._secret}"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
        retry_s = _FIRST_RETRY_S
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                try:
                    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                        socket = await session.ws_connect(
                            self._url, heartbeat=_HEARTBEAT_S, max_msg_size=_MAX_MESSAGE_BYTES
                        )
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    log.debug("recorder not reached: %s", type(error).__name__)
                else:
                    retry_s = _FIRST_RETRY_S
                    await self._serve(socket)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._tell_state(True)
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self._take(message.data)
        finally:
            self._socket = None
            for number in tuple(self._answers):
                self._answer(number, None)
            self._tell_state(False)
            await socket.close()

    def _take(self, text: str) -> None:
        try:
            message = _decoder.decode(text)
        except msgspec.MsgspecError:
            log.warning("the recorder sent a message that is not of its protocol")
            return
        match message:
            case RecordingState() | Archived():
                try:
                    self._on_event(message)
                except Exception:
                    log.exception("the owner of the recorder client failed on an event")
            case Done() | Failed():
                self._answer(message.id, message)

    def _answer(self, number: int, answer: Answers | None) -> None:
        """Wake the request `number`; None tells it that the connection is gone."""
        waiting = self._answers.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _tell_state(self, connected: bool) -> None:
        try:
            self._on_state(connected)
        except Exception:
            log.exception("the owner of the recorder client failed on a change of state")
