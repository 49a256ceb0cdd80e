"""Where a server is: its public URL, its WebSocket, and the invitation links that lead to it."""

from __future__ import annotations

import ipaddress
from urllib.parse import parse_qs, urlsplit, urlunsplit

_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def websocket_url(url: str) -> str:
    """The signalling WebSocket of the server at a public URL. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in _WEBSOCKET_SCHEMES or not parts.hostname:
        raise ValueError("a server's URL begins with https:// or http:// and names a host")
    path = parts.path.rstrip("/")
    if not path.endswith("/v1/ws"):
        path += "/v1/ws"
    return urlunsplit((_WEBSOCKET_SCHEMES[parts.scheme], parts.netloc, path, "", ""))


def split_link(link: str) -> tuple[str, str]:
    """The server's URL and the token of an invitation link. Raises `ValueError`.

    The token stands in the fragment, which no browser sends to a server.
    """
    parts = urlsplit(link)
    tokens = parse_qs(parts.fragment).get("t", [])
    if len(tokens) != 1 or not parts.hostname:
        raise ValueError("an invitation link ends with #t= and a token")
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")).rstrip("/"), tokens[0]


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine by its loopback address or as ``localhost``."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
