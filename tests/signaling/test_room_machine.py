"""Whatever is asked of a room, by whomever, in whatever order: what never happens."""

from __future__ import annotations

from typing import get_args

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from signaling.errors import RequestError
from signaling.protocol import messages as wire
from signaling.protocol.messages import Decision, Media, MediaKind, RecordingPolicy, Role
from signaling.rooms import commands as c
from signaling.rooms import consent, effects, view
from signaling.rooms.authority import AUTHORITY, Authority
from signaling.rooms.lifecycle import apply
from signaling.rooms.roles import Permission, may
from signaling.rooms.room import Room
from tests.support.bench import PEOPLE, Bench
from tests.support.media_model import MediaModel

people = st.sampled_from(sorted(PEOPLE))
#: Few, so that one step meets another; most of what is asked at random is refused.
callers = st.sampled_from(["chair", "patient", "guardian", "observer"])
actors = st.one_of(people, st.just(c.SYSTEM), st.just("stranger"))
kinds = st.lists(st.sampled_from(get_args(MediaKind)), min_size=1, max_size=3).map(tuple)
ids = st.sampled_from(["a", "b", "c", "d"])

ASKED = st.one_of(
    st.builds(c.Ready, actor=actors),
    st.builds(c.Admit, actor=actors, participant=people),
    st.builds(c.Hold, actor=actors, participant=people),
    st.builds(c.Return, actor=actors, participant=people),
    st.builds(c.Remove, actor=actors, participant=people),
    st.builds(c.Leave, actor=actors),
    st.builds(c.Mute, actor=actors, participant=people, kinds=kinds),
    st.builds(c.Unmute, actor=actors),
    st.builds(c.RaiseHand, actor=actors, raised=st.booleans()),
    st.builds(c.Promote, actor=actors, participant=people, role=st.sampled_from(get_args(Role))),
    st.builds(c.Chat, actor=actors, id=ids, text=st.text(max_size=5)),
    st.builds(
        c.GiveConsent,
        actor=actors,
        decision=st.sampled_from(get_args(Decision)),
        text_version=st.sampled_from([consent.TEXT_VERSION, "other"]),
        language=st.sampled_from(["vi", "en"]),
    ),
    st.builds(c.StartRecording, actor=actors, recording=ids),
    st.builds(c.StopRecording, actor=actors, reason=st.sampled_from(["stopped", "failed"])),
    st.builds(
        c.SetMedia, actor=actors, media=st.builds(Media, audio=st.booleans(), video=st.booleans())
    ),
    st.builds(c.Revoke, actor=actors, invitation=people.map(lambda who: f"i-{who}")),
    st.builds(c.HostMedia, actor=actors, url=st.just("ws://a"), epoch=st.integers(0, 3)),
)


