"""Addresses of UDP peers and of TCP connections."""

from __future__ import annotations

from sfu.forwarder.address import is_tcp, reflexive, tcp_address


def test_tcp_address__is_none_of_udp_and_has_the_real_one_for_the_peer() -> None:
    address = tcp_address("2001:db8::1", 9)
    assert address != ("2001:db8::1", 9)
    assert is_tcp(address)
    assert reflexive(address) == ("2001:db8::1", 9)


def test_udp_address__is_as_it_is() -> None:
    assert not is_tcp(("192.0.2.1", 9))
    assert reflexive(("192.0.2.1", 9)) == ("192.0.2.1", 9)
