"""One control connection: commands in their order, answers and events out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Set

import msgspec
from aiohttp import WSMsgType, web

from sfu import clock
from sfu.control.messages import Answers, Commands, Events, Failure, OpenRoom
from sfu.errors import CommandError
from sfu.ids import RoomId
from sfu.router.router import Router

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024
#: A caller that reads nothing for so many messages is as good as gone; it connects anew and gets
#: everything as it then is.
_MAX_WAITING = 4096

_decoder: msgspec.json.Decoder[Commands] = msgspec.json.Decoder(Commands)


class _AnyCommand(msgspec.Struct):
    """What can be read of a broken command, to answer it."""

    id: int = 0


_id_decoder = msgspec.json.Decoder(_AnyCommand)


class ControlConnection:
    """Serves one signalling node until it hangs up. Dropping it closes nothing."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._rooms: set[RoomId] = set()
        self._waiting: asyncio.Queue[Answers | Events] = asyncio.Queue(_MAX_WAITING)
        self._overflowed = False

    def watches(self, room: RoomId) -> bool:
        """Whether this connection has opened the room."""
        return room in self._rooms

    def tell(self, message: Answers | Events) -> None:
        """Send a message, in order; a connection that does not keep up is closed."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._overflowed = True

    def keep(self, rooms: Set[RoomId]) -> None:
        """Forget all rooms but these."""
        self._rooms &= rooms

    async def serve(self, socket: web.WebSocketResponse) -> None:
        """Read commands until the connection ends."""
        writer = asyncio.create_task(self._write(socket), name="control-writer")
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                self._take(message.data)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def _take(self, text: str) -> None:
        now_ns = clock.now_ns()
        try:
            command = _decoder.decode(text)
        except msgspec.MsgspecError as error:
            self.tell(_bad_message(text, error))
            return
        if isinstance(command, OpenRoom):
            self._rooms.add(command.room)
        try:
            self._do(command, now_ns)
        except Exception:  # a fault of ours must not take this caller's other rooms down
            log.exception("command %s failed", type(command).__name__)
            failure = "the SFU failed; see its log"
            self.tell(Failure(id=command.id, code="internal", detail=failure))

    def _do(self, command: Commands, now_ns: int) -> None:
        try:
            self.tell(self._router.handle(command, now_ns))
        except CommandError as error:
            self.tell(Failure(id=command.id, code=error.code, detail=error.detail))
        else:
            if isinstance(command, OpenRoom):
                for event in self._router.snapshot(command.room):
                    self.tell(event)
        self._router.settle(now_ns)

    async def _write(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while not self._overflowed:
                message = await self._waiting.get()
                await socket.send_str(msgspec.json.encode(message).decode())
            log.warning("a control connection did not keep up and is closed")
            await socket.close(code=1013, message=b"too slow")  # RFC 6455 §7.4, try again later


def _bad_message(text: str, error: msgspec.MsgspecError) -> Failure:
    try:
        number = _id_decoder.decode(text).id
    except msgspec.MsgspecError:
        number = 0
    # The text of a decoding error names fields and types, never values.
    return Failure(id=number, code="bad_message", detail=str(error)[:200])
