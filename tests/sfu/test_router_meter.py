from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.router.meter import Meter

MS = 1_000_000
SECOND = 1000 * MS
START = 1_700_000_000 * SECOND


def layered(**layers: int) -> list[int]:
    """Bytes by layer, named s<spatial>t<temporal>."""
    counts = [0] * 16
    for name, count in layers.items():
        counts[4 * int(name[1]) + int(name[3])] = count
    return counts


def test_rate__is_payload_with_headers_over_the_span() -> None:
    meter = Meter()
    meter.note(0, layered(), START)
    meter.note(1, layered(s0t0=1000), START + 100 * MS)
    assert meter.total_bps() == 0  # no whole span yet
    meter.note(100, layered(s0t0=100_000), START + SECOND)
    assert meter.total_bps() == pytest.approx((100_000 + 100 * 40) * 8, rel=0.01)
    assert meter.heard_ns == START + SECOND


def test_layers__add_up() -> None:
    meter = Meter()
    meter.note(0, layered(), START)
    meter.note(10, layered(s0t0=1000, s0t1=2000, s1t0=4000, s1t2=8000), START + SECOND)
    assert meter.spatials() == 2
    assert (meter.temporals(0), meter.temporals(1)) == (2, 3)
    assert meter.up_to_bps(0, 7) == pytest.approx(3 * meter.up_to_bps(0, 0), rel=0.01)
    assert meter.up_to_bps(1, 7) == meter.total_bps()


def test_rate__rises_at_once_and_falls_slowly_and_stays_in_silence() -> None:
    meter = Meter()
    counts = [(0, 0), (10, 10_000), (20, 30_000), (30, 31_000)]
    rates = []
    for second, (packets, size) in enumerate(counts):
        meter.note(packets, layered(s0t0=size), START + second * SECOND)
        rates.append(meter.total_bps())
    assert rates[2] > 1.9 * rates[1]
    assert rates[1] < rates[3] < rates[2]
    for second in range(4, 8):
        meter.note(30, layered(s0t0=31_000), START + second * SECOND)
    assert meter.total_bps() == rates[3]
    assert meter.heard_ns == START + 3 * SECOND


def test_begin_after_a_silence__is_not_spread_over_the_silence() -> None:
    meter = Meter()
    meter.note(0, layered(), START)
    meter.note(10, layered(s0t0=10_000), START + SECOND)
    before = meter.total_bps()
    meter.note(11, layered(s0t0=10_100), START + 60 * SECOND)
    assert meter.total_bps() == before


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60_000), st.integers(1, 2000))))
def test_rates__are_never_negative(steps: list[tuple[int, int, int]]) -> None:
    meter, packets, size, now_ns = Meter(), 0, 0, START
    for more, more_bytes, after_ms in steps:
        packets, size, now_ns = packets + more, size + more_bytes, now_ns + after_ms * MS
        meter.note(packets, layered(s0t0=size), now_ns)
        assert meter.total_bps() >= 0
