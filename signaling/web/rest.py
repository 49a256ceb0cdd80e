"""The REST API for hospital systems: consultations and invitations, under a bearer API key."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from aiohttp import web

from signaling.auth.tokens import InvitationTokens
from signaling.live.consultations import Consultations
from signaling.live.performer import new_id
from signaling.protocol.messages import Connection, Facility
from signaling.rooms.commands import AddParticipant, End, Invite, Revoke
from signaling.rooms.lifecycle import apply
from signaling.rooms.room import Invitation, Participant, Patient, Room
from signaling.web.middleware import json_response
from signaling.web.operations import Operation
from signaling.web.problems import HttpProblem
from signaling.web.resources import (
    ConsultationAnswer,
    CreatedConsultation,
    FacilityBody,
    InvitationAnswer,
    InvitationLink,
    NewConsultation,
    NewInvitation,
    ParticipantAnswer,
    ParticipantBody,
    RecordingAnswer,
)

#: A consultation of 200 people with long names fits in half of it.
MAX_BODY_BYTES = 64 * 1024
_ROOT = "/v1/consultations"

Body = TypeVar("Body", bound=msgspec.Struct)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """The handlers. `public_url` gives the address that people open, without a slash at its end."""

    def __init__(
        self,
        consultations: Consultations,
        tokens: InvitationTokens,
        api_keys: tuple[str, ...],
        public_url: Callable[[], str],
    ) -> None:
        self.consultations = consultations
        self._tokens = tokens
        self._api_keys = tuple(key.encode() for key in api_keys)
        self._public_url = public_url

    def operations(self) -> tuple[Operation, ...]:
        """All that can be asked for."""
        absent, conflict = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
        bad, large = HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        one = f"{_ROOT}/{{consultation}}"
        return (
            Operation(
                name="createConsultation",
                method="POST",
                path=_ROOT,
                summary="Create a consultation; each participant gets a link.",
                handler=self._secured(self.create),
                body=NewConsultation,
                answer=CreatedConsultation,
                status=HTTPStatus.CREATED,
                errors=(bad, large),
            ),
            Operation(
                name="readConsultation",
                method="GET",
                path=one,
                summary="Read a consultation as it is now.",
                handler=self._secured(self.read),
                answer=ConsultationAnswer,
                errors=(absent,),
            ),
            Operation(
                name="endConsultation",
                method="POST",
                path=f"{one}/end",
                summary="End a consultation for everyone; it is archived then.",
                handler=self._secured(self.end),
                answer=ConsultationAnswer,
                errors=(absent, conflict),
            ),
            Operation(
                name="createInvitation",
                method="POST",
                path=f"{one}/invitations",
                summary="Make a link for a participant, or for somebody new.",
                handler=self._secured(self.invite),
                body=NewInvitation,
                answer=InvitationLink,
                status=HTTPStatus.CREATED,
                errors=(bad, absent, conflict, large),
            ),
            Operation(
                name="revokeInvitation",
                method="DELETE",
                path=f"{one}/invitations/{{invitation}}",
                summary="Make a link void; whoever came by it is put out.",
                handler=self._secured(self.revoke),
                status=HTTPStatus.NO_CONTENT,
                errors=(absent, conflict),
            ),
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/consultations"""
        body = await _body(request, NewConsultation)
        room, links = self.new_consultation(body, time.time())
        await self.consultations.create(room)
        created = CreatedConsultation(id=room.id, expires_at=room.expires_at, invitations=links)
        response = json_response(created, HTTPStatus.CREATED)
        response.headers["Location"] = f"{_ROOT}/{room.id}"
        return response

    def new_consultation(
        self, body: NewConsultation, now: float
    ) -> tuple[Room, tuple[InvitationLink, ...]]:
        """A room that is not kept yet, and a link for each who may come, in their order."""
        patient = body.patient
        room = Room(
            id=new_id(),
            mode=body.mode,
            title=body.title,
            facility=_facility(body.facility),
            recording_policy=body.recording_policy,
            created_at=now,
            expires_at=now + body.expires_in_s,
            patient=Patient(identifier=patient.identifier, system=patient.system, name=patient.name)
            if patient is not None
            else None,
        )
        for each in body.participants:
            person = _added(each)
            room, _ = apply(room, person, now)
            invite = Invite(
                invitation=new_id(), participant=person.participant, expires_at=room.expires_at
            )
            room, _ = apply(room, invite, now)
        return room, tuple(self._link(room, each, now) for each in room.invitations)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/consultations/{consultation}"""
        room = await self.consultations.read(request.match_info["consultation"])
        return json_response(_answer(room))

    async def end(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/consultations/{consultation}/end"""
        change = await self.consultations.change(request.match_info["consultation"], End())
        return json_response(_answer(change.after))

    async def invite(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/consultations/{consultation}/invitations"""
        body = await _body(request, NewInvitation)
        if (body.participant is None) == (body.new_participant is None):
            raise HttpProblem("bad_request", "either participant or new_participant must be given")
        now = time.time()
        room = await self.consultations.read(request.match_info["consultation"])
        expires_at = room.expires_at if body.expires_in_s is None else now + body.expires_in_s
        adding = () if body.new_participant is None else (_added(body.new_participant),)
        participant = adding[0].participant if adding else body.participant or ""
        invite = Invite(invitation=new_id(), participant=participant, expires_at=expires_at)
        change = await self.consultations.change(room.id, *adding, invite)
        made = next(each for each in change.after.invitations if each.id == invite.invitation)
        return json_response(self._link(change.after, made, now), HTTPStatus.CREATED)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """DELETE /v1/consultations/{consultation}/invitations/{invitation}"""
        room = await self.consultations.read(request.match_info["consultation"])
        invitation = request.match_info["invitation"]
        if not any(each.id == invitation for each in room.invitations):
            raise HttpProblem("invitation_unknown")
        await self.consultations.change(room.id, Revoke(invitation=invitation))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _link(self, room: Room, invitation: Invitation, now: float) -> InvitationLink:
        token = self._tokens.issue(room.id, invitation, now)
        return InvitationLink(
            invitation=invitation.id,
            participant=invitation.participant,
            role=invitation.role,
            expires_at=invitation.expires_at,
            # In the fragment, so that no server or proxy ever writes it into a log.
            link=f"{self._public_url()}/#t={token}",
        )

    def _secured(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            key = given.strip().encode(errors="surrogateescape")
            # Every key is compared, so that the time tells nothing about which one was near.
            good = [hmac.compare_digest(key, each) for each in self._api_keys]
            if scheme.lower() != "bearer" or not any(good):
                raise HttpProblem("unauthorized")
            return await handler(request)

        return checked


async def _body(request: web.Request, kind: type[Body]) -> Body:
    """The request's JSON. Raises `HttpProblem` (bad_request), or aiohttp's error when too large."""
    data = await request.read()
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise HttpProblem("bad_request", str(error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise HttpProblem("bad_request", "the body is not JSON") from error


def _added(body: ParticipantBody) -> AddParticipant:
    return AddParticipant(
        participant=new_id(),
        name=body.name,
        role=body.role,
        title=body.title,
        licence=body.licence,
        facility=_facility(body.facility) if body.facility is not None else None,
    )


def _facility(body: FacilityBody) -> Facility:
    return Facility(code=body.code, name=body.name)


def _answer(room: Room) -> ConsultationAnswer:
    return ConsultationAnswer(
        id=room.id,
        state=room.state,
        mode=room.mode,
        title=room.title,
        recording_policy=room.recording_policy,
        created_at=room.created_at,
        expires_at=room.expires_at,
        started_at=room.started_at,
        ended_at=room.ended_at,
        participants=tuple(_participant(person) for person in room.participants),
        invitations=tuple(
            InvitationAnswer(
                id=each.id,
                participant=each.participant,
                expires_at=each.expires_at,
                revoked=each.revoked,
            )
            for each in room.invitations
        ),
        recordings=tuple(
            RecordingAnswer(
                id=each.id,
                started_at=each.started_at,
                stopped_at=each.stopped_at,
                stop_reason=each.stop_reason,
            )
            for each in room.recordings
        ),
    )


def _participant(person: Participant) -> ParticipantAnswer:
    return ParticipantAnswer(
        id=person.id,
        name=person.name,
        role=person.role,
        state=person.state,
        connection=_connection(person),
    )


def _connection(person: Participant) -> Connection | None:
    session = person.session
    if session is None:
        return None
    if session.lost:
        return "lost"
    return "connected" if session.away_since is None else "away"
