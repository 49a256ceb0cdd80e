"""The HTTP application: routes, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from signaling.metrics import Metrics
from signaling.web.health import Health
from signaling.web.middleware import json_response, middlewares
from signaling.web.openapi import document
from signaling.web.rest import MAX_BODY_BYTES, Rest
from signaling.web.static import StaticFiles
from signaling.web.websocket import WebSockets

#: The browser client, beside the packages.
CLIENT_DIRECTORY = Path(__file__).resolve().parents[2] / "clients" / "web"


def make_app(
    *,
    rest: Rest,
    health: Health,
    websockets: WebSockets,
    metrics: Metrics,
    client_directory: Path = CLIENT_DIRECTORY,
    only_https: bool = False,
) -> web.Application:
    """Everything that this process serves over HTTP; `only_https` when people come by https."""
    page = (client_directory / "index.html").read_text("utf-8")
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=middlewares(metrics, page=page, only_https=only_https),
    )
    operations = (*rest.operations(), *health.operations())
    for operation in operations:
        app.router.add_route(operation.method, operation.path, operation.handler)
    app.router.add_get("/metrics", health.metrics)
    app.router.add_get("/v1/openapi.json", _fixed(document(operations)))
    app.router.add_get("/v1/ws", websockets.serve)
    app.router.add_get("/{path:.*}", StaticFiles(client_directory).serve)
    return app


def _fixed(body: dict[str, Any]) -> Callable[[web.Request], Any]:
    async def serve(request: web.Request) -> web.StreamResponse:
        return json_response(body)

    return serve
