from __future__ import annotations

import socket

import pytest

from sfu.errors import ConfigError
from sfu.transport.udp import announced, open_socket


def test_announced__are_the_configured_ones() -> None:
    with open_socket("127.0.0.1", 0) as udp:
        port = udp.getsockname()[1]
        assert announced(udp, ["203.0.113.5"]) == [("203.0.113.5", port)]


def test_announced__of_one_address__is_that() -> None:
    with open_socket("127.0.0.1", 0) as udp:
        assert announced(udp, []) == [("127.0.0.1", udp.getsockname()[1])]


def test_announced__of_all_addresses__ends_with_the_loopback() -> None:
    with open_socket("0.0.0.0", 0) as udp:
        port = udp.getsockname()[1]
        found = announced(udp, [])
        assert found[-1] == ("127.0.0.1", port)
        assert all(host != "0.0.0.0" for host, _ in found)


def test_port_in_use__is_one_sentence() -> None:
    with open_socket("127.0.0.1", 0) as first, pytest.raises(ConfigError) as caught:
        open_socket("127.0.0.1", first.getsockname()[1])
    assert str(caught.value).startswith("SFU_UDP_HOST and SFU_UDP_PORT: ")
    assert str(caught.value).endswith(".")


def test_socket__does_not_block_and_has_large_buffers() -> None:
    with open_socket("127.0.0.1", 0) as udp:
        assert not udp.getblocking()
        assert udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 200_000
