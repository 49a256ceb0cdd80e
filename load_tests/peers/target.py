"""What a run needs of a server, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar

from load_tests.bot import Bot
from load_tests.endpoint import Endpoint
from load_tests.plan import Plan, Seat

#: Bots that join at the same time: more would queue at the one core of the load.
JOINING_AT_ONCE = 4


class Target(Protocol):
    """A server that a load can run against, entered while it runs."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    @property
    def programs(self) -> Mapping[str, int]:
        """Its processes by name; ``media`` is the one that forwards."""

    def bot(self, seat: Seat, numbers: tuple[int, int], video_packets_per_s: int) -> Bot:
        """A participant that has not joined yet; `numbers` are those of its two sources."""

    async def join(
        self, plan: Plan, rooms: Sequence[Sequence[Bot]], background: list[asyncio.Task[None]]
    ) -> None:
        """Bring all bots into their rooms and connect them.

        Tasks that must go on are added to `background`; the run cancels them.
        """

    def log(self) -> str:
        """What the server said, for whoever looks why a run failed."""


AnyBot = TypeVar("AnyBot", bound=Bot)


def endpoints(rooms: Sequence[Sequence[Bot]]) -> list[Endpoint]:
    """All endpoints of all bots."""
    return [endpoint for room in rooms for bot in room for endpoint in bot.endpoints]
