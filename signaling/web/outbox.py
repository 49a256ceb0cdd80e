"""What waits to be sent on one WebSocket: bounded, so that a slow client costs only itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import WSCloseCode, web

from signaling.protocol.codec import size_bytes

#: A burst when a large room is entered is some tens of messages; more means that nobody reads.
#: Only what waits already is counted: that the next message is large is not the client's fault, and
#: refusing it would shut the client out each time that it comes back.
MAX_WAITING = 256
MAX_WAITING_BYTES = 1024 * 1024
#: How long a client may take to answer our close frame (RFC 6455 §7.1.1).
_CLOSE_WITHIN_S = 2.0


class Outbox:
    """`put` texts and at last `close`; `run` sends them and returns; then `shut` the WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, abort: Callable[[], None]) -> None:
        self._socket = socket
        self._abort = abort  # drops the TCP connection, for a client that reads nothing any more
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._something = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self.close_code: int | None = None

    def put(self, text: str) -> bool:
        """Queue a text. False when there is no room for it; what is closed takes none silently."""
        if self.close_code is not None:
            return True
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            return False
        self._waiting.append(text)
        self._waiting_bytes += size_bytes(text)
        self._something.set()
        return True

    def close(self, code: int, *, at_once: bool = False) -> None:
        """Close after what waits has been sent, or at once. The first code counts."""
        if self.close_code is None:
            self.close_code = code
        if at_once:
            self._waiting.clear()
            if self._sending is not None:
                self._sending.cancel()
        self._something.set()

    async def run(self) -> None:
        """Send until closed by either side."""
        self._sending = asyncio.create_task(self._send_all(), name="outbox")
        try:
            await self._sending
        except asyncio.CancelledError:
            if _are_cancelled():
                self._sending.cancel()
                raise
        except ConnectionError:
            return

    async def _send_all(self) -> None:
        while not self._socket.closed:
            while self._waiting:
                text = self._waiting.popleft()
                self._waiting_bytes -= size_bytes(text)
                await self._socket.send_str(text)
            if self.close_code is not None:
                return
            self._something.clear()
            await self._something.wait()

    async def shut(self) -> None:
        """Close the WebSocket, when `run` is over and nobody reads from it any more.

        Otherwise aiohttp drops the connection before the client has answered our close frame.
        """
        code = self.close_code or WSCloseCode.OK
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                # Not drained: a client that reads nothing would keep us here.
                await self._socket.close(code=code, drain=False)
        except (TimeoutError, ConnectionError):
            self._abort()
        except asyncio.CancelledError:
            # aiohttp's writers share one waiter: after a send was cut short they all raise this.
            self._abort()
            if _are_cancelled():
                raise


def _are_cancelled() -> bool:
    """Whether it is the running task that is to end, and not one that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
