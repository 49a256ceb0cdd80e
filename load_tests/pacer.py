"""Sends what is due of all bots, and their reports: one task, as a timer each would cost more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from load_tests.endpoint import Endpoint

#: As browsers' pacers do.
TICK_S = 0.005
REPORT_INTERVAL_S = 1.0
#: As browsers do at these rates.
FEEDBACK_INTERVAL_S = 0.1


class Pacer:
    """`run` until cancelled. `latest_ns` is the longest that a tick came too late."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints
        self.latest_ns = 0

    async def run(self) -> None:
        """Send all that is due, each tick; reports and feedback spread over their interval."""
        reports, feedbacks = (round(s / TICK_S) for s in (REPORT_INTERVAL_S, FEEDBACK_INTERVAL_S))
        tick = 0
        due_s = time.monotonic()
        while True:
            tick += 1
            due_s += TICK_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            now_ns = time.monotonic_ns()
            self.latest_ns = max(self.latest_ns, now_ns - round(due_s * 1e9))
            for index, endpoint in enumerate(self._endpoints):
                if endpoint.connected_at_ns:
                    endpoint.send_due(now_ns)
                    if (tick + index) % reports == 0:
                        endpoint.report(now_ns)
                    if (tick + index) % feedbacks == 0:
                        endpoint.feed_back()
