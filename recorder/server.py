"""The recorder's HTTP side: ``/control`` (WebSocket), ``/metrics`` and ``/health``."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from typing import Protocol

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from recorder.control import Answers, Commands, Events, Failed
from recorder.metrics import Metrics

log = logging.getLogger(__name__)

#: A dossier with its whole chat.
_MAX_MESSAGE_BYTES = 4 << 20
_HEARTBEAT_S = 10.0
#: What may wait for a caller that does not read; then the connection is closed and it comes anew.
_MAX_WAITING = 1000
#: More control connections than signalling nodes could ever be.
_MAX_CONNECTIONS = 64
_CLOSE_TIMEOUT_S = 1.0

_decoder = msgspec.json.Decoder(Commands)


class _Numbered(msgspec.Struct):
    """What of a command that is not understood is needed to answer it."""

    id: int = 0


class Handler(Protocol):
    """Carries out commands."""

    async def handle(self, command: Commands) -> Answers: ...


class ControlServer:
    """Serves control connections: make `app` and run it; `emit` sends an event to all of them."""

    def __init__(self, secret: str, metrics: Metrics) -> None:
        self._authorization = f"Bearer {secret}".encode()
        self._metrics = metrics
        self._handler: Handler | None = None
        self._connections: set[_Connection] = set()

    def app(self, handler: Handler) -> web.Application:
        """The application; commands go to `handler`."""
        self._handler = handler
        app = web.Application(client_max_size=_MAX_MESSAGE_BYTES)
        app.router.add_get("/control", self._control)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/health", self._show_health)
        app.on_shutdown.append(self._close)
        return app

    def emit(self, event: Events) -> None:
        """Send an event to every control connection."""
        text = msgspec.json.encode(event).decode()
        for connection in self._connections:
            connection.put(text)

    async def _control(self, request: web.Request) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, self._authorization):
            return web.Response(status=401, text="wrong secret\n")
        if len(self._connections) >= _MAX_CONNECTIONS:
            return web.Response(status=503, text="too many control connections\n")
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, max_msg_size=_MAX_MESSAGE_BYTES, timeout=_CLOSE_TIMEOUT_S
        )
        await socket.prepare(request)
        connection = _Connection(socket)
        self._connections.add(connection)
        self._metrics.connections.inc()
        try:
            await self._serve(connection)
        finally:
            self._metrics.connections.dec()
            self._connections.discard(connection)
            await connection.close()
        return socket

    async def _serve(self, connection: _Connection) -> None:
        assert self._handler is not None
        async for message in connection.socket:
            if message.type is not WSMsgType.TEXT:
                return
            answer = await self._answer(message.data)
            connection.put(msgspec.json.encode(answer).decode())

    async def _answer(self, text: str) -> Answers:
        assert self._handler is not None
        try:
            command = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            self._metrics.commands.labels("unknown", "bad_message").inc()
            return Failed(id=_id_of(text), code="bad_message", detail="not a command")
        try:
            answer = await self._handler.handle(command)
        except Exception:
            log.exception("a command failed")
            answer = Failed(id=command.id, code="internal", detail="a fault of the recorder")
        result = answer.code if isinstance(answer, Failed) else "done"
        self._metrics.commands.labels(str(command.__struct_config__.tag), result).inc()
        return answer

    async def _show_metrics(self, _: web.Request) -> web.Response:
        text = generate_latest(self._metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _show_health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _close(self, _: web.Application) -> None:
        closing = (one.close(WSCloseCode.GOING_AWAY) for one in tuple(self._connections))
        await asyncio.gather(*closing, return_exceptions=True)


class _Connection:
    """One control connection with its own sender, so that a slow caller holds up nobody."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_MAX_WAITING)
        self._sender = asyncio.create_task(self._send(), name="control-send")

    def put(self, text: str) -> None:
        """Send when the caller reads; a caller that does not is disconnected."""
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self._sender.cancel()

    async def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Close the socket and end the sender."""
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)
        await self.socket.close(code=code)

    async def _send(self) -> None:
        try:
            while True:
                await self.socket.send_str(await self._waiting.get())
        except (ConnectionError, RuntimeError):
            log.debug("control connection lost")
        finally:
            with contextlib.suppress(Exception):
                await self.socket.close(code=WSCloseCode.TRY_AGAIN_LATER)


def _id_of(text: str) -> int:
    try:
        return msgspec.json.decode(text, type=_Numbered).id
    except (msgspec.MsgspecError, UnicodeError):
        return 0
