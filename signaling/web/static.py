"""The web client's files, from one directory read at start: no path of a request reaches the disk.

They are few and small, so they stay in memory, also compressed, with an entity tag each (RFC 9110
§8.8.3); a browser asks each time whether it has the newest (``no-cache``), so an update needs no
second reload.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".webmanifest": "application/manifest+json",
}
_TEXT = ("text/", "application/json", "image/svg")
#: What is in the client's directory but not for browsers.
_NOT_SERVED = {"test", "node_modules", "tsconfig.json", "jsconfig.json", "package.json"}
_LARGEST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class _File:
    content_type: str
    body: bytes
    etag: str
    packed: bytes
    packed_etag: str

    def response(self, request: web.Request, status: int, vary: str, caching: str) -> web.Response:
        """The representation that the browser takes; 304 when it has that already."""
        headers = {"Cache-Control": caching, "Vary": vary}  # RFC 9110 §12.5.5
        body, etag = self.body, self.etag
        if _takes_gzip(request.headers.get("Accept-Encoding", "")):
            body, etag = self.packed, self.packed_etag
            headers["Content-Encoding"] = "gzip"
        if status == 200:
            headers["ETag"] = f'"{etag}"'
            if {tag.value for tag in request.if_none_match or ()} & {etag, "*"}:
                headers.pop("Content-Encoding", None)
                return web.Response(status=304, headers=headers)
        charset = "utf-8" if self.content_type.startswith(_TEXT) else None
        return web.Response(
            status=status,
            body=body,
            content_type=self.content_type,
            charset=charset,
            headers=headers,
        )


class StaticFiles:
    """The files below `directory`, by URL path; ``/`` is ``index.html``."""

    def __init__(self, directory: Path) -> None:
        self._files: dict[str, _File] = {}
        for path in sorted(directory.rglob("*")):
            relative = path.relative_to(directory)
            if set(relative.parts) & _NOT_SERVED or any(p.startswith(".") for p in relative.parts):
                continue
            content_type = _TYPES.get(path.suffix)
            if content_type and path.is_file() and path.stat().st_size <= _LARGEST_BYTES:
                self._files["/" + relative.as_posix()] = _read(path, content_type)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a GET or HEAD with the file of that path, or 304, or 404."""
        path = request.path
        file = self._files.get("/index.html" if path == "/" else path)
        if file is None:
            return self._explain(request)
        return file.response(request, 200, "Accept-Encoding", "no-cache")

    def _explain(self, request: web.Request) -> web.Response:
        """A person who mistyped gets the page that tells the way in; a program gets a problem."""
        page = self._files.get("/index.html")
        wants_page = "text/html" in request.headers.get("Accept", "")
        if page is None or not wants_page or request.path.startswith("/v1/"):
            raise web.HTTPNotFound
        return page.response(request, 404, "Accept, Accept-Encoding", "no-store")


def _takes_gzip(accepted: str) -> bool:
    """What is accepted with weight 0 is not (RFC 9110 §12.4.2)."""
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


def _read(path: Path, content_type: str) -> _File:
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0)
    return _File(content_type, body, _tag(body), packed, _tag(packed))


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
