"""Every arrow of `PARTICIPANT_STATES`, and what goes with it; every other event is refused."""

from __future__ import annotations

import inspect
import sys
from typing import get_args

import pytest

from signaling.errors import RequestError, RoomError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import ParticipantState
from signaling.rooms import commands as c
from signaling.rooms.lifecycle import PARTICIPANT_STATES
from signaling.rooms.room import Presence
from tests.support.bench import PEOPLE, Bench, in_state

REMOVE = c.Remove(actor="chair", participant="patient")
REVOKE = c.Revoke(invitation="i-patient")


def assert_put_out(bench: Bench) -> None:
    patient = bench.person("patient")
    assert patient.session is None
    assert patient.waiting_since is None
    assert all(stay.end is not None for stay in patient.presences)
    assert all(each.revoked for each in bench.room.invitations if each.participant == "patient")
    with pytest.raises(RequestError) as refused:
        bench.join("patient", device="2")
    assert refused.value.code is ErrorCode.INVITATION_REVOKED


def assert_new_session(bench: Bench) -> None:
    """What `Connect` over an earlier session leads to: nothing of an admission is inherited."""
    patient = bench.person("patient")
    assert patient.session is not None
    assert patient.session.id == "s-patient-2"
    assert all(stay.end is not None for stay in patient.presences)


def test_invited__connect__knocking() -> None:
    bench = in_state("invited")
    bench.join("patient")
    assert bench.state("patient") == "knocking"
    session = bench.person("patient").session
    assert session
    assert (session.away_since, session.lost) == (None, False)


