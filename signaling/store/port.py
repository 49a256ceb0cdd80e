"""What a room store promises. `memory` keeps it in one process, `redis` over many.

Every change is atomic: the store applies the pure function to the newest room and writes the
result only if nobody wrote in between (it tries again otherwise), appending the change's events to
the room's stream in the same step. One contract suite runs over every store.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Literal, Protocol

import msgspec

from signaling.errors import RoomExists as RoomExists
from signaling.errors import RoomUnknown as RoomUnknown
from signaling.errors import StoreUnavailable as StoreUnavailable
from signaling.rooms.room import Room, TimelineEntry

#: Gives the next room and its events; may raise. The store counts the version up by one from what
#: it was, or from what the next room says when that is higher.
Transition = Callable[[Room], tuple[Room, tuple[TimelineEntry, ...]]]


class Change(msgspec.Struct, frozen=True):
    """A written change: `before` is what it was applied to, `after` has the new version."""

    before: Room
    after: Room
    events: tuple[TimelineEntry, ...]


def counted(before: Room, after: Room) -> Room:
    """`after` with the version that a store gives it."""
    version = max(before.version, after.version) + 1
    return msgspec.structs.replace(after, version=version)


class Notice(msgspec.Struct, frozen=True):
    """One entry of a room's stream: the version that it led to, and what happened.

    `skipped` when changes before this one are no longer in the stream, or the store came back with
    an older state: the room must be read, the events alone don't tell what it is now.
    """

    version: int
    events: tuple[TimelineEntry, ...]
    skipped: bool = False


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A program that offers itself: SFU or recorder by control URL, signalling node by id."""

    id: str
    kind: Literal["signaling", "sfu", "recorder"]
    state: Literal["serving", "draining"]
    load: float
    version: str


class Store(Protocol):
    """See the module. All methods raise `StoreUnavailable`."""

    async def create(self, room: Room) -> None:
        """Keep a new room. Raises `RoomExists`."""

    async def read(self, room_id: str) -> Room:
        """The newest room. Raises `RoomUnknown`."""

    async def change(self, room_id: str, transition: Transition) -> Change:
        """Apply `transition` atomically; `before is after` with no events when it returns its
        argument unchanged. Raises `RoomUnknown` and whatever `transition` raises."""

    def follow(self, room_id: str, after_version: int) -> AsyncGenerator[Notice, None]:
        """The room's changes after a version, in order, without a gap, until closed (aclose).

        Goes on over an outage of the store without raising. Raises `RoomUnknown` when the room is
        gone; ends when the store is closed.
        """

    async def list_open(self) -> tuple[str, ...]:
        """Ids of the rooms that have not ended, or have ended and are not `settled`."""

    async def settled(self, room_id: str) -> None:
        """All that follows from the room's end is done; it stays readable. Again is harmless."""

    async def publish(self, node: Node, ttl_s: float) -> None:
        """Say that a node is there; forgotten after `ttl_s` without another word."""

    async def nodes(self) -> tuple[Node, ...]:
        """Nodes that are there now."""

    async def close(self) -> None:
        """Release everything; followers end."""
