from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.demux import Protocol, classify


@given(st.binary(max_size=40))
def test_classify__any_bytes__has_an_answer(data: bytes) -> None:
    assert classify(data) in Protocol


@pytest.mark.parametrize(
    ("first", "protocol"),
    [
        (0, Protocol.STUN),
        (3, Protocol.STUN),
        (4, Protocol.OTHER),
        (16, Protocol.OTHER),
        (19, Protocol.OTHER),
        (20, Protocol.DTLS),
        (63, Protocol.DTLS),
        (64, Protocol.OTHER),
        (79, Protocol.OTHER),
        (127, Protocol.OTHER),
        (128, Protocol.RTP),
        (191, Protocol.RTP),
        (192, Protocol.OTHER),
        (255, Protocol.OTHER),
    ],
)
def test_classify__first_byte__as_rfc_7983(first: int, protocol: Protocol) -> None:
    assert classify(bytes((first, 96))) is protocol


@pytest.mark.parametrize("second", [0, 63, 96, 127, 128 + 96])
def test_classify__payload_type_of_media__rtp(second: int) -> None:
    assert classify(bytes((0x80, second))) is Protocol.RTP


@pytest.mark.parametrize("second", [64, 95, 200, 201, 206, 192])
def test_classify__payload_type_64_to_95__rtcp(second: int) -> None:
    assert classify(bytes((0x80, second))) is Protocol.RTCP


def test_classify__too_short_to_tell__other() -> None:
    assert classify(b"") is Protocol.OTHER
    assert classify(b"\x80") is Protocol.OTHER
