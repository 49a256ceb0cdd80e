from __future__ import annotations

from sfu.forwarder.contract import Arrival
from sfu.router.bitrate import (
    CAMERA_CAP_BPS,
    FLOOR_BPS,
    SCREEN_CAP_BPS,
    START_BPS,
    UplinkBudget,
)
from sfu.transport.aiortc_adapter import ArrivalEstimator

MS = 1_000_000


class Script:
    """An estimator that says what it was told to, and notes what it was given."""

    def __init__(self, *estimates: int | None) -> None:
        self.estimates = list(estimates)
        self.given: list[tuple[int, int, int, int]] = []

    def add(self, arrival_ms: int, abs_send_time: int, size_bytes: int, ssrc: int) -> int | None:
        self.given.append((arrival_ms, abs_send_time, size_bytes, ssrc))
        return self.estimates.pop(0) if self.estimates else None


def packets(count: int, *, apart_ms: int = 20) -> list[Arrival]:
    step = (1 << 18) * apart_ms // 1000
    return [Arrival(n * apart_ms * MS, 1, 1000, n * step % (1 << 24)) for n in range(count)]


def target(*estimates: int, screen: bool = False) -> int:
    budget = UplinkBudget(Script(*estimates))
    budget.note(packets(len(estimates)))
    return budget.target_bps(screen=screen)


def test_start__is_generous() -> None:
    assert target() == START_BPS


def test_low_first_estimate__is_not_believed() -> None:
    assert target(100_000) == START_BPS
    assert target(100_000, 200_000) == START_BPS


def test_falling_estimate__is_followed() -> None:
    assert target(900_000, 600_000) == 600_000
    assert target(900_000, 600_000, 700_000) == 700_000


def test_estimate_back_over_the_start__ends_the_caution() -> None:
    assert target(900_000, 600_000, START_BPS + 1, 300_000, 310_000) == 310_000
    assert target(900_000, 600_000, START_BPS + 1) == START_BPS + 1


def test_caps_and_floor() -> None:
    assert target(9_000_000) == CAMERA_CAP_BPS
    assert target(9_000_000, screen=True) == SCREEN_CAP_BPS
    assert target(9_000, 1_000) == FLOOR_BPS


def test_packets_of_one_burst__are_one_step() -> None:
    script = Script()
    unit = (1 << 18) // 1000
    burst = [Arrival(n * MS, 7, 100, n * unit) for n in range(4)]
    later = [Arrival(40 * MS, 7, 500, 40 * unit), Arrival(41 * MS, 7, 1, None)]
    UplinkBudget(script).note([*burst, *later])
    assert script.given == [(3, 3 * unit, 400, 7), (40, 40 * unit, 500, 7)]


def test_send_time_that_wraps__is_still_one_burst() -> None:
    script = Script()
    UplinkBudget(script).note([Arrival(0, 7, 1, (1 << 24) - 1), Arrival(MS, 7, 1, 3)])
    assert len(script.given) == 1


def test_real_estimator__on_a_path_that_fills_up__goes_down() -> None:
    budget = UplinkBudget(ArrivalEstimator())
    step = (1 << 18) // 100
    now_ms, arrivals = 0, []
    for packet in range(1500):  # 10 ms apart when sent; the path takes 15 ms for each in the end
        now_ms += 10 if packet < 700 else 15
        arrivals.append(Arrival(now_ms * MS, 1, 1250, packet * step % (1 << 24)))
    budget.note(arrivals)
    assert budget.target_bps(screen=False) < 1_000_000
