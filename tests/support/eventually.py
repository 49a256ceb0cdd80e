"""Wait for something with a reason: the test fails with the last complaint, not with a time-out."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

from tests.support.standstill import MACHINE

_POLL_S = 0.02


async def eventually(
    complaint: Callable[[], str | None] | Callable[[], Awaitable[str | None]],
    *,
    within_s: float = 10.0,
) -> None:
    """Call `complaint` until it returns None; fail with what it said last after `within_s`.

    Time in which the machine stood still does not count.
    """
    since_s, stood_s = time.monotonic(), MACHINE.total_s
    while True:
        said = complaint()
        last = await said if inspect.isawaitable(said) else said
        if last is None:
            return
        if time.monotonic() - since_s - (MACHINE.total_s - stood_s) > within_s:
            raise AssertionError(f"after {within_s} s still: {last}")
        await asyncio.sleep(_POLL_S)
