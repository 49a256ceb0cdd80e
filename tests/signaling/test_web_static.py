"""The web client's files: what is served, how it is cached, and that nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from signaling.web.static import StaticFiles

Client = TestClient[web.Request, web.Application]


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    site = tmp_path / "site"
    for name in ("src/views", "test", ".hidden"):
        (site / name).mkdir(parents=True)
    (site / "index.html").write_text("<!doctype html><p>Chào</p>")
    (site / "style.css").write_text("p { color: black }" * 200)
    (site / "src" / "views" / "call.js").write_text("export const a = 1;")
    (site / "test" / "a.test.js").write_text("test")
    (site / ".hidden" / "a.js").write_text("hidden")
    (site / "notes.txt").write_text("not a type of ours")
    (tmp_path / "secret.js").write_text("outside")
    app = web.Application()
    app.router.add_get("/{path:.*}", StaticFiles(site).serve)
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/style.css", "text/css"),
        ("/src/views/call.js", "text/javascript"),
    ],
)
async def test_files_of_the_client(client: Client, path: str, content_type: str) -> None:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.content_type == content_type
        assert response.headers["Cache-Control"] == "no-cache"


async def test_known_file_is_not_sent_again(client: Client) -> None:
    async with client.get("/") as response:
        tag = response.headers["ETag"]
    async with client.get("/", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""
    async with client.get("/", headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_head_has_no_body(client: Client) -> None:
    async with client.head("/style.css") as response:
        assert response.status == 200
        assert await response.read() == b""


@pytest.mark.parametrize(
    "path",
    [
        "/secret.js",
        "/../secret.js",
        "/src/../../secret.js",
        "/%2e%2e/secret.js",
        "/..%2fsecret.js",
        "//etc/passwd",
        "/etc/passwd",
        "/test/a.test.js",
        "/.hidden/a.js",
        "/notes.txt",
        "/src",
        "/style.css/",
        "/style.css%00",
    ],
)
async def test_nothing_else_is_served(client: Client, path: str) -> None:
    # Bytes of our own: a client library would tidy the path before it sends it.
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split()[1] in (b"400", b"404")
    assert b"outside" not in answer
