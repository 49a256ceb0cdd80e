from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import elements, extension_block, position_of, value
from sfu.rtp.packet import RtpFormatError, RtpPacket, header_length


def packet_with(profile: int, extension: bytes, csrcs: tuple[int, ...] = ()) -> bytes:
    return bytes(RtpPacket(96, 1, 2, 3, b"media", False, csrcs, profile, extension))


def packet_of(items: list[tuple[int, bytes]]) -> bytes:
    head = bytes(RtpPacket(96, 1, 2, 3, b""))
    block = extension_block(items)
    return bytes((head[0] | (0x10 if block else 0),)) + head[1:] + block + b"media"


one_byte_items = st.lists(
    st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)),
    max_size=6,
    unique_by=lambda item: item[0],
)
two_byte_items = st.lists(
    st.tuples(st.integers(1, 255), st.binary(max_size=40)),
    max_size=6,
    unique_by=lambda item: item[0],
)


@given(one_byte_items | two_byte_items)
def test_block__written_and_read__is_the_same(items: list[tuple[int, bytes]]) -> None:
    packet = packet_of(items)
    assert [(found, packet[at : at + size]) for found, at, size in elements(packet)] == items
    assert packet[header_length(packet) :] == b"media"
    for wanted, item in items:
        assert value(packet, wanted) == item
        position = position_of(packet, wanted, len(item), header_length(packet))
        assert packet[position : position + len(item)] == item
        assert position_of(packet, wanted, len(item) + 1, header_length(packet)) == 0


@given(one_byte_items)
def test_block__ends_with_the_last_value(items: list[tuple[int, bytes]]) -> None:
    if items:
        assert extension_block(items).endswith(items[-1][1])


def test_block__short_ids_and_values__one_byte_form() -> None:
    assert extension_block([(4, b"0"), (1, b"\x7f")]) == bytes.fromhex("bede0001 4030 107f")


def test_block__long_id__two_byte_form() -> None:
    assert extension_block([(15, b"ab")]) == bytes.fromhex("10000001 0f026162")


@pytest.mark.parametrize("item", [(0, b"a"), (256, b"a"), (1, bytes(256))])
def test_block__what_cannot_be_written__value_error(item: tuple[int, bytes]) -> None:
    with pytest.raises(ValueError, match="extension"):
        extension_block([item])


@given(
    profile=st.sampled_from([0xBEDE, 0x1000, 0x100F, 0x1234]),
    words=st.integers(0, 12),
    csrcs=st.integers(0, 15),
    data=st.data(),
)
def test_read__any_extension__agrees_and_stays_inside(
    profile: int, words: int, csrcs: int, data: st.DataObject
) -> None:
    extension = data.draw(st.binary(min_size=4 * words, max_size=4 * words))
    packet = packet_with(profile, extension, tuple(range(csrcs)))
    end = header_length(packet)
    first_of: dict[int, tuple[int, int]] = {}
    for found, at, size in elements(packet):
        assert at + size <= end
        first_of.setdefault(found, (at, size))
    for wanted in range(1, 256):
        at, size = first_of.get(wanted, (0, 3))
        assert position_of(packet, wanted, size, end) == at or size == 0


@given(st.binary(max_size=80))
def test_read__any_bytes__no_crash(data: bytes) -> None:
    try:
        found = list(elements(data))
    except RtpFormatError:
        return
    assert all(at + size <= len(data) for _, at, size in found)


def test_read__one_byte_id_15__ends_the_reading() -> None:
    packet = packet_with(0xBEDE, bytes.fromhex("1041 f042 2043 0000"))
    assert value(packet, 1) == b"A"
    assert value(packet, 2) is None
    assert position_of(packet, 2, 1, header_length(packet)) == 0
    assert position_of(packet, 15, 1, header_length(packet)) == 0


def test_read__no_extension__nothing() -> None:
    packet = bytes(RtpPacket(96, 1, 2, 3, b"media"))
    assert list(elements(packet)) == []
    assert position_of(packet, 1, 1, 12) == 0


@pytest.mark.parametrize(("profile", "element"), [(0xBEDE, b"\x51ab"), (0x1000, b"\x05\x02ab")])
def test_long_header__is_not_searched(profile: int, element: bytes) -> None:
    for padding_bytes, is_found in ((300, True), (1_400, False)):
        extension = bytes(padding_bytes) + element
        packet = packet_with(profile, extension + bytes(-len(extension) % 4))
        assert (value(packet, 5) == b"ab") is is_found
        assert (position_of(packet, 5, 2, header_length(packet)) > 0) is is_found
