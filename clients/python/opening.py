"""Opening the WebSocket of a session: connect, say the first message, be `Joined`."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from clients.python.errors import Disconnected, Refused, SessionOver
from signaling.errors import ProtocolError
from signaling.protocol.codec import SUBPROTOCOL, decode_server, encode
from signaling.protocol.messages import Ended, Error, Join, Joined, Resume, ServerMessage

OPEN_TIMEOUT_S = 10.0
#: A `Room` with 200 people and 512 KiB of chat is the largest message; with room for newer fields.
MAX_MESSAGE_BYTES = 4 * 1_048_576


async def open_session(url: str, first: Join | Resume) -> tuple[ClientConnection, Joined]:
    """Raises `Refused`, `SessionOver`, or `Disconnected` when it is worth another try."""
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            socket = await connect(
                url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                max_size=MAX_MESSAGE_BYTES,
                ping_interval=None,  # the protocol's own `Ping` does it
                close_timeout=1.0,
                proxy=None,
            )
            try:
                await socket.send(encode(first))
                return socket, _joined(decode_server(await socket.recv()))
            except BaseException:
                await socket.close()
                raise
    except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, ProtocolError) as error:
        raise Disconnected("the server cannot be reached") from error


def _joined(message: ServerMessage) -> Joined:
    match message:
        case Joined():
            return message
        case Error():
            raise Refused(message.code.value, message.text)
        case Ended():
            raise SessionOver(message.reason)
    raise Disconnected("the server did not begin with `joined`")
