"""Who sits where for one viewer. Pure: it decides, the subscriber carries out.

What is pinned comes first, then screens, then who spoke last, then who came first. Whoever is
seated keeps the seat's index for as long as they stay seated; a seat without a source stays empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sfu.ids import PeerId, SourceId


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may be seated. `spoke_ns` is when its peer last spoke, 0 for never."""

    source: SourceId
    peer: PeerId
    screen: bool
    arrived: int
    spoke_ns: int = 0


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The room's order, the same for all viewers: screens, recent speakers, order of arrival."""
    return sorted(candidates, key=lambda c: (not c.screen, -c.spoke_ns, c.arrived, c.source))


def arrange(
    order: Sequence[Candidate],
    before: Sequence[SourceId | None],
    seats_with_video: Sequence[bool],
    *,
    pinned: Collection[SourceId] = (),
) -> tuple[SourceId | None, ...]:
    """The source of each seat.

    `order` is `ranked` without the viewer's own sources, `before` the seating until now (it may
    have fewer or more seats), `seats_with_video` says of each seat whether it has a picture: a
    screen is never put where it cannot be seen.
    """
    chosen = _chosen(order, seats_with_video, pinned)
    by_source = {candidate.source: candidate for candidate in chosen}
    seats: list[SourceId | None] = []
    for index, has_video in enumerate(seats_with_video):
        source = before[index] if index < len(before) else None
        stays = source in by_source and source not in seats
        if stays and source is not None and by_source[source].screen and not has_video:
            stays = False
        seats.append(source if stays else None)
    for candidate in sorted(chosen, key=lambda c: not c.screen):
        if candidate.source not in seats:
            _seat(candidate, seats, seats_with_video, by_source, chosen)
    return tuple(seats)


def _chosen(
    order: Sequence[Candidate], seats_with_video: Sequence[bool], pinned: Collection[SourceId]
) -> list[Candidate]:
    """The best candidates, as many as there are seats for."""
    first = sorted(order, key=lambda c: c.source not in pinned)
    chosen: list[Candidate] = []
    screens = 0
    for candidate in first:
        if len(chosen) == len(seats_with_video):
            break
        if candidate.screen and screens == sum(seats_with_video):
            continue
        screens += candidate.screen
        chosen.append(candidate)
    return chosen


def _seat(
    candidate: Candidate,
    seats: list[SourceId | None],
    seats_with_video: Sequence[bool],
    by_source: dict[SourceId, Candidate],
    chosen: Sequence[Candidate],
) -> None:
    free = [i for i, source in enumerate(seats) if source is None]
    if not candidate.screen:
        seats[free[0]] = candidate.source
        return
    with_video = [i for i in free if seats_with_video[i]]
    if with_video:
        seats[with_video[0]] = candidate.source
        return
    # Only seats without a picture are free: the least important camera moves to one.
    rank = {c.source: place for place, c in enumerate(chosen)}
    cameras = [
        (rank[source], i)
        for i, source in enumerate(seats)
        if source is not None and seats_with_video[i] and not by_source[source].screen
    ]
    _, index = max(cameras)
    seats[free[0]], seats[index] = seats[index], candidate.source
