"""Sends what is due of all bots, and their reports: one task, as a timer each would cost more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from load_tests.bot import Bot

#: As browsers' pacers do.
TICK_S = 0.005
REPORT_INTERVAL_S = 1.0


class Pacer:
    """`run` until cancelled. `latest_ns` is the longest that a tick came too late."""

    def __init__(self, bots: Sequence[Bot]) -> None:
        self._bots = bots
        self.latest_ns = 0

    async def run(self) -> None:
        """Send all that is due, each tick; the reports spread over their second."""
        slices = round(REPORT_INTERVAL_S / TICK_S)
        tick = 0
        due_s = time.monotonic()
        while True:
            tick += 1
            due_s += TICK_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            now_ns = time.monotonic_ns()
            self.latest_ns = max(self.latest_ns, now_ns - round(due_s * 1e9))
            for index, bot in enumerate(self._bots):
                if bot.connected:
                    bot.send_due(now_ns)
                    if (tick + index) % slices == 0:
                        bot.report(now_ns)