class RoomMachine(RuleBasedStateMachine):
    """A room, an SFU that obeys each change, and the views that its people hold."""

    @initialize(policy=st.sampled_from(["patient", "everyone", "patient", "none"]))
    def begin(self, policy: RecordingPolicy) -> None:
        self.bench = Bench(policy)
        self.model = MediaModel()
        self.views: dict[str, wire.Room] = {}
        self.made_for: dict[int, str] = {}
        self.bench.enter("chair")
        self.bench.admit("patient")
        self.model.obey(effects.desired(self.bench.room))

    def ask(self, command: c.Command) -> None:
        before = self.bench.room
        try:
            self.bench.do(command)
        except RequestError:
            assert self.bench.room is before
            return
        after = self.bench.room
        if after is before:
            return
        assert after.version == before.version + 1
        assert before.state != "ended", "ended stays ended"
        assert len(after.timeline) >= len(before.timeline)
        assert after.consents[: len(before.consents)] == before.consents
        self._was_allowed(before, command)
        self.model.obey(effects.effects(before, after))

    def _was_allowed(self, before: Room, command: c.Command) -> None:
        needed = AUTHORITY[type(command)]
        if command.actor == c.SYSTEM:
            return
        actor = next(each for each in before.participants if each.id == command.actor)
        assert needed is not Authority.SYSTEM
        if isinstance(needed, Permission):
            assert may(actor.role, needed)
            assert actor.state == "admitted"

    @rule(command=ASKED)
    def asked(self, command: c.Command) -> None:
        self.ask(command)

    @rule(who=callers, device=st.sampled_from(["1", "2"]))
    def joins(self, who: str, device: str) -> None:
        before = self.bench.room
        try:
            self.bench.join(who, device=device)
        except RequestError:
            return
        self.model.obey(effects.effects(before, self.bench.room))

    @rule(who=callers)
    def waits(self, who: str) -> None:
        self.joins(who, "1")
        self.ask(c.Ready(actor=who))

    @rule(who=callers)
    def comes_in(self, who: str) -> None:
        self.waits(who)
        self.ask(c.Admit(participant=who))

    @rule(who=callers)
    def is_held_or_brought_back(self, who: str) -> None:
        event = c.Return if self.bench.state(who) == "held" else c.Hold
        self.ask(event(participant=who))

    @rule(who=callers, decision=st.sampled_from(["given", "given", "withdrawn", "refused"]))
    def decides(self, who: str, decision: Decision) -> None:
        self.ask(
            c.GiveConsent(
                actor=who, decision=decision, text_version=consent.TEXT_VERSION, language="vi"
            )
        )

    @rule(recording=ids)
    def is_recorded_as_soon_as_all_agree(self, recording: str) -> None:
        for who in consent.missing(self.bench.room):
            self.decides(who, "given")
        self.ask(c.StartRecording(recording=recording))

    @rule(who=callers, kind=st.sampled_from(get_args(MediaKind)))
    def is_muted(self, who: str, kind: MediaKind) -> None:
        self.ask(c.Mute(participant=who, kinds=(kind,)))

    @rule(who=callers, line=ids)
    def writes(self, who: str, line: str) -> None:
        self.ask(c.Chat(actor=who, id=line, text=line))

    @rule(who=callers)
    def moves_to_another_device(self, who: str) -> None:
        session = self.bench.person(who).session
        if session:
            self.ask(c.Disconnect(participant=who, connection=session.connection))
            self.joins(who, "2")

    @rule(who=callers, longer=st.booleans())
    def drops(self, who: str, longer: bool) -> None:
        session = self.bench.person(who).session
        if session:
            self.ask(c.Disconnect(participant=who, connection=session.connection))
            if longer:
                self.bench.now += 30
            self.ask(c.Lose(participant=who, grace_s=30))

    @rule(who=callers, device=st.sampled_from(["1", "2", "wrong"]))
    def resumes(self, who: str, device: str) -> None:
        command = c.Reconnect(
            participant=who, secret_sha256=f"secret-{who}-{device}", node="n", connection="ws"
        )
        self.ask(command)

    @rule(who=people, number=st.integers(0, 5))
    def is_invited_again(self, who: str, number: int) -> None:
        self.ask(c.Invite(invitation=f"x{number}", participant=who, expires_at=9e9))

    @rule(who=st.sampled_from(["chair", "patient", c.SYSTEM]), sure=st.integers(0, 9))
    def ends(self, who: str, sure: int) -> None:
        if sure == 0:
            self.ask(c.End(actor=who))

    @invariant()
    def who_is_not_admitted_has_no_media(self) -> None:
        for person in self.bench.room.participants:
            send, receive = self.model.peers.get(person.id, ((), False))
            if person.state != "admitted":
                assert not send
                assert not receive
            if person.session is None or person.session.lost:
                assert person.id not in self.model.peers
            assert not set(send) & set(person.muted)

    @invariant()
    def who_has_not_agreed_is_in_no_tap(self) -> None:
        room = self.bench.room
        for peers in self.model.taps.values():
            for who in peers:
                person = self.bench.person(who)
                assert person.state == "admitted"
                decided = consent.decision(room, who)
                assert decided not in ("refused", "withdrawn")
                assert decided == "given" or not consent.is_required(room, person)
        assert not (consent.running(room) and consent.objected(room))

    @invariant()
    def the_media_engine_is_as_a_fresh_one_would_be(self) -> None:
        fresh = MediaModel()
        fresh.obey(effects.desired(self.bench.room))
        assert self.model.holds() == fresh.holds()
        self.model.obey(effects.desired(self.bench.room))
        assert self.model.holds() == fresh.holds(), "told again, nothing is different"

    @invariant()
    def a_stay_is_open_exactly_while_somebody_is_in_the_call(self) -> None:
        room = self.bench.room
        for person in room.participants:
            inside = person.state == "admitted" and room.state != "ended"
            assert [stay.end is None for stay in person.presences].count(True) == int(inside)
            assert all(stay.end is None or stay.start <= stay.end for stay in person.presences)

    @invariant()
    def differences_lead_to_the_view(self) -> None:
        for who in PEOPLE:
            newest = view.view(self.bench.room, who)
            had = self.views.get(who)
            shown = had
            for message in view.diff(had, newest, who):
                shown = _applied(shown, message)
            assert shown is not None
            assert _by_id(shown) == _by_id(newest)
            self.views[who] = newest

    @invariant()
    def a_line_is_written_once(self) -> None:
        lines = [line.id for line in self.bench.room.chat]
        assert len(lines) == len(set(lines))

    @invariant()
    def an_ended_consultation_records_nothing(self) -> None:
        if self.bench.room.state == "ended":
            assert consent.running(self.bench.room) is None
            assert not self.model.taps
            assert self.model.closed

    @invariant()
    def no_transport_outlives_the_session_that_it_was_made_for(self) -> None:
        for who in self.model.peers:
            session = self.bench.person(who).session
            assert session
            transport = self.model.transports[who]
            assert self.made_for.setdefault(transport, session.id) == session.id

    @invariant()
    def the_room_survives_being_stored(self) -> None:
        room = self.bench.room
        assert msgspec.json.decode(msgspec.json.encode(room), type=Room) == room


def _applied(shown: wire.Room | None, message: wire.ServerMessage) -> wire.Room:
    """What a client makes of a message, as PROTOCOL.md says."""
    if isinstance(message, wire.Room):
        return message
    assert shown is not None
    change = msgspec.structs.replace
    match message:
        case wire.Participant():
            others = tuple(each for each in shown.participants if each.id != message.id)
            return change(shown, participants=(*others, message))
        case wire.ParticipantHidden():
            others = tuple(each for each in shown.participants if each.id != message.id)
            return change(shown, participants=others)
        case wire.ChatLine():
            return change(shown, chat=(*shown.chat, message))
        case wire.Recording():
            return change(shown, recording=message)
        case wire.Consultation():
            return change(shown, consultation=message)
    raise AssertionError(f"not a difference: {message}")


def _by_id(shown: wire.Room) -> wire.Room:
    people = tuple(sorted(shown.participants, key=lambda each: each.id))
    return msgspec.structs.replace(shown, participants=people)


RoomMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, database=None
)
TestRoom = RoomMachine.TestCase


def test_a_stranger_changes_nothing() -> None:
    bench = Bench()
    bench.enter("chair")
    for command in (c.End(actor="stranger"), c.Ready(actor="stranger")):
        try:
            apply(bench.room, command, bench.now)
        except RequestError:
            continue
        raise AssertionError(f"{command} of a stranger was done")
