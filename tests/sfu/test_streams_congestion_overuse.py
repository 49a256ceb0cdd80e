from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.congestion.overuse import OveruseDetector

MS = 1_000_000


def test_calm__over__when_it_lasts_and_grows() -> None:
    detector = OveruseDetector()
    assert detector.update(0.0, 0) == "normal"
    assert detector.update(30.0, 50 * MS) == "normal"
    assert detector.update(31.0, 100 * MS) == "over"


def test_calm__one_spike__normal() -> None:
    detector = OveruseDetector()
    detector.update(0.0, 0)
    assert detector.update(40.0, 50 * MS) == "normal"
    assert detector.update(1.0, 100 * MS) == "normal"
    assert detector.update(40.0, 150 * MS) == "normal"


def test_high_but_falling__no_new_overuse() -> None:
    detector = OveruseDetector()
    detector.update(0.0, 0)
    assert [detector.update(60.0 - n, n * 50 * MS) for n in range(1, 5)] == ["normal"] * 4


def test_over__under__when_the_queue_drains() -> None:
    detector = OveruseDetector()
    for n, trend in enumerate([0.0, 30.0, 31.0]):
        detector.update(trend, n * 50 * MS)
    assert detector.update(-40.0, 200 * MS) == "under"
    assert detector.update(0.0, 250 * MS) == "normal"


def test_clear__normal_until_it_is_seen_again() -> None:
    detector = OveruseDetector()
    for n, trend in enumerate([0.0, 30.0, 31.0]):
        detector.update(trend, n * 50 * MS)
    detector.clear()
    assert detector.usage == "normal"
    assert detector.update(32.0, 150 * MS) == "normal"
    assert detector.update(33.0, 200 * MS) == "over"


def test_noisy_path__threshold_grows_with_it() -> None:
    used_to_it = OveruseDetector()
    for n in range(200):
        used_to_it.update(18.0 if n % 2 else -18.0, n * 50 * MS)
    fresh = OveruseDetector()
    fresh.update(0.0, 9_950 * MS)
    for n in range(200, 203):
        last = used_to_it.update(17.0, n * 50 * MS), fresh.update(17.0, n * 50 * MS)
    assert last == ("normal", "over")


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(-(10**12), 10**12)), max_size=40))
def test_anything__one_of_three(updates: list[tuple[float, int]]) -> None:
    detector = OveruseDetector()
    for trend, now_ns in updates:
        assert detector.update(trend, now_ns) in ("normal", "over", "under")
