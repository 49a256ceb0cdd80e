"""Waiting has an end, which a machine that stands still puts off."""

from __future__ import annotations

import time

import pytest

from tests.support.eventually import eventually
from tests.support.standstill import MACHINE, Standstill


async def test_eventually__fails_with_the_last_complaint() -> None:
    complaints = iter(str(number) for number in range(1_000))
    with pytest.raises(AssertionError, match=r"after 0\.1 s still: \d+"):
        await eventually(lambda: next(complaints), within_s=0.1)


async def test_eventually__time_in_which_the_machine_stood_still_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MACHINE, "total_s", MACHINE.total_s)
    since_s = time.monotonic()

    def complaint() -> str | None:
        passed_s = time.monotonic() - since_s
        MACHINE.total_s += 0.02
        return None if passed_s > 0.3 else f"{passed_s} s"

    await eventually(complaint, within_s=0.1)


def test_standstill__sums_what_a_sleep_was_too_long() -> None:
    machine = Standstill()
    for slept_s in (0.02, 0.06, 1.02, 0.5):
        machine.woke(slept_s)
    assert machine.total_s == pytest.approx(1.0 + 0.48)
