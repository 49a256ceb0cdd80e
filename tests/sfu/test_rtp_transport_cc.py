from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sfu.rtp import transport_cc
from sfu.rtp.rtcp import (
    PictureLossIndication,
    ReceiverReport,
    RtcpFormatError,
    RtcpPacket,
    TransportFeedback,
    compound,
    parse_compound,
)

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u24 = st.integers(0, 0xFF_FFFF)
u32 = st.integers(0, 0xFFFF_FFFF)


@st.composite
def feedbacks(draw: st.DrawFn) -> TransportFeedback:
    """Any feedback: runs and gaps of any length, small and large steps of time."""
    statuses: list[bool] = []
    for arrived, length in draw(
        st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=12)
    ):
        statuses += [arrived] * length
    statuses += [False] * draw(st.sampled_from([0, 0, 9_000]))
    offsets = tuple(i for i, arrived in enumerate(statuses) if arrived)
    step = st.one_of(st.integers(0, 255), st.integers(0, 20), st.integers(-0x8000, 0x7FFF))
    ticks: list[int] = []
    now = 0
    for _ in offsets:
        now += draw(step)
        ticks.append(now)
    return TransportFeedback(
        draw(u32), draw(u32), draw(u16), draw(u8), draw(u24), len(statuses), offsets, tuple(ticks)
    )


def body(statuses: int, *chunks: int, deltas: bytes = b"") -> bytes:
    """A whole packet made by hand."""
    fixed = struct.pack("!IIHHI", 1, 2, 100, statuses, 7 << 8 | 3)
    rest = fixed + b"".join(chunk.to_bytes(2, "big") for chunk in chunks) + deltas
    rest += bytes(-len(rest) % 4)
    return struct.pack("!BBH", 0x8F, 205, len(rest) // 4) + rest


def parse(data: bytes) -> TransportFeedback:
    [packet] = parse_compound(data)
    assert isinstance(packet, TransportFeedback)
    return packet


@given(feedbacks())
def test_feedback__written_and_read__is_the_same(feedback: TransportFeedback) -> None:
    assert parse_compound(bytes(feedback)) == [feedback]


@given(feedbacks())
def test_feedback__among_others__is_the_same(feedback: TransportFeedback) -> None:
    packets: list[RtcpPacket] = [ReceiverReport(1), feedback, PictureLossIndication(1, 2)]
    assert parse_compound(compound(packets)) == packets


def test_parse__run_of_small_steps() -> None:
    found = parse(body(3, 0x2003, deltas=bytes((4, 8, 0))))
    assert found == TransportFeedback(1, 2, 100, 3, 7, 3, (0, 1, 2), (4, 12, 12))


def test_parse__one_bit_vector__says_no_more_than_the_count() -> None:
    # 10110000000000, of which the first five count.
    found = parse(body(5, 0x8000 | 0b10110000000000, deltas=bytes((1, 2, 3))))
    assert (found.offsets, found.ticks) == ((0, 2, 3), (1, 3, 6))


def test_parse__two_bit_vector__large_and_negative_steps() -> None:
    # Symbols 1, 0, 2, 2, 0, 0, 0.
    deltas = bytes((5,)) + (1000).to_bytes(2, "big") + (-8).to_bytes(2, "big", signed=True)
    found = parse(body(7, 0xC000 | 0b01001010000000, deltas=deltas))
    assert (found.offsets, found.ticks) == ((0, 2, 3), (5, 1005, 997))


def test_parse__vector_beyond_the_count__no_arrivals_there() -> None:
    found = parse(body(2, 0xBFFF, deltas=bytes((1, 1))))
    assert found.offsets == (0, 1)


@pytest.mark.parametrize("padding", [1, 2, 3])
def test_parse__padded_as_browsers_do__in_the_middle_of_a_compound(padding: int) -> None:
    deltas = bytes(6 - padding)
    fixed = struct.pack("!IIHHI", 1, 2, 100, len(deltas), 0)
    rest = fixed + (0x2000 | len(deltas)).to_bytes(2, "big") + deltas
    rest += bytes(padding - 1) + bytes((padding,))
    padded = struct.pack("!BBH", 0xAF, 205, len(rest) // 4) + rest
    found = parse_compound(padded + bytes(ReceiverReport(9)))
    assert isinstance(found[0], TransportFeedback)
    assert found[0].status_count == len(deltas)
    assert found[1] == ReceiverReport(9)


@pytest.mark.parametrize(
    "data",
    [
        body(0),
        body(1),
        body(20, 0x2014, deltas=bytes(3)),
        body(4, 0x4004, deltas=bytes(5)),
        body(1, 0x6001, deltas=bytes(4)),
        body(7, 0xC000 | 0b11000000000000, deltas=bytes(8)),
        body(1, 0x0000),
        body(0xFFFF, *[0x3FFF] * 9, deltas=bytes(40)),
        struct.pack("!BBH", 0x8F, 205, 2) + bytes(8),
    ],
    ids=[
        "no packets",
        "no chunks",
        "fewer deltas than arrivals",
        "large delta cut short",
        "reserved symbol in a run",
        "reserved symbol in a vector",
        "empty run",
        "more arrivals than bytes",
        "shorter than its fixed part",
    ],
)
def test_parse__what_cannot_be__format_error(data: bytes) -> None:
    with pytest.raises(RtcpFormatError):
        parse_compound(data)


@given(st.binary(max_size=120).map(lambda data: data + bytes(-len(data) % 4)))
@example(body(0xFFFF, *[0x1FFF] * 8, 7)[4:])
def test_parse__any_body__bounded_by_its_bytes(data: bytes) -> None:
    try:
        found = parse(struct.pack("!BBH", 0x8F, 205, len(data) // 4) + data)
    except RtcpFormatError:
        return
    assert len(found.offsets) == len(found.ticks) <= len(data)
    assert all(a < b for a, b in pairwise(found.offsets))
    assert not found.offsets or found.offsets[-1] < found.status_count


def test_write__long_outage__a_few_bytes() -> None:
    feedback = TransportFeedback(1, 2, 0, 0, 0, 60_000, (0, 59_999), (0, 10))
    assert len(bytes(feedback)) <= 44


def test_write__arrivals_too_far_apart__value_error() -> None:
    with pytest.raises(ValueError, match="8 s"):
        bytes(TransportFeedback(1, 2, 0, 0, 0, 2, (0, 1), (0, 0x8000)))


@pytest.mark.parametrize("chunk", [0xBFFF, 0xD555])
def test_parse__vectors_of_more_arrivals_than_bytes__not_read_to_their_end(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    extend = transport_cc._extend

    def counted(
        offsets: list[int], sizes: bytearray, at: int, found: tuple[tuple[int, ...], bytes]
    ) -> None:
        nonlocal read
        read += 1
        extend(offsets, sizes, at, found)

    monkeypatch.setattr(transport_cc, "_extend", counted)
    with pytest.raises(RtcpFormatError):
        parse_compound(body(14 * 700, *[chunk] * 700))
    assert 50 < read < 400
