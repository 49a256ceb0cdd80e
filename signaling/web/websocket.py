"""The WebSockets of this process: who may open one, how many there are, when all must close."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from signaling.protocol.codec import MAX_MESSAGE_BYTES, SUBPROTOCOL
from signaling.protocol.codes import CloseCode
from signaling.web.joins import RESUMES_PER_JOIN, JoinLimiter, Network, client_address
from signaling.web.problems import HttpProblem
from signaling.web.socket import Desk, Socket

_CHECK_EVERY_S = 1.0
_CLOSE_TIMEOUT_S = 2.0
_DRAIN_WITHIN_S = 4.0


class WebSockets:
    """Serves ``/v1/ws``. `start` it, and `close` it before the consultations.

    `own_origins()` are the addresses of our own pages, beside the request's own host.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        max_open: int,
        max_open_per_address: int,
        joins_per_minute: int,
        allowed_origins: Callable[[], Sequence[str]],
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._desk = desk
        self._max_open = max_open
        self._max_open_per_address = max_open_per_address
        self._allowed_origins = allowed_origins
        self._trusted_proxies = trusted_proxies
        self._joins = JoinLimiter(joins_per_minute)
        self._resumes = JoinLimiter(joins_per_minute * RESUMES_PER_JOIN)
        self._open: set[Socket] = set()
        self._open_by_address: Counter[str] = Counter()
        self._all_gone = asyncio.Event()
        self._draining = False
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch for clients that fell silent."""
        self._watch = asyncio.create_task(self._check_all(), name="silent clients")

    async def close(self) -> None:
        """Tell every client that we go away; they resume elsewhere, or here when we are back."""
        self._draining = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for socket in tuple(self._open):
            socket.shut(CloseCode.GOING_AWAY)
        if self._open:
            try:
                async with asyncio.timeout(_DRAIN_WITHIN_S):
                    await self._all_gone.wait()
            except TimeoutError:
                for socket in tuple(self._open):
                    socket.shut(CloseCode.GOING_AWAY, at_once=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/ws"""
        address = client_address(request, self._trusted_proxies)
        self._check(request, address)
        response = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=_CLOSE_TIMEOUT_S,
            compress=False,  # costs memory for each idle WebSocket, and messages are short
        )
        await response.prepare(request)
        socket = Socket(
            response,
            self._desk,
            may_join=lambda: self._joins.take(address, time.monotonic()),
            may_resume=lambda: self._resumes.take(address, time.monotonic()),
            abort=lambda: _abort(request),
        )
        self._open.add(socket)
        self._open_by_address[address] += 1
        self._all_gone.clear()
        self._desk.metrics.connections.set(len(self._open))
        try:
            await socket.run()
        finally:
            self._open.discard(socket)
            self._open_by_address[address] -= 1
            if not self._open_by_address[address]:
                del self._open_by_address[address]
            self._desk.metrics.connections.set(len(self._open))
            if not self._open:
                self._all_gone.set()
        return response

    def _check(self, request: web.Request, address: str) -> None:
        """Raise `HttpProblem` unless this request may open a WebSocket."""
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(origin.lower(), request.host.lower()):
            raise HttpProblem("forbidden_origin")
        asked = request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in (part.strip() for part in asked.split(",")):
            raise HttpProblem("bad_request", f"subprotocol {SUBPROTOCOL} is required")
        if self._draining or len(self._open) >= self._max_open:
            raise HttpProblem("busy")
        if self._open_by_address[address] >= self._max_open_per_address:
            raise HttpProblem("busy")

    def _is_ours(self, origin: str, host: str) -> bool:
        """Pages of other sites may not speak for a person (RFC 6455 §10.2); apps send no Origin."""
        return urlsplit(origin).netloc == host or origin in self._allowed_origins()

    async def _check_all(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            now = time.time()
            for socket in tuple(self._open):
                socket.check(now)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
