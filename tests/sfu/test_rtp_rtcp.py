from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.rtcp import (
    FullIntraRequest,
    Goodbye,
    Nack,
    PictureLossIndication,
    ReceiverReport,
    Remb,
    ReportBlock,
    RtcpFormatError,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    Unknown,
    compound,
    middle_32,
    ntp_time,
    parse_compound,
)

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
u64 = st.integers(0, (1 << 64) - 1)
names = st.text(max_size=60)

blocks = st.builds(ReportBlock, u32, u8, st.integers(-(1 << 23), (1 << 23) - 1), u32, u32, u32, u32)
block_rows = st.lists(blocks, max_size=31).map(tuple)
sender_reports = st.builds(SenderReport, u32, u64, u32, u32, u32, block_rows)
packets: st.SearchStrategy[RtcpPacket] = st.one_of(
    sender_reports,
    st.builds(ReceiverReport, u32, block_rows),
    st.builds(SourceDescription, st.lists(st.tuples(u32, names), max_size=31).map(tuple)),
    st.builds(Goodbye, st.lists(u32, max_size=31).map(tuple), names),
    st.builds(PictureLossIndication, u32, u32),
    st.builds(FullIntraRequest, u32, st.lists(st.tuples(u32, u8), max_size=8).map(tuple)),
    st.builds(
        Remb,
        u32,
        st.builds(
            lambda mantissa, shift: mantissa << shift,
            st.integers(0, 0x3FFFF),
            u8.map(lambda n: n % 40),
        ),
        st.lists(u32, max_size=20).map(tuple),
    ),
    st.builds(
        Unknown, st.integers(207, 223), st.integers(0, 31), u64.map(lambda n: n.to_bytes(8, "big"))
    ),
)


@given(st.lists(packets, min_size=1, max_size=5))
def test_compound__written_and_read__is_the_same(made: list[RtcpPacket]) -> None:
    assert parse_compound(compound(made)) == made


@given(u32, u32, st.lists(u16, max_size=80, unique=True))
def test_nack__written_and_read__names_the_same_packets(
    sender: int, media: int, sequences: list[int]
) -> None:
    [found] = parse_compound(bytes(Nack(sender, media, tuple(sequences))))
    assert isinstance(found, Nack)
    assert (found.sender_ssrc, found.media_ssrc) == (sender, media)
    assert sorted(found.sequences) == sorted(sequences)


@given(u16, st.lists(st.integers(1, 16), unique=True).map(sorted))
def test_nack__near_each_other__one_item(first: int, steps: list[int]) -> None:
    sequences = (first, *((first + step) & 0xFFFF for step in steps))
    data = bytes(Nack(1, 2, sequences))
    assert len(data) == 16
    assert parse_compound(data) == [Nack(1, 2, sequences)]


@given(st.integers(0, 1 << 60))
def test_remb__any_rate__rounded_down_a_little(rate: int) -> None:
    [found] = parse_compound(bytes(Remb(1, rate, (2,))))
    assert isinstance(found, Remb)
    assert rate * (1 - 2**-17) <= found.bitrate_bps <= rate


@given(st.binary(max_size=200))
def test_parse__any_bytes__packets_or_format_error(data: bytes) -> None:
    try:
        found = parse_compound(data)
    except RtcpFormatError:
        return
    assert found


@given(
    st.integers(0, 31),
    st.sampled_from([200, 201, 202, 203, 205, 206]),
    st.integers(0, 12),
    st.data(),
)
def test_parse__any_body__packets_or_format_error(
    count: int, packet_type: int, words: int, data: st.DataObject
) -> None:
    body = data.draw(st.binary(min_size=4 * words, max_size=4 * words))
    padded = data.draw(st.booleans())
    first = 0x80 | count | (0x20 if padded else 0)
    try:
        found = parse_compound(bytes((first, packet_type, 0, words)) + body)
    except RtcpFormatError:
        return
    assert len(found) == 1


@pytest.mark.parametrize(("nacks", "items"), [(1, 330), (30, 8)])
def test_parse__nacks_of_thousands_of_packets__format_error(nacks: int, items: int) -> None:
    asked = struct.pack("!HH", 0, 0xFFFF) * items
    nack = struct.pack("!BBHII", 0x81, 205, 2 + items, 1, 2) + asked
    with pytest.raises(RtcpFormatError, match="too many packets"):
        parse_compound(nack * nacks)


def test_parse__nack_of_all_that_a_browser_remembers() -> None:
    nack = Nack(1, 2, tuple(range(1000)))
    assert parse_compound(bytes(nack)) == [nack]


@given(st.lists(packets, min_size=1, max_size=3), st.data())
def test_parse__cut_short__format_error(made: list[RtcpPacket], data: st.DataObject) -> None:
    whole = compound(made)
    ends = set()
    end = 0
    for packet in made:
        end += len(bytes(packet))
        ends.add(end)
    cut = data.draw(st.integers(0, len(whole) - 1).filter(lambda size: size not in ends))
    with pytest.raises(RtcpFormatError):
        parse_compound(whole[:cut])


def test_parse__padding_on_the_last_packet__taken_off() -> None:
    report = bytes(ReceiverReport(7))
    padded = bytes((0xA0, 201, 0, 2)) + report[4:] + b"\0\0\0\4"
    assert parse_compound(report + padded) == [ReceiverReport(7), ReceiverReport(7)]
    with pytest.raises(RtcpFormatError, match="padding"):
        parse_compound(padded + report)


@pytest.mark.parametrize("count", [0, 3, 12])
def test_parse__padding_that_cannot_be__format_error(count: int) -> None:
    with pytest.raises(RtcpFormatError, match="padding"):
        parse_compound(bytes((0xA0, 201, 0, 2, 0, 0, 0, 7, 0, 0, 0, count)))


def test_parse__other_items_of_a_description__left_out() -> None:
    chunk = bytes.fromhex("00000007") + b"\x02\x02me" + b"\x01\x01a" + b"\0"
    chunk += bytes(-len(chunk) % 4)
    data = bytes((0x81, 202, 0, len(chunk) // 4)) + chunk
    assert parse_compound(data) == [SourceDescription(((7, "a"),))]


def test_parse__other_feedback__unknown() -> None:
    rapid_resync = bytes((0x85, 205, 0, 2)) + bytes(8)
    other_application = bytes((0x8F, 206, 0, 3)) + bytes(8) + b"ABCD"
    found = parse_compound(rapid_resync + other_application)
    assert [type(packet) for packet in found] == [Unknown, Unknown]


def test_write__too_much__value_error() -> None:
    with pytest.raises(ValueError, match="31"):
        bytes(Goodbye(tuple(range(32))))
    with pytest.raises(ValueError, match="255"):
        bytes(SourceDescription(((1, "a" * 256),)))


def test_report_block__loss_beyond_24_bits__clamped() -> None:
    block = ReportBlock(1, 0, 1 << 30, 0, 0, 0, 0)
    assert ReportBlock.parse(bytes(block)).lost == 0x7F_FFFF


def test_ntp_time__of_1970_and_half_a_second() -> None:
    assert ntp_time(500_000_000) == 2_208_988_800 << 32 | 1 << 31
    assert middle_32(0x1111_2222_3333_4444) == 0x2222_3333


@given(st.integers(0, 4_000_000_000_000_000_000), st.integers(0, 10_000_000_000))
def test_ntp_time__moves_with_time(now_ns: int, later_ns: int) -> None:
    moved = (ntp_time(now_ns + later_ns) - ntp_time(now_ns)) & (1 << 64) - 1
    assert abs(moved * 1_000_000_000 / (1 << 32) - later_ns) < 2
