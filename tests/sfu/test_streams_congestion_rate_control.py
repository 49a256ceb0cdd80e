from __future__ import annotations

from sfu.streams.congestion.overuse import Usage
from sfu.streams.congestion.rate_control import RateControl

MS = 1_000_000


class Control:
    """A rate control and its time, 100 ms a step."""

    def __init__(self, rate_bps: int) -> None:
        self.control = RateControl(rate_bps)
        self.now_ns = 0

    def step(
        self,
        usage: Usage = "normal",
        *,
        delivered: int | None,
        sent: int | None = None,
        queue_ms: float = 60.0,
        steps: int = 1,
    ) -> float:
        for _ in range(steps):
            self.now_ns += 100 * MS
            self.control.update(
                usage,
                delivered_bps=delivered,
                sent_bps=delivered if sent is None else sent,
                queue_ms=queue_ms,
                round_trip_ns=50 * MS,
                now_ns=self.now_ns,
            )
        return self.control.rate_bps


def test_normal__grows_by_a_share() -> None:
    control = Control(1_000_000)
    control.step(delivered=1_000_000)
    assert 1_070_000 < control.step(delivered=1_000_000, steps=10) < 1_090_000


def test_normal__no_further_than_what_is_delivered_bears_out() -> None:
    control = Control(1_000_000)
    assert control.step(delivered=800_000, steps=200) == 1_210_000
    assert control.step(delivered=100_000, steps=10) == 1_210_000


def test_over__back_to_what_is_delivered_and_below() -> None:
    control = Control(1_000_000)
    assert control.step("over", delivered=900_000) == 765_000


def test_over__queue_is_short__held() -> None:
    control = Control(1_000_000)
    assert control.step("over", delivered=900_000, queue_ms=10, steps=5) == 1_000_000
    assert control.step("over", delivered=900_000) == 765_000


def test_over__what_is_delivered_is_more_than_the_rate__no_answer() -> None:
    control = Control(500_000)
    assert control.step("over", delivered=900_000, sent=900_000) == 500_000
    # The first real answer need not wait, and growth is not held to 900 kb/s.
    assert control.step("over", delivered=450_000, sent=450_000) == 382_500


def test_over__again__only_after_the_answer_could_show() -> None:
    control = Control(1_000_000)
    control.step("over", delivered=900_000)
    assert control.step("over", delivered=700_000) == 765_000
    assert control.step("over", delivered=700_000, steps=2) < 600_000


def test_over__long_queue__room_to_drain() -> None:
    assert Control(1_000_000).step("over", delivered=900_000, queue_ms=400) == 585_000
    assert Control(1_000_000).step("normal", delivered=900_000, queue_ms=400) == 585_000


def test_over__while_little_is_sent__first_held_then_given_up() -> None:
    control = Control(3_000_000)
    assert 300_000 < control.step("over", delivered=300_000) < 400_000
    assert control.step("over", delivered=300_000, steps=4) == 255_000


def test_over__nothing_known__lowered_all_the_same() -> None:
    assert Control(1_000_000).step("over", delivered=None) == 850_000


def test_after_overuse__grows_slowly_near_the_capacity_then_fast() -> None:
    control = Control(1_000_000)
    control.step("over", delivered=900_000)
    near = control.step(delivered=900_000, steps=11) - 765_000
    far_from = control.control.rate_bps
    far = control.step(delivered=1_500_000, steps=10) - far_from
    assert 40_000 < near < 90_000
    assert far > 0.07 * far_from


def test_under__held() -> None:
    control = Control(1_000_000)
    assert control.step("under", delivered=1_000_000, steps=20) == 1_000_000


def test_time_goes_back__nothing_breaks() -> None:
    control = Control(1_000_000)
    control.step(delivered=1_000_000)
    control.now_ns -= 10_000 * MS
    assert control.step(delivered=1_000_000) == 1_000_000
