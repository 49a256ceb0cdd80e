"""One recorder that reads a tap over a WebSocket: batches out, acknowledgements in."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import WSMsgType, web

from sfu.tap import Tap

#: A batch is about as much as a socket buffer takes at once.
BATCH_BYTES = 65_536
#: At most fifty small messages a second, so that a quiet tap costs little.
_BATCH_INTERVAL_S = 0.02
#: An acknowledgement is a decimal number of at most 64 bits.
MAX_ACKNOWLEDGEMENT_BYTES = 20
#: RFC 6455 §7.4.2: codes from 4000 on are ours.
CLOSE_TAKEN_OVER = 4001
CLOSE_BAD_ACKNOWLEDGEMENT = 4002


class TapReader:
    """Serves one connection; `take_over` ends it in favour of a newer one."""

    def __init__(self, tap: Tap, socket: web.WebSocketResponse) -> None:
        self._tap = tap
        self._socket = socket
        self._news = asyncio.Event()
        self._over = False
        #: Set when the recorder has hung up or has it all.
        self.left = asyncio.Event()

    async def serve(self, after: int) -> None:
        """Send everything after record `after` until the recorder hangs up or has it all."""
        self._tap.wake = self._news.set
        self._tap.acknowledge(after)
        writer = asyncio.create_task(self._write(after), name="tap-writer")
        try:
            await self._read()
        finally:
            if self._tap.wake == self._news.set:
                self._tap.wake = None
            writer.cancel()
            self.left.set()
            await asyncio.gather(writer, return_exceptions=True)

    async def take_over(self) -> None:
        """Another connection reads the tap from now on."""
        self._over = True
        await self._socket.close(code=CLOSE_TAKEN_OVER, message=b"taken over")

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT or self._over:
                return
            text = message.data
            if not (text.isascii() and text.isdigit() and self._tap.holds(int(text))):
                await self._socket.close(
                    code=CLOSE_BAD_ACKNOWLEDGEMENT, message=b"not the number of a record"
                )
                return
            self._tap.acknowledge(int(text))
            if self._tap.is_done:
                await self._socket.close()
                return

    async def _write(self, after: int) -> None:
        last = after
        with contextlib.suppress(ConnectionError):
            while True:
                batch, last = self._tap.read(last, BATCH_BYTES)
                if not batch:
                    self._news.clear()
                    await self._news.wait()
                    continue
                await self._socket.send_bytes(batch)
                if len(batch) < BATCH_BYTES // 2:
                    await asyncio.sleep(_BATCH_INTERVAL_S)
