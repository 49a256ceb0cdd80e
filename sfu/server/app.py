"""The HTTP side: control, taps, metrics, health."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sfu.control.messages import Events
from sfu.ids import RoomId, TapId
from sfu.metrics import Metrics
from sfu.router.router import Router
from sfu.server.connection import MAX_MESSAGE_BYTES, ControlConnection
from sfu.server.tap_reader import MAX_ACKNOWLEDGEMENT_BYTES, TapReader

#: A recorder or signalling node that is gone without a word is noticed so soon.
_HEARTBEAT_S = 10.0
#: How long a closing handshake is waited for: somebody who is gone does not answer.
_CLOSE_S = 0.5
_MAX_AFTER_DIGITS = 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlApp:
    """The aiohttp application and the connections it serves."""

    def __init__(self, secret: str, router: Router, metrics: Metrics) -> None:
        self._secret = secret.encode()
        self._router = router
        self._metrics = metrics
        self._connections: set[ControlConnection] = set()
        self._readers: dict[TapId, TapReader] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/control", self._guarded(self._control)),
                web.get("/tap/{tap}", self._guarded(self._tap)),
                web.get("/metrics", self._read_metrics),
                web.get("/health", self._read_health),
            ]
        )

    def emit(self, room: RoomId, event: Events) -> None:
        """Tell every connection that has opened the room."""
        for connection in self._connections:
            if connection.watches(room):
                connection.tell(event)

    def emit_to_all(self, event: Events) -> None:
        """Tell every connection."""
        for connection in self._connections:
            connection.tell(event)

    def watched(self, room: RoomId) -> bool:
        """Whether any connection has opened the room."""
        return any(connection.watches(room) for connection in self._connections)

    def forget_closed_rooms(self) -> None:
        """Let connections forget rooms that are no more; call now and then."""
        for connection in self._connections:
            connection.keep(self._router.rooms.keys())

    async def taps_read(self) -> None:
        """Wait until each tap that is being read was read to its end, or its reader has left."""
        await asyncio.gather(*(reader.left.wait() for reader in tuple(self._readers.values())))

    async def close(self) -> None:
        """Hang up on everybody (RFC 6455 §7.4.1: 1001, going away)."""
        await asyncio.gather(
            *(socket.close(code=1001, message=b"going away") for socket in self._sockets),
            return_exceptions=True,
        )

    def _guarded(self, handler: Handler) -> Handler:
        expected = b"Bearer " + self._secret

        async def guard(request: web.Request) -> web.StreamResponse:
            shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(shown, expected):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
            return await handler(request)

        return guard

    async def _control(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=_CLOSE_S, max_msg_size=MAX_MESSAGE_BYTES, heartbeat=_HEARTBEAT_S
        )
        await socket.prepare(request)
        connection = ControlConnection(self._router)
        self._connections.add(connection)
        self._sockets.add(socket)
        try:
            await connection.serve(socket)
        finally:
            self._connections.discard(connection)
            self._sockets.discard(socket)
        return socket

    async def _tap(self, request: web.Request) -> web.StreamResponse:
        tap = self._router.taps.get(TapId(request.match_info["tap"]))
        if tap is None:
            raise web.HTTPNotFound(text="there is no such tap")
        text = request.query.get("after", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_AFTER_DIGITS):
            raise web.HTTPBadRequest(text="after must be a decimal number")
        if not tap.holds(int(text)):
            raise web.HTTPConflict(text="the tap has no such record yet")
        socket = web.WebSocketResponse(
            timeout=_CLOSE_S, max_msg_size=MAX_ACKNOWLEDGEMENT_BYTES, heartbeat=_HEARTBEAT_S
        )
        await socket.prepare(request)
        reader = TapReader(tap, socket)
        older, self._readers[tap.id] = self._readers.get(tap.id), reader
        self._sockets.add(socket)
        leaving = older.take_over() if older is not None else asyncio.sleep(0)
        try:
            await asyncio.gather(reader.serve(int(text)), leaving)
        finally:
            self._sockets.discard(socket)
            if self._readers.get(tap.id) is reader:
                del self._readers[tap.id]
        return socket

    async def _read_metrics(self, _: web.Request) -> web.StreamResponse:
        text = generate_latest(self._metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _read_health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})
