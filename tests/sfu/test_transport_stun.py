from __future__ import annotations

import os

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from sfu.transport.stun import authenticate, binding_response, username_fragments

PASSWORD = "our-password"


def request(username: str, *, password: str = PASSWORD, nominate: bool = False) -> bytes:
    """A binding request as a browser sends it."""
    attributes: dict[str, object] = {
        "USERNAME": username,
        "PRIORITY": 1,
        "ICE-CONTROLLING": 2,
    }
    if nominate:
        attributes["USE-CANDIDATE"] = None
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, os.urandom(12), attributes)
    message.add_message_integrity(password.encode())
    return bytes(message)


FRAGMENT = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", min_size=4, max_size=200
)


@given(FRAGMENT, FRAGMENT)
def test_fragments__are_read_from_any_request(ours: str, theirs: str) -> None:
    assert username_fragments(request(f"{ours}:{theirs}")) == (ours, theirs)


@given(st.binary(max_size=200))
def test_fragments__of_any_bytes__never_raise(data: bytes) -> None:
    assert username_fragments(data) is None or data[:2] == b"\0\1"
    assert authenticate(data, PASSWORD) is None


@given(st.data())
def test_fragments__of_a_damaged_request__never_raise(data: st.DataObject) -> None:
    damaged = bytearray(request("ours:theirs"))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    username_fragments(cut)
    username_fragments(bytes(damaged))
    assert authenticate(cut, "another-password") is None


@pytest.mark.parametrize("username", ["ours", ":theirs", "ours:", "a:b:c", ""])
def test_fragments__of_a_name_that_is_no_pair__are_none(username: str) -> None:
    assert username_fragments(request(username)) is None


def test_integrity__is_checked_with_our_password() -> None:
    assert authenticate(request("o:t"), PASSWORD) is not None
    assert authenticate(request("o:t", password="wrong"), PASSWORD) is None
    unsigned = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, None, {"USERNAME": "o:t"})
    assert authenticate(bytes(unsigned), PASSWORD) is None


@pytest.mark.parametrize("nominate", [True, False])
def test_use_candidate__nominates(nominate: bool) -> None:
    read = authenticate(request("o:t", nominate=nominate), PASSWORD)
    assert read is not None
    assert read.nominates is nominate


@pytest.mark.parametrize("address", [("192.0.2.9", 1234), ("2001:db8::1", 4321)])
def test_response__carries_the_address_and_our_signature(address: tuple[str, int]) -> None:
    read = authenticate(request("o:t"), PASSWORD)
    assert read is not None
    response = stun.parse_message(binding_response(read, address, PASSWORD))
    assert response.message_class is stun.Class.RESPONSE
    assert response.transaction_id == read.transaction_id
    assert response.attributes["XOR-MAPPED-ADDRESS"] == address
    assert response.check_message_integrity(PASSWORD.encode())
    assert "FINGERPRINT" in response.attributes
