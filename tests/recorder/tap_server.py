"""A small tap as the protocol describes it, written apart from the SFU's, that also misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from sfu.control.tap import Record

SECRET = "s" * 32


@dataclass
class Tap:
    """One tap: `records` grow; those acknowledged are counted and never given again."""

    records: list[Record] = field(default_factory=list)
    acknowledged: int = 0
    connections: int = 0
    asked_after: list[int] = field(default_factory=list)
    #: Drop the connection after each so many records sent; 0: never.
    drop_every: int = 0
    #: Send these bytes instead of the next batch, once.
    garbage: bytes = b""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, records: Sequence[Record]) -> None:
        """More has reached the SFU."""
        self.records += records
        self.news.set()


class TapServer:
    """Taps at ``ws://127.0.0.1:<port>/tap/<name>``."""

    def __init__(self) -> None:
        self.taps: dict[str, Tap] = {}
        self.port = 0
        self.refused = 0
        self._sockets: set[web.WebSocketResponse] = set()

    def url(self, name: str) -> str:
        """Where a recorder finds the tap."""
        return f"ws://127.0.0.1:{self.port}/tap/{name}"

    def tap(self, name: str) -> Tap:
        """The tap of that name, made when missing."""
        return self.taps.setdefault(name, Tap())

    async def hang_up(self) -> None:
        """Cut all connections."""
        for socket in tuple(self._sockets):
            await socket.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle one connection."""
        tap = self.taps.get(request.match_info["name"])
        if request.headers.get("Authorization") != f"Bearer {SECRET}" or tap is None:
            self.refused += 1
            return web.Response(status=401 if tap else 404)
        after = int(request.query["after"])
        assert after >= tap.acknowledged, "a recorder must not forget what it acknowledged"
        tap.asked_after.append(after)
        tap.connections += 1
        socket = web.WebSocketResponse(timeout=1.0)
        await socket.prepare(request)
        self._sockets.add(socket)
        sending = asyncio.create_task(self._send(tap, socket, after))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    tap.acknowledged = max(tap.acknowledged, int(message.data))
        finally:
            self._sockets.discard(socket)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    async def _send(self, tap: Tap, socket: web.WebSocketResponse, after: int) -> None:
        sent = 0
        with contextlib.suppress(ConnectionError):
            while True:
                if tap.garbage:
                    garbage, tap.garbage = tap.garbage, b""
                    await socket.send_bytes(garbage)
                    return
                batch = [record for record in tap.records if record.sequence > after][:20]
                if not batch:
                    tap.news.clear()
                    await tap.news.wait()
                    continue
                await socket.send_bytes(b"".join(bytes(record) for record in batch))
                after = batch[-1].sequence
                sent += len(batch)
                if tap.drop_every and sent >= tap.drop_every:
                    await socket.close()
                    return


@contextlib.asynccontextmanager
async def tap_server(
    serve: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None,
) -> AsyncIterator[TapServer]:
    """A running tap server on a port of its own; `serve` answers in its stead."""
    server = TapServer()
    app = web.Application()
    app.router.add_get("/tap/{name}", serve or server.serve)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await server.hang_up()
        await runner.cleanup()
