"""Whether this process lives, whether a consultation can be held now, and what it counts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from signaling.live.consultations import Consultations
from signaling.metrics import Metrics
from signaling.web.middleware import json_response
from signaling.web.operations import Operation
from signaling.web.resources import Alive, Readiness


class Health:
    """The handlers of /health, /ready and /metrics."""

    def __init__(self, consultations: Consultations, metrics: Metrics) -> None:
        self._consultations = consultations
        self._metrics = metrics

    def operations(self) -> tuple[Operation, ...]:
        """The two that are part of the API document."""
        return (
            Operation(
                name="health",
                method="GET",
                path="/health",
                summary="Whether the process lives.",
                handler=self.health,
                answer=Alive,
                secured=False,
            ),
            Operation(
                name="readiness",
                method="GET",
                path="/ready",
                summary="Whether a consultation can be held now, and what is missing if not.",
                handler=self.ready,
                answer=Readiness,
                errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
                secured=False,
            ),
        )

    async def health(self, request: web.Request) -> web.StreamResponse:
        """GET /health"""
        return json_response(Alive())

    async def ready(self, request: web.Request) -> web.StreamResponse:
        """GET /ready"""
        missing: list[Literal["store", "sfu", "recorder"]] = []
        if not await self._consultations.store_answers():
            missing.append("store")
        if not self._consultations.media.serving():
            missing.append("sfu")
        if not self._consultations.recordings.connected:
            missing.append("recorder")
        status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        return json_response(Readiness(ready=not missing, missing=tuple(missing)), status)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET /metrics"""
        return web.Response(
            body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )
