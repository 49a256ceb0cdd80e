"""What holds for every HTTP request: an id, an error in plain words, headers, a log line, a count.

The log names the route, never the path, the query or the address: links and ids of people are in
those.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import secrets
import time
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from signaling.metrics import Metrics
from signaling.web.problems import HttpProblem, internal_problem, problem_of, too_large_problem
from signaling.web.resources import Problem

log = logging.getLogger(__name__)


_HEADERS = {
    "Server": "vtelehealth",  # versions of what we stand on are nobody's business
    "Content-Security-Policy": (
        "default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob: mediastream:; connect-src 'self' {sockets}; font-src 'self'; "
        "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": (
        "camera=(self), microphone=(self), display-capture=(self), "
        "screen-wake-lock=(self), geolocation=()"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def json_response(value: msgspec.Struct | dict[str, object], status: int = 200) -> web.Response:
    """A JSON answer that no cache keeps."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-store"},
    )


#: A year, as browsers' own lists of https-only sites ask (RFC 6797 §6.1).
_ONLY_HTTPS = "max-age=31536000"


#: A script that stands in a page itself.
_SCRIPT = re.compile(r'<script(?: type="module")?>(.*?)</script>', re.DOTALL)


def middlewares(
    metrics: Metrics, *, page: str = "", only_https: bool = False
) -> tuple[Middleware, ...]:
    """All of them, the outermost first.

    `page` is the text of the page that is served: the scripts in it are allowed, and no others but
    files of ours. `only_https` binds browsers to https from now on.
    """
    scripts = " ".join(("'self'", *map(_hash_source, _SCRIPT.findall(page))))

    @web.middleware
    async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = secrets.token_hex(8)
        started_s = time.perf_counter()
        response = await handler(request)
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
            _add_headers(request, response, scripts)
            if only_https:
                response.headers["Strict-Transport-Security"] = _ONLY_HTTPS
        route = _route(request)
        metrics.requests.labels(route, str(response.status)).inc()
        log.info(
            "%s %s %d %.0f ms %s",
            request.method if route != "none" else "-",
            route,
            response.status,
            (time.perf_counter() - started_s) * 1_000,
            request_id,
        )
        return response

    @web.middleware
    async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            status, problem = _of_aiohttp(error)
            response = json_response(problem, status)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except Exception as error:
            known = problem_of(error)
            if known is None:
                log.exception("request failed")
                known = internal_problem()
            status, problem = known
            response = json_response(problem, status)
            if status == HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = "Bearer"  # RFC 6750 §3
            return response

    return (observed, explained)


def _of_aiohttp(error: web.HTTPException) -> tuple[HTTPStatus, Problem]:
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return too_large_problem()
    codes = {404: "not_found", 405: "method_not_allowed"}
    if error.status < 500:
        told = problem_of(HttpProblem(codes.get(error.status, "bad_request")))
        assert told is not None
        return told
    return internal_problem()


def _route(request: web.Request) -> str:
    """The route's template, such as ``/v1/consultations/{consultation}``: a bounded set."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def _hash_source(script: str) -> str:
    """What allows this script, to the letter (CSP Level 3 §2.3.1 hash-source)."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _add_headers(request: web.Request, response: web.StreamResponse, scripts: str) -> None:
    # Browsers of before 2023 don't count ws: as 'self'; so our own host is named.
    host = request.host
    sockets = f"ws://{host} wss://{host}" if _plain_host(host) else ""
    for name, value in _HEADERS.items():
        response.headers[name] = value.replace("{sockets}", sockets).replace("{scripts}", scripts)


def _plain_host(host: str) -> bool:
    return host.isascii() and all(letter.isalnum() or letter in ".-:[]" for letter in host)
