"""One session of ``vtelehealth.v1`` over a WebSocket, resumed by itself when the network fails.

async with Signalling.connect("https://call.example.vn", token) as session:
    await session.ready()
    await session.until(lambda room: room.my_state == "admitted")
    await session.chat("Xin chào")
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from clients.python.address import websocket_url
from clients.python.backoff import delays_s
from clients.python.errors import ClientError, Disconnected, Refused, SessionOver
from clients.python.opening import open_session
from clients.python.room_copy import RoomCopy
from signaling.errors import ProtocolError
from signaling.protocol.codec import decode_server, encode
from signaling.protocol.codes import CloseCode, ErrorCode
from signaling.protocol.messages import (
    Admit,
    Answer,
    Chat,
    ClientMessage,
    Consent,
    Decision,
    Done,
    End,
    Ended,
    Error,
    Hold,
    Join,
    Language,
    Leave,
    Offer,
    Ping,
    Pong,
    Ready,
    Record,
    Remove,
    Resume,
    Return,
    Room,
    ServerMessage,
)

#: An answer is due within this; the server itself gives the media engine 5 s.
REQUEST_TIMEOUT_S = 10.0
#: The server will not take this session back: connecting again would not help.
_FINAL = {CloseCode.REFUSED, CloseCode.ENDED, CloseCode.REPLACED}
#: Refusals of `resume` that pass by themselves.
_PASSING = {
    ErrorCode.STORE_UNAVAILABLE.value,
    ErrorCode.MEDIA_UNAVAILABLE.value,
    ErrorCode.INTERNAL.value,
    ErrorCode.TOO_MANY.value,
}

_Answer = Done | Answer | Pong

logger = logging.getLogger(__name__)


class Signalling:
    """A person's place in a consultation.

    Made by `connect` or `resume` and entered with ``async with``; leaving the block closes the
    connection and leaves the place (say `leave` first to go on purpose). `room` is what the person
    may see, always the newest. Methods that ask the server raise `Refused` when it says no,
    `Disconnected` when the connection was lost while waiting, `SessionOver` when it is over.
    """

    def __init__(self, url: str, first: Join | Resume) -> None:
        self.url = url
        self._websocket_url = websocket_url(url)
        self._first: Join | Resume = first
        self._socket: ClientConnection | None = None
        self._room: RoomCopy | None = None
        self._connected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._over: ClientError | None = None
        self._refs = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[_Answer]] = {}
        self._until: list[tuple[Callable[[RoomCopy], bool], asyncio.Future[None]]] = []
        self._listeners: dict[Callable[[ServerMessage], None], None] = {}
        self._pauses_s = delays_s(random.SystemRandom())
        #: How often the session was taken up again after a loss.
        self.resumes = 0

    @classmethod
    def connect(cls, url: str, token: str, *, language: Language = "vi") -> Self:
        """A new session by an invitation's token at the server with that public URL."""
        return cls(url, Join(token=token, language=language))

    @classmethod
    def resume(cls, url: str, session: str) -> Self:
        """The session with that secret (`RoomCopy.joined.session`), on any node of the server."""
        return cls(url, Resume(session=session))

    async def __aenter__(self) -> Self:
        await self._open(self._first)
        self._tasks = [
            asyncio.create_task(self._receive(), name="signalling receive"),
            asyncio.create_task(self._keep_alive(), name="signalling keep alive"),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. The server keeps the place for the grace period and after it."""
        self._finish(SessionOver("closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    @property
    def room(self) -> RoomCopy:
        """What this person may see now."""
        if self._room is None:
            raise SessionOver("not connected yet")
        return self._room

    @property
    def over(self) -> ClientError | None:
        """Why the session is over, None while it is not."""
        return self._over

    # ------------------------------------------------------------ asking

    async def request(
        self, message: ClientMessage, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> _Answer:
        """Send a message with a fresh `ref` and wait for what answers it.

        Waits for the connection first when it is being made again. Raises `TimeoutError` too.
        """
        async with asyncio.timeout(timeout_s):
            await self._connected.wait()
            if self._over is not None:
                raise self._over
            assert self._socket is not None
            ref = str(next(self._refs))
            future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
            self._waiting[ref] = future
            try:
                await self._socket.send(encode(msgspec.structs.replace(message, ref=ref)))
                return await future
            except ConnectionClosed as error:
                raise Disconnected("the connection was lost while sending") from error
            finally:
                self._waiting.pop(ref, None)
                if future.done() and not future.cancelled():
                    future.exception()  # seen, also when `send` had already said the same

    async def tell(self, message: ClientMessage) -> None:
        """Send a message that nothing answers; it is lost when there is no connection now."""
        if self._socket is None or self._over is not None or not self._connected.is_set():
            return
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(encode(message))

    async def ready(self) -> None:
        """The lobby is done: wait to be admitted, or enter."""
        await self.request(Ready())

    async def admit(self, participant: str) -> None:
        """Let a waiting person into the call."""
        await self.request(Admit(participant=participant))

    async def hold(self, participant: str) -> None:
        """Take a person out of the call for a while."""
        await self.request(Hold(participant=participant))

    async def bring_back(self, participant: str) -> None:
        """Bring a held person back into the call."""
        await self.request(Return(participant=participant))

    async def remove(self, participant: str) -> None:
        """Put a person out of the consultation."""
        await self.request(Remove(participant=participant))

    async def chat(self, text: str) -> None:
        """Write to everyone in the call."""
        await self.request(Chat(id=secrets.token_hex(8), text=text))

    async def consent(self, decision: Decision) -> None:
        """Decide on being recorded, on the text that `joined` brought."""
        joined = self.room.joined
        asked = joined.consent_texts[0]
        language: Language = self._first.language if isinstance(self._first, Join) else "vi"
        await self.request(
            Consent(
                purpose=asked.purpose,
                decision=decision,
                text_version=asked.version,
                language=language,
            )
        )

    async def record(self, *, on: bool) -> None:
        """Start or stop the recording."""
        await self.request(Record(action="start" if on else "stop"))

    async def offer(self, sdp: str, *, fresh: bool) -> Answer:
        """Negotiate media: an SDP offer for the answer."""
        answer = await self.request(Offer(sdp=sdp, fresh=fresh))
        if not isinstance(answer, Answer):
            raise Disconnected("the offer was answered without an SDP")
        return answer

    async def leave(self) -> None:
        """Go on purpose; the session is over after it."""
        await self._ask_and_end(Leave())

    async def end(self) -> None:
        """End the consultation for everyone; the session is over after it."""
        await self._ask_and_end(End())

    async def _ask_and_end(self, message: ClientMessage) -> None:
        try:
            await self.request(message)
        except SessionOver:  # the end overtook the answer
            return

    # ---------------------------------------------------------- listening

    async def until(
        self, met: Callable[[RoomCopy], bool], *, within_s: float | None = REQUEST_TIMEOUT_S
    ) -> None:
        """Wait until the room is so, however long (None). Raises `TimeoutError`, or `SessionOver`
        when it never will."""
        if met(self.room):
            return
        if self._over is not None:
            raise self._over
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (met, future)
        self._until.append(entry)
        try:
            async with asyncio.timeout(within_s):
                await future
        finally:
            self._until.remove(entry)

    def listen(self, hear: Callable[[ServerMessage], None]) -> Callable[[], None]:
        """Call `hear` with each message, after `room` took it in; calling the result stops that."""
        self._listeners[hear] = None
        return lambda: self._listeners.pop(hear, None)

    # --------------------------------------------------------- connection

    async def _open(self, first: Join | Resume) -> None:
        socket, joined = await open_session(self._websocket_url, first)
        if self._room is None:
            self._room = RoomCopy(joined)
        self._socket = socket
        self._take(joined)
        self._connected.set()

    async def _receive(self) -> None:
        while True:
            assert self._socket is not None
            try:
                async for data in self._socket:
                    self._hear(data)
            except ConnectionClosed:
                pass
            self._connected.clear()
            code = self._socket.close_code
            await self._socket.close()
            self._fail_requests(Disconnected("the connection was lost while waiting"))
            ended = self.room.ended
            if ended is not None or code in _FINAL:
                self._finish(SessionOver(ended.reason if ended else "refused"))
                return
            if not await self._connect_again():
                return

    async def _connect_again(self) -> bool:
        for delay_s in self._pauses_s:
            await asyncio.sleep(delay_s)
            try:
                await self._open(Resume(session=self.room.joined.session))
            except Disconnected:
                continue
            except Refused as error:
                if error.code in _PASSING:
                    continue
                self._finish(SessionOver(error.code))
                return False
            except SessionOver as error:
                self._finish(error)
                return False
            self.resumes += 1
            return True
        raise AssertionError("the delays never end")

    async def _keep_alive(self) -> None:
        while self._over is None:
            await asyncio.sleep(self.room.joined.ping_interval_s)
            try:
                await self.request(Ping())
            except SessionOver:
                return
            except (Disconnected, Refused):
                continue
            except TimeoutError:
                # No answer: the path is dead though nobody closed it. `_receive` opens a new one.
                self.break_connection()

    def break_connection(self) -> None:
        """Drop the connection as a failing network would; it is made again and resumed."""
        if self._socket is not None and self._connected.is_set():
            self._socket.transport.abort()

    def _hear(self, data: str | bytes) -> None:
        try:
            message = decode_server(data)
        except ProtocolError:
            return  # of a newer server: what we do not know we need not do
        self._take(message)

    def _take(self, message: ServerMessage) -> None:
        self.room.apply(message)
        for met, future in self._until:
            self._check(met, future)
        match message:
            case Done() | Answer() | Pong() if message.ref in self._waiting:
                _resolve(self._waiting[message.ref], message)
            case Error() if message.ref in self._waiting:
                _fail(self._waiting[message.ref], Refused(message.code.value, message.text))
            case Room():
                # Only now it stands: a server may say `joined` and fail at the next step.
                self._pauses_s = delays_s(random.SystemRandom())
            case Ended():
                self._finish(SessionOver(message.reason))
        for hear in tuple(self._listeners):
            try:
                hear(message)
            except Exception:  # the caller's fault must not cost the session
                logger.exception("a listener failed")

    def _check(self, met: Callable[[RoomCopy], bool], future: asyncio.Future[None]) -> None:
        if future.done():
            return
        try:
            if met(self.room):
                future.set_result(None)
        except Exception as error:  # whoever waits learns of it
            future.set_exception(error)

    def _finish(self, error: SessionOver) -> None:
        if self._over is None:
            self._over = error
        self._connected.set()  # whoever waits for the connection learns that there is none
        self._fail_requests(self._over)
        for _, future in self._until:
            _fail(future, self._over)

    def _fail_requests(self, error: ClientError) -> None:
        for future in self._waiting.values():
            _fail(future, error)


def _resolve(future: asyncio.Future[_Answer], answer: _Answer) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: asyncio.Future[_Answer] | asyncio.Future[None], error: ClientError) -> None:
    if not future.done():
        future.set_exception(error)
