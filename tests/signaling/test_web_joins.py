"""Joins per address, and whose address a request has."""

from __future__ import annotations

import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from signaling.web.joins import JoinLimiter, client_address

PROXY = ipaddress.ip_network("127.0.0.0/8")


def test_burst_then_one_at_the_rate() -> None:
    limiter = JoinLimiter(30)
    assert [limiter.take("a", 0.0) for _ in range(31)] == [True] * 30 + [False]
    assert limiter.take("b", 0.0), "another address has its own allowance"
    assert not limiter.take("a", 1.9)
    assert limiter.take("a", 2.0)


def test_table_does_not_grow_without_end() -> None:
    limiter = JoinLimiter(1)
    for number in range(25_000):
        limiter.take(str(number), 0.0)
    assert len(limiter._buckets) <= 10_001


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, 127.0.0.2", "203.0.113.9"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "", "198.51.100.7"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, ::ffff:127.0.0.2", "203.0.113.9"),
        ("127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_address(remote: str, forwarded: str, expected: str) -> None:
    assert address(remote, forwarded) == expected


def test_several_header_lines_are_one_list() -> None:
    assert address("127.0.0.1", "192.0.2.1", "203.0.113.9, 127.0.0.2") == "203.0.113.9"


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_any_header_gives_some_address(forwarded: str) -> None:
    assert address("127.0.0.1", forwarded)


def address(remote: str, *forwarded: str) -> str:
    headers = CIMultiDict(("X-Forwarded-For", line) for line in forwarded if line)
    request = make_mocked_request("GET", "/", headers=headers)
    return client_address(request.clone(remote=remote), [PROXY])