def test_invited__remove__removed() -> None:
    bench = in_state("invited")
    bench.do(REMOVE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_knocking__connect__knocking() -> None:
    bench = in_state("knocking")
    bench.drop("patient")
    bench.join("patient", device="2")
    assert bench.state("patient") == "knocking"
    assert_new_session(bench)


def test_knocking__ready__waiting() -> None:
    bench = in_state("knocking")
    bench.do(c.Ready(actor="patient"))
    assert bench.state("patient") == "waiting"
    assert bench.person("patient").waiting_since == bench.now


@pytest.mark.parametrize("who", ["chair", "consultant", "nurse", "admin"])
def test_knocking__ready__admitted_for_staff(who: str) -> None:
    bench = Bench()
    bench.join(who)
    bench.do(c.Ready(actor=who))
    assert bench.state(who) == "admitted"
    assert bench.person(who).presences == (Presence(start=bench.now),)


@pytest.mark.parametrize("who", ["patient", "guardian", "interpreter", "observer"])
def test_knocking__ready__waiting_for_everyone_else(who: str) -> None:
    bench = Bench()
    bench.join(who)
    bench.do(c.Ready(actor=who))
    assert bench.state(who) == "waiting"


def test_knocking__leave__left() -> None:
    bench = in_state("knocking")
    bench.do(c.Leave(actor="patient"))
    assert bench.state("patient") == "left"
    assert bench.person("patient").session is None


def test_knocking__remove__removed() -> None:
    bench = in_state("knocking")
    bench.do(REMOVE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_knocking__revoke__removed() -> None:
    bench = in_state("knocking")
    bench.do(REVOKE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_waiting__connect__knocking() -> None:
    bench = in_state("waiting")
    since = bench.person("patient").waiting_since
    bench.drop("patient")
    bench.join("patient", device="2")
    assert bench.state("patient") == "knocking"
    assert_new_session(bench)
    bench.do(c.Ready(actor="patient"))
    assert bench.person("patient").waiting_since == since, "the place in the queue is kept"


def test_waiting__admit__admitted() -> None:
    bench = in_state("waiting")
    bench.do(c.Admit(actor="chair", participant="patient"))
    assert bench.state("patient") == "admitted"
    assert bench.person("patient").presences == (Presence(start=bench.now),)


def test_waiting__leave__left() -> None:
    bench = in_state("waiting")
    bench.do(c.Leave(actor="patient"))
    assert bench.state("patient") == "left"
    assert bench.person("patient").waiting_since is None, "who leaves gives up the place"


def test_waiting__remove__removed() -> None:
    bench = in_state("waiting")
    bench.do(REMOVE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_waiting__revoke__removed() -> None:
    bench = in_state("waiting")
    bench.do(REVOKE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_admitted__connect__knocking() -> None:
    bench = in_state("admitted")
    since = bench.person("patient").waiting_since
    bench.drop("patient")
    bench.join("patient", device="2")
    assert bench.state("patient") == "knocking"
    assert_new_session(bench)
    bench.do(c.Ready(actor="patient"))
    assert bench.state("patient") == "waiting", "somebody must admit them again"
    assert bench.person("patient").waiting_since == since


def test_admitted__hold__held() -> None:
    bench = in_state("admitted")
    bench.do(c.RaiseHand(actor="patient", raised=True))
    bench.do(c.Hold(actor="chair", participant="patient"))
    assert bench.state("patient") == "held"
    assert bench.person("patient").presences[-1].end == bench.now
    assert not bench.person("patient").hand_raised


def test_admitted__leave__left() -> None:
    bench = in_state("admitted")
    bench.do(c.Leave(actor="patient"))
    assert bench.state("patient") == "left"
    assert bench.person("patient").presences[-1].end == bench.now


def test_admitted__remove__removed() -> None:
    bench = in_state("admitted")
    bench.do(REMOVE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_admitted__revoke__removed() -> None:
    bench = in_state("admitted")
    bench.do(REVOKE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_held__connect__knocking() -> None:
    bench = in_state("held")
    bench.drop("patient")
    bench.join("patient", device="2")
    assert bench.state("patient") == "knocking"
    assert_new_session(bench)


def test_held__return__admitted() -> None:
    bench = in_state("held")
    bench.do(c.Return(actor="chair", participant="patient"))
    assert bench.state("patient") == "admitted"
    stays = bench.person("patient").presences
    assert [stay.end is None for stay in stays] == [False, True]


def test_held__leave__left() -> None:
    bench = in_state("held")
    bench.do(c.Leave(actor="patient"))
    assert bench.state("patient") == "left"


def test_held__remove__removed() -> None:
    bench = in_state("held")
    bench.do(REMOVE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_held__revoke__removed() -> None:
    bench = in_state("held")
    bench.do(REVOKE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_left__connect__knocking() -> None:
    bench = in_state("left")
    bench.join("patient", device="2")
    assert bench.state("patient") == "knocking"
    assert_new_session(bench)


def test_left__remove__removed() -> None:
    bench = in_state("left")
    bench.do(REMOVE)
    assert bench.state("patient") == "removed"
    assert_put_out(bench)


def test_removed__invite__invited() -> None:
    bench = in_state("removed")
    bench.do(c.Invite(invitation="i-new", participant="patient", expires_at=bench.now + 60))
    assert bench.state("patient") == "invited"
    with pytest.raises(RequestError) as refused:
        bench.join("patient")
    assert refused.value.code is ErrorCode.INVITATION_REVOKED, "the old link stays void"
    bench.join("patient", invitation="i-new")
    assert bench.state("patient") == "knocking"


# ------------------------------------------------------------- what is no arrow

EVENTS: dict[type[c.Command], c.Command] = {
    c.Ready: c.Ready(actor="patient"),
    c.Admit: c.Admit(actor="chair", participant="patient"),
    c.Hold: c.Hold(actor="chair", participant="patient"),
    c.Return: c.Return(actor="chair", participant="patient"),
    c.Leave: c.Leave(actor="patient"),
    c.Remove: REMOVE,
}


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (state, event)
        for state in get_args(ParticipantState)
        for event in EVENTS
        if event not in PARTICIPANT_STATES[state]
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_other_events_are_refused_and_change_nothing(
    state: ParticipantState, event: type[c.Command]
) -> None:
    bench = in_state(state)
    before = bench.room
    with pytest.raises(RoomError) as refused:
        bench.do(EVENTS[event])
    # Somebody who is not there has no session to ask by: that is said first.
    absent = state in ("invited", "left", "removed") and event in (c.Ready, c.Leave)
    assert refused.value.code is (ErrorCode.NOT_ADMITTED if absent else ErrorCode.WRONG_STATE)
    assert bench.room is before


def test_every_arrow_of_the_table_has_its_test() -> None:
    tests = {name for name, _ in inspect.getmembers(sys.modules[__name__], inspect.isfunction)}
    for state, arrows in PARTICIPANT_STATES.items():
        for event, following in arrows.items():
            assert f"test_{state}__{event.__name__.lower()}__{following}" in tests


def test_the_bench_has_everyone_invited() -> None:
    assert {Bench().state(who) for who in PEOPLE} == {"invited"}
