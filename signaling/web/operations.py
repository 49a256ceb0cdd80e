"""The REST API as a table: the routes and the OpenAPI document are both made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import web


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that can be asked for, at a method and path.

    `body` and `answer` are message types; `errors` are the statuses that a good caller may meet
    beside 401, 500 and 503.
    """

    name: str
    method: str
    path: str
    summary: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    status: HTTPStatus = HTTPStatus.OK
    errors: tuple[HTTPStatus, ...] = ()
    secured: bool = True
