"""What the media engine and the recorder must do about a change of a room.

`effects(before, after)` is for whoever made the change, right after it; `desired(room)` is for a
media engine or recorder that was not there to hear it. Both are harmless when done twice, and
both lead to the same: what `permit` and `tap` say of the newest room. `version` lets the media
engine ignore what comes late from another node.
"""

from __future__ import annotations

import msgspec

from signaling.protocol.messages import Media, MediaKind
from signaling.rooms import consent
from signaling.rooms.draft import find
from signaling.rooms.roles import sends
from signaling.rooms.room import Participant, Room


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Base."""


class StopTap(Effect, frozen=True, kw_only=True):
    """No more packets into this recording; then tell the recorder that it is over."""

    recording: str


class SetTap(Effect, frozen=True, kw_only=True):
    """This recording runs, with these peers and no other; makes the tap when there is none."""

    recording: str
    peers: tuple[str, ...]
    version: int


class RemovePeer(Effect, frozen=True, kw_only=True):
    """Close the person's media transport and forget it."""

    participant: str


class SetPermit(Effect, frozen=True, kw_only=True):
    """What a person may send, and whether they may receive."""

    participant: str
    send: tuple[MediaKind, ...]
    receive: bool
    version: int


class TellMedia(Effect, frozen=True, kw_only=True):
    """What a person says they send now."""

    participant: str
    media: Media


class CloseMedia(Effect, frozen=True, kw_only=True):
    """The room's media is over."""


class PutDossier(Effect, frozen=True, kw_only=True):
    """The recorder should have the newest dossier."""


class Archive(Effect, frozen=True, kw_only=True):
    """The consultation is over and belongs in the health record."""


def permit(room: Room, person: Participant) -> SetPermit | None:
    """What a person's peer may do; None when they have no peer.

    Only who is admitted sends or receives: in the waiting room and on hold nothing crosses.
    """
    if room.state == "ended" or person.session is None or person.session.lost:
        return None
    if person.state != "admitted":
        return SetPermit(participant=person.id, send=(), receive=False, version=room.version)
    send = tuple(kind for kind in sends(person.role) if kind not in person.muted)
    return SetPermit(participant=person.id, send=send, receive=True, version=room.version)


def tap(room: Room) -> SetTap | None:
    """The running recording and whom it may hold; None when nothing is recorded."""
    recording = consent.running(room)
    if recording is None:
        return None
    peers = consent.recordable(room)
    return SetTap(recording=recording.id, peers=peers, version=room.version)


def effects(before: Room, after: Room) -> tuple[Effect, ...]:
    """What the difference asks for, in an order that is safe at each step.

    What closes comes before what opens: nobody is recorded or reached for a moment too long
    because somebody else is let in by the same change. At the end the archive comes first: it is
    on our own disk before anything is asked of others.
    """
    if after.state == "ended":
        if before.state == "ended":
            return ()
        return (*_archive(after), *_stopped_taps(before, after), CloseMedia())
    old = {person.id: person for person in before.participants}
    removals: list[Effect] = []
    closing: list[Effect] = []
    opening: list[Effect] = []
    media: list[Effect] = []
    for person in after.participants:
        earlier = old.get(person.id)
        had = permit(before, earlier) if earlier else None
        has = permit(after, person)
        replaced = had is not None and not _same_session(earlier, person)
        if had and (has is None or replaced):
            removals.append(RemovePeer(participant=person.id))
            had = None
        if has is None:
            continue
        if had is None or (had.send, had.receive) != (has.send, has.receive):
            (opening if has.receive else closing).append(has)
        told = earlier.media if earlier and had else Media()
        if person.media != told:
            media.append(TellMedia(participant=person.id, media=person.media))
    return (
        *_stopped_taps(before, after),
        *_changed_tap(before, after),
        *removals,
        *closing,
        *opening,
        *media,
        *_changed_dossier(before, after),
    )


def desired(room: Room) -> tuple[Effect, ...]:
    """Everything that should be so for this room, for a media engine or recorder that may know
    nothing, or something older."""
    stopped = tuple(
        StopTap(recording=each.id) for each in room.recordings if each.stopped_at is not None
    )
    if room.state == "ended":
        return (*_archive(room), *stopped, CloseMedia())
    permits = [(person, permit(room, person)) for person in room.participants]
    running = tap(room)
    return (
        *stopped,
        *((running,) if running else ()),
        *(
            RemovePeer(participant=person.id)
            for person, allowed in permits
            if allowed is None and person.state != "invited"
        ),
        *(allowed for _, allowed in permits if allowed and not allowed.receive),
        *(allowed for _, allowed in permits if allowed and allowed.receive),
        *(
            TellMedia(participant=person.id, media=person.media)
            for person, allowed in permits
            if allowed and person.media != Media()
        ),
        *((PutDossier(),) if room.recordings else ()),
    )


def _same_session(earlier: Participant | None, person: Participant) -> bool:
    one = earlier.session.id if earlier and earlier.session else None
    return one is not None and person.session is not None and one == person.session.id


def _stopped_taps(before: Room, after: Room) -> tuple[Effect, ...]:
    was = consent.running(before)
    now = consent.running(after)
    if was is None or (now is not None and now.id == was.id):
        return ()
    return (StopTap(recording=was.id),)


def _changed_tap(before: Room, after: Room) -> tuple[Effect, ...]:
    was, now = tap(before), tap(after)
    if now is None or (was and (was.recording, was.peers) == (now.recording, now.peers)):
        return ()
    return (now,)


def _changed_dossier(before: Room, after: Room) -> tuple[Effect, ...]:
    def told(room: Room) -> tuple[object, ...]:
        return room.timeline, room.chat, room.consents, room.recordings

    return (PutDossier(),) if after.recordings and told(before) != told(after) else ()


def _archive(room: Room) -> tuple[Effect, ...]:
    # Nobody met: there was no consultation that a health record could tell of.
    return (Archive(),) if room.started_at is not None else ()


def with_media(room: Room) -> frozenset[str]:
    """Who has a media connection, or should have: people in the call, and on hold, where it is
    kept."""
    return frozenset(
        person.id for person in room.participants if person.state in ("admitted", "held")
    )


def may_negotiate(room: Room, participant_id: str) -> bool:
    """Whether an SDP offer of this person is taken now. Raises `RoomError` for somebody unknown."""
    allowed = permit(room, find(room, participant_id))
    return allowed is not None and allowed.receive
