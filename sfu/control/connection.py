"""A control connection that keeps itself up: JSON texts over a WebSocket, requests by number.

What `SfuClient` and the recorder's client have in common. Both ends are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import aiohttp
import msgspec

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 2.0
_CONNECT_TIMEOUT_S = 5.0
#: aiohttp closes the connection when a ping has had no pong after half of this again.
_HEARTBEAT_S = 2.0

Answer = TypeVar("Answer")
Event = TypeVar("Event")


class ConnectionLost(Exception):
    """No connection, or it was lost or silent before the answer: the command may have been done."""


class ControlConnection(Generic[Answer, Event]):
    """Speaks to the program called `peer` at `url` (``ws://host:port/control``).

    Call `start` once, then `request` as often as needed, then `close`. `decoder` reads answers
    and events; what is one of `answers` has the `id` of its request, all else is an event.
    `on_state` is called with True after each connect and False after each loss, `on_event` with
    each event; both in the event loop, and both must return at once.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        peer: str,
        decoder: msgspec.json.Decoder[Any],
        answers: tuple[type[Any], ...],
        answer_timeout_s: float,
        max_message_bytes: int,
        on_event: Callable[[Event], None],
        on_state: Callable[[bool], None],
    ) -> None:
        self._url = url
        self._secret = secret
        self._peer = peer
        self._decoder = decoder
        self._answer_types = answers
        self._answer_timeout_s = answer_timeout_s
        self._max_message_bytes = max_message_bytes
        self._on_event = on_event
        self._on_state = on_state
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._answers: dict[int, asyncio.Future[Answer | None]] = {}
        self._next_id = 1
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether a request would be sent now."""
        return self._socket is not None

    async def start(self) -> None:
        """Begin to connect; returns at once. `on_state(True)` tells when it has."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name=f"{self._peer}-client")

    async def close(self) -> None:
        """Disconnect for good; requests that wait raise `ConnectionLost`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def request(self, command: msgspec.Struct) -> Answer:
        """Send `command` under a fresh `id` and wait for its answer. Raises `ConnectionLost`."""
        socket = self._socket
        if socket is None:
            raise ConnectionLost(f"not connected to the {self._peer}")
        number = self._next_id
        self._next_id += 1
        text = msgspec.json.encode(msgspec.structs.replace(command, id=number)).decode()
        waiting: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = waiting
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await socket.send_str(text)
                answer = await waiting
        except TimeoutError as error:
            raise ConnectionLost(f"the {self._peer} did not answer in time") from error
        except (ConnectionError, aiohttp.ClientError) as error:
            raise ConnectionLost(f"the connection to the {self._peer} was lost") from error
        finally:
            self._answers.pop(number, None)
        if answer is None:
            raise ConnectionLost(f"the connection to the {self._peer} was lost")
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
                            self._url, heartbeat=_HEARTBEAT_S, max_msg_size=self._max_message_bytes
                        )
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    log.debug("%s not reached: %s", self._peer, type(error).__name__)
                else:
                    retry_s = _FIRST_RETRY_S
                    await self._serve(socket)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._tell(self._on_state, True)
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self._take(message.data)
        finally:
            self._socket = None
            for number in tuple(self._answers):
                self._answer(number, None)
            self._tell(self._on_state, False)
            await socket.close()

    def _take(self, text: str) -> None:
        try:
            message = self._decoder.decode(text)
        except msgspec.MsgspecError:
            log.warning("the %s sent a message that is not of its protocol", self._peer)
            return
        if isinstance(message, self._answer_types):
            self._answer(message.id, message)
        else:
            self._tell(self._on_event, message)

    def _answer(self, number: int, answer: Any) -> None:
        """Wake the request `number`; None tells it that the connection is gone."""
        waiting = self._answers.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _tell(self, owner: Callable[[Any], None], what: object) -> None:
        try:
            owner(what)
        except Exception:
            log.exception("the owner of the connection to the %s failed", self._peer)
