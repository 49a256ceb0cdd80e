from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.packet import RtpFormatError, RtpPacket, header_length, payload_bounds

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)


@st.composite
def packets(draw: st.DrawFn) -> RtpPacket:
    profile = draw(st.none() | u16)
    words = draw(st.integers(0, 10)) if profile is not None else 0
    return RtpPacket(
        payload_type=draw(st.integers(0, 127)),
        sequence=draw(u16),
        timestamp=draw(u32),
        ssrc=draw(u32),
        payload=draw(st.binary(max_size=60)),
        marker=draw(st.booleans()),
        csrcs=tuple(draw(st.lists(u32, max_size=15))),
        extension_profile=profile,
        extension=draw(st.binary(min_size=4 * words, max_size=4 * words)),
        padding_bytes=draw(st.integers(0, 255)),
    )


@given(packets())
def test_packet__written_and_read__is_the_same(packet: RtpPacket) -> None:
    assert RtpPacket.parse(bytes(packet)) == packet


@given(packets())
def test_payload_bounds__give_the_payload(packet: RtpPacket) -> None:
    data = bytes(packet)
    start, end = payload_bounds(data)
    assert data[start:end] == packet.payload
    assert header_length(data) == start


@given(st.binary(max_size=200))
def test_parse__any_bytes__packet_or_format_error(data: bytes) -> None:
    try:
        packet = RtpPacket.parse(data)
    except RtpFormatError:
        return
    assert len(bytes(packet)) == len(data)


@given(packets(), st.data())
def test_parse__header_cut_short__format_error(packet: RtpPacket, data: st.DataObject) -> None:
    whole = bytes(packet)
    size = data.draw(st.integers(0, header_length(whole) - 1))
    with pytest.raises(RtpFormatError):
        RtpPacket.parse(whole[:size])


def test_parse__other_version__format_error() -> None:
    with pytest.raises(RtpFormatError, match="version"):
        RtpPacket.parse(bytes(12))


@pytest.mark.parametrize("count", [0, 2, 255])
def test_parse__padding_that_cannot_be__format_error(count: int) -> None:
    with pytest.raises(RtpFormatError, match="padding"):
        RtpPacket.parse(b"\xa0" + bytes(11) + bytes((count,)))
