"""Faults of ours in what is done by the clock: each costs the room or the peer that it concerns."""

from __future__ import annotations

import logging
import time

from sfu.ids import PeerId, RoomId

log = logging.getLogger(__name__)

#: One that comes back with each tick would fill the log.
_LOG_INTERVAL_S = 10.0


class Faults:
    """Counts them, and logs one each 10 s."""

    def __init__(self) -> None:
        self.count = 0
        self._logged_s = float("-inf")

    def note(self, room: RoomId, peer: PeerId | None = None) -> None:
        """To be called where the exception was caught."""
        self.count += 1
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LOG_INTERVAL_S:
            self._logged_s = now_s
            log.exception("work by the clock failed: room %s, peer %s", room, peer or "-")
