"""Wait for something with a reason: the test fails with the last complaint, not with a time-out."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_POLL_S = 0.02


async def eventually(
    complaint: Callable[[], str | None] | Callable[[], Awaitable[str | None]],
    *,
    within_s: float = 10.0,
) -> None:
    """Call `complaint` until it returns None; fail with what it said last after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        said = complaint()
        last = await said if inspect.isawaitable(said) else said
        if last is None:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"after {within_s} s still: {last}")
        await asyncio.sleep(_POLL_S)
