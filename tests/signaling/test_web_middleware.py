"""The headers of every answer: which scripts a browser may run."""

from __future__ import annotations

import base64
import hashlib

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from signaling.metrics import Metrics
from signaling.web.middleware import middlewares

FIRST = "\n  import('/a.js');\n  // chữ có dấu\n"
SECOND = "b()"


def hash_of(script: str) -> str:
    """As a browser computes it of what stands between the tags."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@pytest.mark.parametrize(
    ("page", "allowed"),
    [
        ("<p>Chào</p>", []),
        ('<script type="module" src="/a.js"></script>', []),
        (
            f'<script type="module">{FIRST}</script><p></p><script>{SECOND}</script>',
            [FIRST, SECOND],
        ),
    ],
)
async def test_only_files_of_ours_and_the_scripts_of_the_page_may_run(
    page: str, allowed: list[str]
) -> None:
    app = web.Application(middlewares=middlewares(Metrics(), page=page))
    async with TestClient(TestServer(app)) as client, client.get("/") as response:
        policy = response.headers["Content-Security-Policy"]
    scripts = next(rule for rule in policy.split("; ") if rule.startswith("script-src"))
    assert scripts.split()[1:] == ["'self'", *map(hash_of, allowed)]
