"""Where a peer is: over UDP an address of the socket, over TCP one connection.

Both are an `Address` to the forwarder. That of a TCP connection has a host that no UDP socket ever
hears from, so the two never meet in a table.
"""

from __future__ import annotations

from sfu.forwarder.contract import Address

_TCP = "tcp/"


def tcp_address(host: str, port: int) -> Address:
    """The `Address` of the TCP connection from `host` and `port`."""
    return (_TCP + host, port)


def is_tcp(address: Address) -> bool:
    """Whether it is that of a TCP connection."""
    return address[0].startswith(_TCP)


def reflexive(address: Address) -> tuple[str, int]:
    """The IP address and port that the peer is seen with (RFC 8445 §7.3.1.3)."""
    return (address[0].removeprefix(_TCP), address[1])
