"""How a busy node protects everybody's voice: levels as a table. Pure.

    level     new rooms   pictures of others
    normal    yes         all
    busy      no          all
    middle    no          no better than the middle layer
    lowest    no          the lowest layer
    voices    no          none but screens and what is pinned

One step up for each `_UP_NS` in which the node was over the next level's mark to enter, one step
down for each `_DOWN_NS` in which it was not over its own level's mark to leave. Voices are never
touched.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sfu.router.allocation import Ceiling

Level = Literal["normal", "busy", "middle", "lowest", "voices"]
LEVELS: tuple[Level, ...] = ("normal", "busy", "middle", "lowest", "voices")


class Reading(NamedTuple):
    """One second of a process: `cpu` as a share of a core, how late its ticks were on average, and
    packets in and out.
    """

    cpu: float
    lag_s: float
    packets_per_s: float


class Mark(NamedTuple):
    """Over any of these the node goes to the level; below all of `leave` it leaves it again."""

    enter: Reading
    leave: Reading


#: One core is all that a process has. Packets wait when it is full, and a voice's wait is heard
#: from some 50 ms on. The packets are what one core carries with room to spare, many to a burst.
MARKS: dict[Level, Mark] = {
    "busy": Mark(Reading(0.75, 0.05, 100_000), Reading(0.60, 0.03, 80_000)),
    "middle": Mark(Reading(0.85, 0.10, 130_000), Reading(0.65, 0.05, 90_000)),
    "lowest": Mark(Reading(0.90, 0.15, 150_000), Reading(0.65, 0.05, 90_000)),
    "voices": Mark(Reading(0.95, 0.25, 170_000), Reading(0.60, 0.05, 80_000)),
}
CEILINGS: dict[Level, Ceiling] = {
    "normal": Ceiling(),
    "busy": Ceiling(),
    "middle": Ceiling(spatial=1),
    "lowest": Ceiling(spatial=0),
    "voices": Ceiling(spatial=0, voices=True),
}
_UP_NS = 2_000_000_000
_DOWN_NS = 10_000_000_000


class Protection:
    """The level of one process; give it a reading each second."""

    def __init__(self) -> None:
        self.level: Level = "normal"
        self._over_since_ns: int | None = None
        self._under_since_ns: int | None = None

    @property
    def refuses_rooms(self) -> bool:
        """Whether no new room is taken."""
        return self.level != "normal"

    @property
    def ceiling(self) -> Ceiling:
        """What pictures may be at most."""
        return CEILINGS[self.level]

    def note(self, reading: Reading, now_ns: int) -> bool:
        """Take in a reading; whether the level changed."""
        at = LEVELS.index(self.level)
        over = at + 1 < len(LEVELS) and _any_over(reading, MARKS[LEVELS[at + 1]].enter)
        under = at > 0 and not _any_over(reading, MARKS[self.level].leave)
        self._over_since_ns = _since(self._over_since_ns, over, now_ns)
        self._under_since_ns = _since(self._under_since_ns, under, now_ns)
        if self._over_since_ns is not None and now_ns - self._over_since_ns >= _UP_NS:
            return self._go(at + 1)
        if self._under_since_ns is not None and now_ns - self._under_since_ns >= _DOWN_NS:
            return self._go(at - 1)
        return False

    def _go(self, at: int) -> bool:
        self.level = LEVELS[at]
        self._over_since_ns = self._under_since_ns = None
        return True


def _any_over(reading: Reading, mark: Reading) -> bool:
    return any(value >= most for value, most in zip(reading, mark, strict=True))


def _since(since_ns: int | None, holds: bool, now_ns: int) -> int | None:
    if not holds:
        return None
    return now_ns if since_ns is None else since_ns
