"""What went wrong for people in the call, and how good it was: kept for the health record.

Each process says of its own people what it found, whole each time: saying it again is harmless.
"""

from __future__ import annotations

import msgspec

from signaling.rooms import commands as c
from signaling.rooms.draft import Draft, ended
from signaling.rooms.room import Break, Measured, Participant, Spread

#: Bounds what one room can grow to. A network that fails every ten seconds fills this in a quarter
#: of an hour; the newest are kept.
MAX_BREAKS = 100
#: Processes that have measured one person; there is one more after each move to another node.
MAX_OBSERVERS = 8


def note_faults(draft: Draft, command: c.NoteFaults) -> None:
    """Begin and end the faults of somebody in the call."""
    person = draft.person(command.participant)
    faults = {each.reason: each for each in command.faults}
    if person.state != "admitted":
        return
    kept: list[Break] = []
    for each in person.breaks:
        if each.end is None and each.reason != "connection_lost":
            goes_on = faults.pop(each.reason, None) is not None
            each = each if goes_on else msgspec.structs.replace(each, end=draft.now)
        kept.append(each)
    _keep(draft, person, (*kept, *faults.values()))


def note_quality(draft: Draft, command: c.NoteQuality) -> None:
    """Keep what an observer measured in place of what it said before."""
    person = draft.person(command.participant)
    new = command.measured
    others = tuple(each for each in person.measured if each.observer != new.observer)
    while len(others) >= MAX_OBSERVERS:
        others = (joined(others[0], others[1]), *others[2:])
    draft.set_person(person.id, measured=(*others, new))


def note_lost(draft: Draft, participant: str, since: float) -> None:
    """Their media is gone with their connection; nobody watches over it any more."""
    person = draft.person(participant)
    if person.state == "admitted":
        lost = Break(reason="connection_lost", start=since)
        _keep(draft, person, (*ended(person.breaks, draft.now), lost))


def note_back(draft: Draft, participant: str) -> None:
    """They are connected again."""
    person = draft.person(participant)
    draft.set_person(participant, breaks=ended(person.breaks, draft.now))


def joined(one: Measured, other: Measured) -> Measured:
    """Both together, as if one had seen all: an observer without a name, that says no more."""
    return Measured(
        observer="",
        up_loss=_both(one.up_loss, other.up_loss),
        down_loss=_both(one.down_loss, other.down_loss),
        up_jitter_ms=_both(one.up_jitter_ms, other.up_jitter_ms),
        down_jitter_ms=_both(one.down_jitter_ms, other.down_jitter_ms),
        round_trip_ms=_both(one.round_trip_ms, other.round_trip_ms),
        up_bps=_both(one.up_bps, other.up_bps),
        down_bps=_both(one.down_bps, other.down_bps),
        score=_both(one.score, other.score),
        freezes=one.freezes + other.freezes,
        freeze_ms=one.freeze_ms + other.freeze_ms,
        concealed_samples=one.concealed_samples + other.concealed_samples,
        audio_samples=one.audio_samples + other.audio_samples,
    )


def _both(one: Spread, other: Spread) -> Spread:
    if not one.count or not other.count:
        return one if one.count else other
    return Spread(
        count=one.count + other.count,
        total=one.total + other.total,
        least=min(one.least, other.least),
        most=max(one.most, other.most),
    )


def _keep(draft: Draft, person: Participant, breaks: tuple[Break, ...]) -> None:
    draft.set_person(person.id, breaks=breaks[-MAX_BREAKS:])
