from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket, payload_bounds
from sfu.rtp.rtx import original_sequence, restore
from sfu.streams.header import LegHeader
from sfu.streams.rtx import MAX_PADDING_BYTES, RtxWriter


def header(ssrc: int, stamped: bool) -> LegHeader:
    return LegHeader(ssrc, mid="7", mid_id=2, transport_cc_id=3 if stamped else 0)


@given(st.booleans(), st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=50), st.booleans())
def test_repeat__then_restored__is_the_packet(
    stamped: bool, sequence: int, payload: bytes, marker: bool
) -> None:
    ours = header(1, stamped)
    tail = 5 if stamped else ours.tail
    data = ours.pack(ours.lead | marker << 7 | 96, sequence, 99, ours.head, tail) + payload
    writer = RtxWriter(header(2, stamped), 0xFFFE)
    for number in (0xFFFF, 0):
        repeated = writer.repeat(data, 97, 6)
        packet = RtpPacket.parse(repeated)
        assert (packet.ssrc, packet.payload_type, packet.sequence) == (2, 97, number)
        assert value(repeated, 3) == (b"\0\6" if stamped else None)
        start, end = payload_bounds(repeated)
        assert original_sequence(repeated, start, end) == sequence
        restored = RtpPacket.parse(restore(repeated, start, 1, 96))
        assert (restored.payload, restored.timestamp) == (payload, 99)
        assert (restored.marker, restored.sequence) == (marker, sequence)
        assert value(repeated, 2) == b"7"


def test_padding__has_no_payload() -> None:
    writer = RtxWriter(header(2, True), 4)
    for wanted, size in ((0, 1), (100, 100), (5000, MAX_PADDING_BYTES)):
        data = writer.padding(wanted, 97, 1234, 9)
        packet = RtpPacket.parse(data)
        assert (packet.payload, packet.padding_bytes, packet.timestamp) == (b"", size, 1234)
        assert value(data, 3) == b"\0\x09"
