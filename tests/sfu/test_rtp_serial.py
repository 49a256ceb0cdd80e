from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.serial import unwrap, unwrap_16, unwrap_32


@given(near=st.integers(-(1 << 40), 1 << 40), step=st.integers(-0x8000, 0x7FFF))
def test_unwrap_16__finds_the_nearest(near: int, step: int) -> None:
    assert unwrap_16((near + step) & 0xFFFF, near) == near + step


@given(near=st.integers(0, 1 << 40), step=st.integers(-0x8000_0000, 0x7FFF_FFFF))
def test_unwrap_32__finds_the_nearest(near: int, step: int) -> None:
    assert unwrap_32((near + step) & 0xFFFF_FFFF, near) == near + step


@given(near=st.integers(0, 1 << 40), step=st.integers(-64, 63))
def test_unwrap__seven_bits__finds_the_nearest(near: int, step: int) -> None:
    assert unwrap((near + step) & 0x7F, near, 7) == near + step


def test_unwrap__half_a_turn_away__is_behind() -> None:
    assert unwrap_16(0x8000, 0) == -0x8000
    assert unwrap_32(0, 0x8000_0000) == 0
    assert unwrap_16(2, 0xFFFE) == 0x1_0002
