"""The sockets that media comes in by: UDP, and TCP on the same port number."""

from __future__ import annotations

import socket

from sfu.errors import ConfigError
from sfu.transport.tcp import open_listener
from sfu.transport.udp import open_socket

#: A port that the kernel gives for UDP may be in use for TCP.
_ATTEMPTS = 16


def open_media_sockets(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Bound and non-blocking: UDP, and a TCP listener. The caller closes both.

    Raises `ConfigError` when the port cannot be had; with port 0 the kernel chooses one.
    """
    for attempt in range(_ATTEMPTS):
        udp = open_socket(host, port)
        try:
            return udp, open_listener(host, udp.getsockname()[1])
        except ConfigError:
            udp.close()
            if port or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")
