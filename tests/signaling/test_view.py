"""Who sees what, and what they are sent when it changes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.errors import RoomError
from signaling.protocol import messages as wire
from signaling.protocol.messages import Facility, Media, ParticipantState
from signaling.rooms import commands as c
from signaling.rooms.roles import permissions
from signaling.rooms.room import ChatLine, Presence, Room
from signaling.rooms.view import Sight, diff, farewell, queue, view
from tests.support.bench import PEOPLE, Bench, in_state


def seen(bench: Bench, who: str) -> dict[str, wire.Participant]:
    return {person.id: person for person in view(bench.room, who).participants}


def full_house() -> Bench:
    """Everyone in the call but the guardian (waiting), the interpreter (in the lobby), the admin
    (held) and the nurse (only invited)."""
    bench = Bench("patient")
    bench.enter("chair", "consultant", "admin")
    bench.admit("patient", "observer")
    bench.enter("guardian")
    bench.join("interpreter")
    bench.do(c.Hold(actor="chair", participant="admin"))
    return bench


# -------------------------------------------------------------- from outside


@pytest.mark.parametrize("state", ["invited", "knocking", "waiting", "held", "left", "removed"])
def test_from_outside_one_sees_oneself_and_the_clinicians(state: ParticipantState) -> None:
    bench = in_state(state)
    bench.admit("observer", "interpreter")
    bench.enter("guardian", "nurse")
    assert set(seen(bench, "patient")) == {"patient", "chair", "consultant"}


def test_from_outside_a_clinician_is_known_by_name_and_nothing_they_do() -> None:
    bench = in_state("waiting")
    bench.do(
        c.AddParticipant(
            participant="expert",
            name="Lê Thị B",
            role="consulting_clinician",
            title="TS. BS.",
            licence="0001/BYT-CCHN",
            facility=Facility(code="79001", name="Bệnh viện trung ương"),
        )
    )
    bench.do(c.SetMedia(actor="chair", media=Media(audio=True, video=True)))
    bench.do(c.RaiseHand(actor="chair", raised=True))
    people = seen(bench, "patient")
    assert people["expert"] == wire.Participant(
        id="expert",
        name="Lê Thị B",
        role="consulting_clinician",
        state="invited",
        connection="away",
        title="TS. BS.",
        licence="0001/BYT-CCHN",
        facility=Facility(code="79001", name="Bệnh viện trung ương"),
    )
    chair = people["chair"]
    assert (chair.state, chair.connection) == ("admitted", "connected")
    assert (chair.media, chair.hand_raised, chair.muted) == (Media(), False, ())
    assert (chair.consent, chair.place, chair.waiting_since) == (None, None, None)


def test_from_outside_a_removed_clinician_is_not_shown() -> None:
    bench = in_state("waiting")
    bench.do(c.Remove(actor="chair", participant="consultant"))
    assert "consultant" not in seen(bench, "patient")


def test_from_outside_there_is_no_chat_and_no_recording_to_see() -> None:
    bench = in_state("admitted")
    bench.decide("patient", "given")
    bench.record()
    bench.do(c.Chat(actor="patient", id="1", text="tôi đau ngực"))
    bench.do(c.Hold(actor="chair", participant="patient"))
    shown = view(bench.room, "patient")
    assert shown.chat == ()
    assert shown.recording == wire.Recording(state="off", policy="patient")


def test_a_held_clinician_sees_no_more_than_anyone_outside() -> None:
    bench = full_house()
    assert set(seen(bench, "admin")) == {"admin", "chair", "consultant"}
    assert seen(bench, "admin")["admin"].state == "held"


# --------------------------------------------------------------- from inside


def test_from_inside_one_sees_who_is_in_the_call_and_who_is_held() -> None:
    bench = full_house()
    assert set(seen(bench, "patient")) == {"chair", "consultant", "patient", "observer", "admin"}


def test_who_may_admit_also_sees_who_knocks_and_waits() -> None:
    bench = full_house()
    people = seen(bench, "chair")
    assert set(people) - set(seen(bench, "patient")) == {"guardian", "interpreter"}
    assert (people["guardian"].state, people["guardian"].place) == ("waiting", 1)
    assert people["guardian"].waiting_since == bench.person("guardian").waiting_since
    assert (people["interpreter"].state, people["interpreter"].place) == ("knocking", None)


def test_a_consultant_does_not_see_the_waiting_room() -> None:
    assert "guardian" not in seen(full_house(), "consultant")


def test_a_change_of_role_reaches_oneself_with_what_one_may_do_now() -> None:
    bench = full_house()
    promote = c.Promote(actor="chair", participant="observer", role="interpreter")
    assert seen(bench, "observer")["observer"].permissions == ()
    (own,) = change_seen(bench, "observer", promote)
    assert isinstance(own, wire.Participant)
    assert (own.role, own.permissions) == ("interpreter", ("speak", "chat"))


@pytest.mark.parametrize("who", ["chair", "patient", "guardian", "interpreter", "admin"])
def test_what_others_may_do_is_not_told(who: str) -> None:
    rows = seen(full_house(), who)
    assert rows.pop(who).permissions == permissions(PEOPLE[who])
    assert {row.permissions for row in rows.values()} == {()}


def test_a_decision_is_shown_to_oneself_and_to_who_records() -> None:
    bench = full_house()
    bench.decide("patient", "refused")
    shown = {who: seen(bench, who)["patient"].consent for who in ("chair", "patient", "observer")}
    assert shown == {"chair": "refused", "patient": "refused", "observer": None}


def test_whose_consent_is_missing_is_told_to_who_records() -> None:
    bench = full_house()
    assert view(bench.room, "chair").recording.missing_consents == ("patient",)
    assert view(bench.room, "patient").recording.missing_consents == ()


def test_a_recording_is_shown_to_all_in_the_call() -> None:
    bench = full_house()
    bench.decide("patient", "given")
    bench.record()
    recording = view(bench.room, "observer").recording
    assert (recording.state, recording.since) == ("on", bench.now)
    bench.decide("patient", "withdrawn")
    recording = view(bench.room, "observer").recording
    assert (recording.state, recording.stop_reason) == ("off", "consent_withdrawn")


def test_connections_are_shown_as_they_are() -> None:
    bench = full_house()
    bench.drop("patient")
    assert seen(bench, "chair")["patient"].connection == "away"
    bench.now += 30
    bench.do(c.Lose(participant="patient", grace_s=30))
    assert seen(bench, "chair")["patient"].connection == "lost"
    assert seen(bench, "chair")["patient"].state == "admitted"


# ---------------------------------------------------------------------- chat


def texts(bench: Bench, who: str) -> list[str]:
    return [line.text for line in view(bench.room, who).chat]


def test_one_reads_what_was_written_while_one_was_in_the_call() -> None:
    bench = in_state("admitted")

    def write(text: str) -> None:
        bench.do(c.Chat(actor="chair", id=text, text=text))

    write("một")
    bench.do(c.Hold(actor="chair", participant="patient"))
    write("hai")
    bench.do(c.Return(actor="chair", participant="patient"))
    write("ba")
    assert texts(bench, "patient") == ["một", "ba"]
    assert texts(bench, "chair") == ["một", "hai", "ba"]


def test_a_late_comer_reads_nothing_of_before() -> None:
    bench = in_state("admitted")
    bench.do(c.Chat(actor="patient", id="1", text="riêng tư"))
    bench.admit("guardian")
    assert texts(bench, "guardian") == []


def test_a_line_bears_its_writers_name() -> None:
    bench = in_state("admitted")
    bench.do(c.Chat(actor="patient", id="1", text="xin chào"))
    assert view(bench.room, "chair").chat[0].name == "Tên patient"


times = st.integers(0, 12).map(float)


@given(
    st.lists(times, max_size=12),
    st.lists(st.tuples(times, st.none() | times), max_size=4),
)
def test_one_reads_the_lines_of_ones_stays_whatever_the_clocks_of_nodes_say(
    written_at: list[float], stays: list[tuple[float, float | None]]
) -> None:
    bench = in_state("admitted")
    lines = [
        ChatLine(id=str(number), participant="chair", at=at, text=f"dòng {number}")
        for number, at in enumerate(written_at)
    ]
    presences = tuple(Presence(start=start, end=end) for start, end in stays)
    me = msgspec.structs.replace(bench.person("patient"), presences=presences)
    room = msgspec.structs.replace(bench.room, participants=(me,), chat=tuple(lines))
    expected = [
        line.id
        for line in lines
        if any(start <= line.at and (end is None or line.at < end) for start, end in stays)
    ]
    assert [line.id for line in view(room, "patient").chat] == expected
    in_order = msgspec.structs.replace(room, chat=tuple(sorted(lines, key=lambda line: line.at)))
    assert sorted(line.id for line in view(in_order, "patient").chat) == sorted(expected)


# --------------------------------------------------------------------- queue


def test_the_queue_is_in_order_of_readiness() -> None:
    bench = Bench()
    bench.enter("guardian", "patient", "observer")
    assert queue(bench.room) == ("guardian", "patient", "observer")
    assert seen(bench, "patient")["patient"].place == 2
    bench.do(c.Leave(actor="guardian"))
    assert seen(bench, "patient")["patient"].place == 1


def test_a_place_in_the_queue_survives_a_new_device() -> None:
    bench = Bench()
    bench.enter("patient", "guardian")
    bench.drop("patient")
    bench.join("patient", device="2")
    assert queue(bench.room) == ("guardian",)
    bench.do(c.Ready(actor="patient"))
    assert queue(bench.room) == ("patient", "guardian")


# ---------------------------------------------------------------------- diff


def change_seen(bench: Bench, who: str, command: c.Command) -> tuple[wire.ServerMessage, ...]:
    before = view(bench.room, who)
    bench.do(command)
    return diff(before, view(bench.room, who), who)


def test_the_first_view_is_the_whole_room() -> None:
    bench = in_state("waiting")
    shown = view(bench.room, "patient")
    assert diff(None, shown, "patient") == (shown,)


def test_crossing_the_door_brings_the_whole_room() -> None:
    bench = in_state("waiting")
    for command in (
        c.Admit(actor="chair", participant="patient"),
        c.Hold(actor="chair", participant="patient"),
        c.Return(actor="chair", participant="patient"),
    ):
        assert change_seen(bench, "patient", command) == (view(bench.room, "patient"),)


def test_a_change_of_a_person_brings_that_person() -> None:
    bench = in_state("admitted")
    (message,) = change_seen(bench, "patient", c.RaiseHand(actor="chair", raised=True))
    assert isinstance(message, wire.Participant)
    assert (message.id, message.hand_raised) == ("chair", True)


def test_somebody_who_goes_is_hidden() -> None:
    bench = in_state("admitted")
    told = change_seen(bench, "chair", c.Leave(actor="patient"))
    assert wire.ParticipantHidden(id="patient") in told


def test_a_line_of_chat_comes_alone() -> None:
    bench = in_state("admitted")
    told = change_seen(bench, "chair", c.Chat(actor="patient", id="1", text="alo"))
    assert [type(message) for message in told] == [wire.ChatLine]


def test_a_recording_that_starts_is_told() -> None:
    bench = in_state("admitted")
    bench.decide("patient", "given")
    command = c.StartRecording(actor="chair", recording="rec")
    (message,) = change_seen(bench, "patient", command)
    assert isinstance(message, wire.Recording)
    assert message.state == "on"


def test_what_one_may_not_see_sends_nothing() -> None:
    bench = full_house()
    assert change_seen(bench, "patient", c.Leave(actor="guardian")) == ()
    assert change_seen(bench, "interpreter", c.RaiseHand(actor="chair", raised=True)) == ()
    assert change_seen(bench, "admin", c.Chat(actor="chair", id="1", text="nội bộ")) == ()


def test_the_end_is_told_by_the_consultation() -> None:
    bench = in_state("admitted")
    told = change_seen(bench, "patient", c.End(actor="chair"))
    assert [type(message) for message in told] == [wire.Consultation]
    assert isinstance(told[0], wire.Consultation)
    assert told[0].state == "ended"


def test_chat_that_must_be_forgotten_brings_the_whole_room() -> None:
    bench = in_state("admitted")
    bench.do(c.Chat(actor="patient", id="1", text="alo"))
    after = view(bench.room, "patient")
    more = msgspec.structs.replace(
        after, chat=(msgspec.structs.replace(after.chat[0], id="0"), *after.chat)
    )
    assert diff(more, after, "patient") == (after,)


# --------------------------------------------------------------------- sight


def test_a_sight_after_another_sees_the_same_and_makes_only_what_changed() -> None:
    bench = full_house()
    bench.do(c.Chat(actor="chair", id="1", text="một"))
    sight = Sight(bench.room)
    for command in (
        c.Chat(actor="patient", id="2", text="hai"),
        c.RaiseHand(actor="observer", raised=True),
        c.Admit(actor="chair", participant="guardian"),
        c.Hold(actor="chair", participant="patient"),
    ):
        before = sight.of("chair")
        bench.do(command)
        # As from Redis: equal to what was known, and other objects.
        room = msgspec.json.decode(msgspec.json.encode(bench.room), type=Room)
        sight = Sight(room, sight)
        for who in PEOPLE:
            assert sight.of(who) == view(bench.room, who)
        after = sight.of("chair")
        assert after.chat[0] is before.chat[0]
        assert after.participants[1] is before.participants[1]


def test_a_stranger_sees_nothing() -> None:
    with pytest.raises(RoomError):
        view(full_house().room, "stranger")


# ------------------------------------------------------------------ farewell


def test_while_it_goes_on_there_is_no_farewell() -> None:
    assert farewell(in_state("waiting").room, "patient", "ws-patient-1") is None


def test_every_farewell_has_its_reason() -> None:
    bench = in_state("admitted")
    bench.resume("patient", connection="ws-new")
    assert farewell(bench.room, "patient", "ws-patient-1") == "replaced"
    assert farewell(bench.room, "patient", "ws-new") is None
    assert farewell(in_state("left").room, "patient", "ws-patient-1") == "left"
    assert farewell(in_state("removed").room, "patient", "ws-patient-1") == "removed"
    bench.do(c.End(actor="chair"))
    assert farewell(bench.room, "patient", "ws-new") == "ended"
    bench = in_state("waiting")
    bench.do(c.Leave(actor="chair"))
    bench.now = bench.room.expires_at
    bench.do(c.Expire())
    assert farewell(bench.room, "patient", "ws-patient-1") == "expired"
