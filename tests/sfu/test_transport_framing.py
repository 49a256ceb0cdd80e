"""Packets on a byte stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.transport.framing import (
    MAX_FRAME_BYTES,
    MIN_FRAME_BYTES,
    FrameError,
    frame,
    take_frames,
)

PACKETS = st.lists(st.binary(min_size=MIN_FRAME_BYTES, max_size=MAX_FRAME_BYTES), max_size=8)


@given(PACKETS, st.integers(min_value=1, max_value=5_000))
def test_packets__come_out_as_they_went_in_however_they_are_cut(
    packets: list[bytes], piece_bytes: int
) -> None:
    data = frame(packets)
    stream = bytearray()
    taken = []
    for at in range(0, len(data), piece_bytes):
        stream += data[at : at + piece_bytes]
        taken += take_frames(stream)
    assert taken == packets
    assert not stream


@given(st.binary(max_size=8_192))
def test_any_bytes__leave_less_than_one_packet_or_are_refused(data: bytes) -> None:
    stream = bytearray(data)
    try:
        take_frames(stream)
    except FrameError:
        return
    assert len(stream) < 2 + MAX_FRAME_BYTES


def test_empty_packets__are_left_out() -> None:
    packet = bytes(range(MIN_FRAME_BYTES))
    assert take_frames(bytearray(frame([b"", packet, b""]))) == [packet]


@pytest.mark.parametrize("size", [1, MIN_FRAME_BYTES - 1])
def test_packet_smaller_than_any_that_we_take__is_refused(size: int) -> None:
    with pytest.raises(FrameError):
        take_frames(bytearray(frame([bytes(size)])))


def test_packet_over_the_limit__is_refused_before_it_is_here() -> None:
    with pytest.raises(FrameError):
        take_frames(bytearray((MAX_FRAME_BYTES + 1).to_bytes(2, "big")))
