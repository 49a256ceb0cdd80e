from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.router.reports import round_trip_ms, unix_ns
from sfu.rtp.rtcp import ReportBlock, middle_32, ntp_time

NOW = 1_700_000_000_000_000_000
MS = 1_000_000


def block(sent_ns: int, delay_ms: float) -> ReportBlock:
    return ReportBlock(1, 0, 0, 0, 0, middle_32(ntp_time(sent_ns)), round(delay_ms * 65.536))


@given(st.integers(0, 4_000_000_000_000_000_000 // 2))
def test_unix_time__survives_the_way_through_ntp(now_ns: int) -> None:
    assert abs(unix_ns(ntp_time(now_ns)) - now_ns) <= 1


def test_round_trip__is_what_passed_less_the_delay() -> None:
    assert round_trip_ms(block(NOW - 170 * MS, 50), NOW) == pytest.approx(120, abs=0.1)


def test_round_trip__over_the_wrap_of_the_clock() -> None:
    wrap = next(n for n in range(NOW, NOW + 70_000 * 1000 * MS, 1000 * MS) if _wraps(n))
    assert round_trip_ms(block(wrap, 0), wrap + 1000 * MS) == pytest.approx(1000, abs=0.1)


def _wraps(now_ns: int) -> bool:
    later = middle_32(ntp_time(now_ns + 1000 * MS))
    return later < middle_32(ntp_time(now_ns))


def test_round_trip__shorter_than_the_receivers_rounding__is_nothing() -> None:
    assert round_trip_ms(block(NOW, 1), NOW) == 0


@pytest.mark.parametrize("sent_ns", [NOW - 3_600_000 * MS, NOW + 3_600_000 * MS])
def test_round_trip__of_a_report_that_we_never_sent__is_none(sent_ns: int) -> None:
    assert round_trip_ms(block(sent_ns, 0), NOW) is None


def test_round_trip__before_the_first_report__is_none() -> None:
    assert round_trip_ms(ReportBlock(1, 0, 0, 0, 0, 0, 0), NOW) is None
