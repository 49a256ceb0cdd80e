from __future__ import annotations

import pytest

from sfu.rtp.extensions import elements, value
from sfu.rtp.packet import RtpPacket
from sfu.streams.header import LegHeader

MID, LEVEL, STAMP, DEPENDENCY = 4, 6, 8, 9
PAYLOAD = b"payload"


@pytest.mark.parametrize("mid_id", [0, MID, 200])
@pytest.mark.parametrize("stamp_id", [0, STAMP])
@pytest.mark.parametrize("level_id", [0, LEVEL, 100])
def test_pack__whatever_was_negotiated__is_there(mid_id: int, stamp_id: int, level_id: int) -> None:
    header = LegHeader(
        0xCAFEBABE,
        mid="seat0",
        mid_id=mid_id,
        audio_level_id=level_id,
        transport_cc_id=stamp_id,
    )
    tail = 0x1234 if header.stamped else header.tail
    plain = header.pack(header.lead | 0x80 | 96, 7, 8, header.head, tail) + PAYLOAD
    assert_is(plain, header, mid_id, stamp_id)
    if level_id:
        assert header.levels
        tail = 0x1234 if header.stamped else header.level_tail
        with_level = header.pack_level(
            header.level_lead | 0x80 | 96, 7, 8, header.level_head, 0x95, header.level_middle, tail
        )
        assert_is(with_level + PAYLOAD, header, mid_id, stamp_id)
        assert value(with_level, level_id) == b"\x95"
        assert len(list(elements(with_level))) == 1 + bool(mid_id) + bool(stamp_id)


def assert_is(data: bytes, header: LegHeader, mid_id: int, stamp_id: int) -> None:
    packet = RtpPacket.parse(data)
    assert (packet.payload_type, packet.sequence, packet.timestamp) == (96, 7, 8)
    assert (packet.ssrc, packet.marker, packet.payload) == (0xCAFEBABE, True, PAYLOAD)
    if mid_id:
        assert value(data, mid_id) == b"seat0"
    if stamp_id:
        assert value(data, stamp_id) == b"\x12\x34"
        at = len(data) - len(PAYLOAD)
        assert data[at - 2 : at] == b"\x12\x34"


@pytest.mark.parametrize("size", [3, 16, 17, 100])
def test_with_dependency__any_size__stamp_is_last(size: int) -> None:
    header = LegHeader(1, mid="0", mid_id=MID, dependency_id=DEPENDENCY, transport_cc_id=STAMP)
    data = b"\x90\x60" + bytes(6) + header.with_dependency(b"d" * size, 0x1234)
    assert value(data, DEPENDENCY) == b"d" * size
    assert value(data, MID) == b"0"
    assert value(data, STAMP) == data[-2:] == b"\x12\x34"
