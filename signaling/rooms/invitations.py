"""Who may come: participants and the links that lead them here."""

from __future__ import annotations

import msgspec

from signaling.errors import RoomError
from signaling.protocol.codes import ErrorCode
from signaling.rooms import commands as c
from signaling.rooms.connections import find_invitation
from signaling.rooms.draft import Draft
from signaling.rooms.room import Invitation, Participant
from signaling.rooms.states import PARTICIPANT_STATES

#: What one SFU room and one participant list can hold.
MAX_PARTICIPANTS = 200
#: Several links a person; bounds the room, not the use.
MAX_INVITATIONS = 1_000


def add_participant(draft: Draft, command: c.AddParticipant) -> None:
    """Somebody new may come. Raises `RoomError` (room_full, wrong_state when they are there)."""
    people = draft.room.participants
    if any(each.id == command.participant for each in people):
        raise RoomError(ErrorCode.WRONG_STATE, "participant is there already")
    if len(people) >= MAX_PARTICIPANTS:
        raise RoomError(ErrorCode.ROOM_FULL)
    person = Participant(
        id=command.participant,
        name=command.name,
        role=command.role,
        title=command.title,
        licence=command.licence,
        facility=command.facility,
    )
    draft.set_room(participants=(*people, person))
    draft.note("added", person.id)


def invite(draft: Draft, command: c.Invite) -> None:
    """A link in the participant's role; it opens the door again to a removed one."""
    person = draft.person(command.participant)
    if any(each.id == command.invitation for each in draft.room.invitations):
        raise RoomError(ErrorCode.WRONG_STATE, "invitation is there already")
    if len(draft.room.invitations) >= MAX_INVITATIONS:
        raise RoomError(ErrorCode.TOO_MANY, "invitations")
    invitation = Invitation(
        id=command.invitation,
        participant=person.id,
        role=person.role,
        expires_at=command.expires_at,
    )
    draft.set_room(invitations=(*draft.room.invitations, invitation))
    if c.Invite in PARTICIPANT_STATES[person.state]:
        draft.move(person.id, c.Invite)
    draft.note("invited", person.id)


def _void(draft: Draft, invitations: tuple[Invitation, ...]) -> None:
    draft.set_room(
        invitations=tuple(
            msgspec.structs.replace(each, revoked=True) if each in invitations else each
            for each in draft.room.invitations
        )
    )


def revoke(draft: Draft, command: c.Revoke) -> None:
    """The link is void, and whoever came by it is put out. Raises `TokenError`."""
    invitation = find_invitation(draft.room, command.invitation)
    if invitation.revoked:
        return
    _void(draft, (invitation,))
    draft.note("revoked", invitation.participant)
    person = draft.person(invitation.participant)
    if person.session and person.session.invitation == invitation.id:
        draft.move(person.id, c.Revoke)
        draft.note("removed", person.id)


def remove(draft: Draft, command: c.Remove) -> None:
    """Put a person out; none of their links leads back."""
    person = draft.person(command.participant)
    draft.move(person.id, c.Remove)
    _void(draft, tuple(each for each in draft.room.invitations if each.participant == person.id))
    draft.note("removed", person.id)
