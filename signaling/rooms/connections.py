"""Sessions of a room: how a browser gets hold of a participant's place, and loses it."""

from __future__ import annotations

import hmac

import msgspec

from signaling.errors import RoomError, TokenError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Media
from signaling.rooms import commands as c
from signaling.rooms import quality
from signaling.rooms.draft import Draft
from signaling.rooms.room import Invitation, Participant, Room, Session

#: Bounds what one room can grow to: each turn of joining and leaving writes a few entries.
MAX_TIMELINE_ENTRIES = 10_000


def find_invitation(room: Room, invitation_id: str) -> Invitation:
    """The invitation of that id. Raises `TokenError` (token_invalid)."""
    for invitation in room.invitations:
        if invitation.id == invitation_id:
            return invitation
    raise TokenError(ErrorCode.TOKEN_INVALID, "unknown invitation")


def connect(draft: Draft, command: c.Connect) -> None:
    """A new session, which starts in the lobby whatever the place was before.

    Raises `TokenError` (token_invalid, token_expired, invitation_revoked, invitation_in_use).
    """
    invitation = find_invitation(draft.room, command.invitation)
    person = draft.person(invitation.participant)
    if invitation.role != command.role:
        raise TokenError(ErrorCode.TOKEN_INVALID, "role")
    if invitation.revoked or person.state == "removed":
        raise TokenError(ErrorCode.INVITATION_REVOKED)
    if invitation.expires_at <= draft.now:
        raise TokenError(ErrorCode.TOKEN_EXPIRED)
    if person.session and person.session.away_since is None:
        raise TokenError(ErrorCode.INVITATION_IN_USE)
    if len(draft.room.timeline) >= MAX_TIMELINE_ENTRIES:
        raise RoomError(ErrorCode.TOO_MANY, "timeline")
    session = Session(
        id=command.session,
        secret_sha256=command.secret_sha256,
        invitation=invitation.id,
        language=command.language,
        node=command.node,
        connection=command.connection,
    )
    draft.move(person.id, c.Connect)
    draft.set_person(person.id, session=session, media=Media(), muted=())
    draft.note("joined", person.id)


def _own_session(person: Participant, secret_sha256: str) -> Session:
    session = person.session
    if session is None or not hmac.compare_digest(session.secret_sha256, secret_sha256):
        raise TokenError(ErrorCode.SESSION_UNKNOWN)
    return session


def reconnect(draft: Draft, command: c.Reconnect) -> None:
    """The same session from another WebSocket; the newest one counts. Raises `TokenError`."""
    try:
        person = draft.person(command.participant)
    except RoomError as error:
        raise TokenError(ErrorCode.SESSION_UNKNOWN) from error
    session = _own_session(person, command.secret_sha256)
    renewed = msgspec.structs.replace(
        session, node=command.node, connection=command.connection, away_since=None, lost=False
    )
    draft.set_person(person.id, session=renewed)
    if session.lost:
        quality.note_back(draft, person.id)
        draft.note("back", person.id)


def _set_away(draft: Draft, person: Participant, session: Session) -> None:
    away = msgspec.structs.replace(session, away_since=draft.now)
    draft.set_person(person.id, session=away)


def disconnect(draft: Draft, command: c.Disconnect) -> None:
    """The WebSocket is gone; if it still spoke for the session, the session is away."""
    person = draft.person(command.participant)
    session = person.session
    if session and session.connection == command.connection and session.away_since is None:
        _set_away(draft, person, session)


def forget_node(draft: Draft, command: c.ForgetNode) -> None:
    """All WebSockets of a dead node are gone."""
    for person in draft.room.participants:
        session = person.session
        if session and session.node == command.node and session.away_since is None:
            _set_away(draft, person, session)


def lose(draft: Draft, command: c.Lose) -> None:
    """Away for the whole grace period: the place stays, the media goes."""
    person = draft.person(command.participant)
    session = person.session
    if session is None or session.lost or session.away_since is None:
        return
    if draft.now - session.away_since < command.grace_s:
        return
    draft.set_person(person.id, session=msgspec.structs.replace(session, lost=True))
    quality.note_lost(draft, person.id, session.away_since)
    draft.note("lost", person.id)
