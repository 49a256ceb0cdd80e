"""UDP and TCP on one port number."""

from __future__ import annotations

import socket

import pytest

from sfu.errors import ConfigError
from sfu.server.sockets import open_media_sockets
from sfu.transport.tcp import open_listener


def test_any_port__is_the_same_for_both() -> None:
    udp, tcp = open_media_sockets("127.0.0.1", 0)
    with udp, tcp:
        assert udp.getsockname() == tcp.getsockname()
        assert (udp.type, tcp.type) == (socket.SOCK_DGRAM, socket.SOCK_STREAM)


def test_port_that_tcp_does_not_get__is_refused_and_given_back() -> None:
    with open_listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="cannot listen with TCP"):
            open_media_sockets("127.0.0.1", port)
    udp, tcp = open_media_sockets("127.0.0.1", port)
    udp.close()
    tcp.close()
