from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import extension_block, position_of
from sfu.rtp.packet import RtpPacket, payload_bounds
from sfu.streams.element import Element

WANTED = 5


def packet(items: list[tuple[int, bytes]], csrcs: tuple[int, ...] = ()) -> bytes:
    block = extension_block(items)
    profile = int.from_bytes(block[:2], "big") if block else None
    return bytes(RtpPacket(96, 1, 2, 3, b"payload", False, csrcs, profile, block[4:]))


def found(element: Element, data: bytes) -> bytes | None:
    start, _ = payload_bounds(data)
    at = element.position(data, start)
    return data[at : at + 2] if at else None


def test_position__same_layout__the_value_of_each_packet() -> None:
    element = Element(WANTED, 2)
    for number in range(5):
        data = packet([(1, b"mid"), (WANTED, bytes((number, 9))), (2, b"\7")])
        assert found(element, data) == bytes((number, 9))


def test_position__layout_changes__is_found_anew() -> None:
    element = Element(WANTED, 2)
    layouts: list[list[tuple[int, bytes]]] = [
        [(WANTED, b"ab")],
        [(1, b"mid"), (WANTED, b"cd")],
        [(WANTED, b"ef"), (1, b"mid")],
        [(1, b"other")],
        [],
        [(WANTED, b"gh"), (20, b"two byte form")],
        [(WANTED, b"three")],
    ]
    values = [found(element, packet(items)) for items in layouts]
    assert values == [b"ab", b"cd", b"ef", None, None, b"gh", None]
    assert found(element, packet([(WANTED, b"ij")], csrcs=(1, 2))) == b"ij"


#: Values from a byte range in which no lead of the wanted element lies.
elements = st.dictionaries(
    st.integers(1, 14), st.binary(min_size=1, max_size=5).map(lambda b: bytes(x & 0xF for x in b))
)


@given(st.lists(elements, max_size=10))
def test_position__any_layouts__as_a_search_finds_it(layouts: list[dict[int, bytes]]) -> None:
    element = Element(WANTED, 2)
    for layout in layouts:
        data = packet(list(layout.items()))
        start, _ = payload_bounds(data)
        assert element.position(data, start) == position_of(data, WANTED, 2, start)
