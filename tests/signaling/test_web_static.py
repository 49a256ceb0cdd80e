"""The web client's files: what is served, how it is cached, and that nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from signaling.metrics import Metrics
from signaling.web.middleware import middlewares
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


async def test_caches_keep_compressed_and_plain_apart(client: Client) -> None:
    async with client.get("/style.css", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        packed_tag, text = response.headers["ETag"], await response.text()
    async with client.get("/style.css", headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["ETag"] != packed_tag
        assert await response.text() == text


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("br, gzip;q=0.8", True),
        ("GZIP", True),
        ("gzip; q=1.000", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, identity", False),
        ("x-gzips", False),
        ("", False),
    ],
)
async def test_compressed_only_for_whom_it_is_acceptable(
    client: Client, accepted: str, packed: bool
) -> None:
    async with client.get("/style.css", headers={"Accept-Encoding": accepted}) as response:
        assert (response.headers.get("Content-Encoding") == "gzip") is packed


async def test_mistyped_page_shows_the_way_in(client: Client) -> None:
    page = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with client.get("/kham/abc", headers=page) as response:
        assert response.status == 404
        assert response.content_type == "text/html"
        assert "Chào" in await response.text()
        assert response.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/v1/nothing", "text/html"), ("/kham/abc", "*/*"), ("/src/gone.js", "text/javascript")],
)
async def test_programs_get_no_page_for_what_is_not_there(
    client: Client, path: str, accept: str
) -> None:
    async with client.get(path, headers={"Accept": accept}) as response:
        assert response.status == 404
        assert "Chào" not in await response.text()


@pytest.mark.parametrize("only_https", [True, False])
async def test_browsers_are_bound_to_https_where_people_come_by_it(only_https: bool) -> None:
    app = web.Application(middlewares=middlewares(Metrics(), only_https=only_https))
    async with TestClient(TestServer(app)) as client, client.get("/") as response:
        assert ("Strict-Transport-Security" in response.headers) is only_https


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
