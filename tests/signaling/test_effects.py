"""What the media engine and the recorder are told about each change."""

from __future__ import annotations

from signaling.protocol.messages import Media, MediaKind, RecordingPolicy
from signaling.rooms import commands as c
from signaling.rooms import effects as e
from signaling.rooms.room import Room
from tests.support.bench import Bench, in_state
from tests.support.media_model import MediaModel

ALL: tuple[MediaKind, ...] = ("audio", "video", "screen")


def told(bench: Bench, command: c.Command) -> tuple[e.Effect, ...]:
    before = bench.room
    bench.do(command)
    return e.effects(before, bench.room)


def recorded(policy: RecordingPolicy = "patient") -> Bench:
    bench = in_state("admitted", policy)
    bench.decide("patient", "given")
    if policy == "everyone":
        bench.decide("chair", "given")
    bench.record()
    return bench


def only_media(effects: tuple[e.Effect, ...]) -> list[e.Effect]:
    return [effect for effect in effects if not isinstance(effect, e.PutDossier)]


def test_who_waits_may_neither_send_nor_receive() -> None:
    for state in ("knocking", "waiting", "held"):
        bench = in_state(state)
        allowed = e.permit(bench.room, bench.person("patient"))
        assert allowed
        assert (allowed.send, allowed.receive) == ((), False)
        assert not e.may_negotiate(bench.room, "patient")


def test_an_admission_opens_both_ways() -> None:
    bench = in_state("waiting")
    effects = told(bench, c.Admit(actor="chair", participant="patient"))
    version = bench.room.version
    assert effects == (e.SetPermit(participant="patient", send=ALL, receive=True, version=version),)
    assert e.may_negotiate(bench.room, "patient")


def test_an_observer_receives_only() -> None:
    bench = in_state("waiting")
    bench.admit("observer")
    allowed = e.permit(bench.room, bench.person("observer"))
    assert allowed
    assert (allowed.send, allowed.receive) == ((), True)


def test_a_promotion_lets_an_observer_speak() -> None:
    bench = in_state("waiting")
    bench.admit("observer")
    effects = told(
        bench, c.Promote(actor="chair", participant="observer", role="consulting_clinician")
    )
    version = bench.room.version
    assert effects == (
        e.SetPermit(participant="observer", send=ALL, receive=True, version=version),
    )


def test_a_mute_takes_its_kind_from_what_may_be_sent() -> None:
    bench = in_state("admitted")
    effects = told(bench, c.Mute(actor="chair", participant="patient", kinds=("audio",)))
    assert effects == (
        e.SetPermit(
            participant="patient",
            send=("video", "screen"),
            receive=True,
            version=bench.room.version,
        ),
    )


def test_a_hold_closes_both_ways_and_keeps_the_peer() -> None:
    bench = in_state("admitted")
    effects = told(bench, c.Hold(actor="chair", participant="patient"))
    assert effects == (
        e.SetPermit(participant="patient", send=(), receive=False, version=bench.room.version),
    )


def test_who_goes_is_removed() -> None:
    for command in (
        c.Leave(actor="patient"),
        c.Remove(actor="chair", participant="patient"),
        c.Revoke(invitation="i-patient"),
    ):
        bench = in_state("admitted")
        assert told(bench, command) == (e.RemovePeer(participant="patient"),)


def test_a_lost_person_is_removed_and_comes_back_with_all_they_had() -> None:
    bench = in_state("admitted")
    bench.do(c.SetMedia(actor="patient", media=Media(audio=True)))
    bench.drop("patient")
    bench.now += 30
    effects = told(bench, c.Lose(participant="patient", grace_s=30))
    assert effects == (e.RemovePeer(participant="patient"),)
    before = bench.room
    bench.resume("patient")
    assert e.effects(before, bench.room) == (
        e.SetPermit(participant="patient", send=ALL, receive=True, version=bench.room.version),
        e.TellMedia(participant="patient", media=Media(audio=True)),
    )


def test_a_dropped_websocket_touches_no_media() -> None:
    bench = in_state("admitted")
    session = bench.person("patient").session
    assert session
    gone = c.Disconnect(participant="patient", connection=session.connection)
    assert told(bench, gone) == ()
    before = bench.room
    bench.resume("patient")
    assert e.effects(before, bench.room) == ()


def test_a_new_device_takes_the_old_ones_transport_away() -> None:
    bench = in_state("held")
    bench.drop("patient")
    before = bench.room
    bench.join("patient", device="2")
    assert e.effects(before, bench.room) == (
        e.RemovePeer(participant="patient"),
        e.SetPermit(participant="patient", send=(), receive=False, version=bench.room.version),
    )


def test_a_persons_word_on_their_media_is_passed_on() -> None:
    bench = in_state("admitted")
    effects = told(bench, c.SetMedia(actor="patient", media=Media(video=True)))
    assert effects == (e.TellMedia(participant="patient", media=Media(video=True)),)
    effects = told(bench, c.SetMedia(actor="patient", media=Media()))
    assert effects == (e.TellMedia(participant="patient", media=Media()),)


# ---------------------------------------------------------------- recording


def test_a_start_opens_the_tap_with_those_who_agreed() -> None:
    bench = in_state("admitted")
    bench.decide("patient", "given")
    effects = told(bench, c.StartRecording(actor="chair", recording="rec"))
    assert effects == (
        e.SetTap(recording="rec", peers=("chair", "patient"), version=bench.room.version),
        e.PutDossier(),
    )


def test_a_withdrawal_stops_the_tap_first_of_all() -> None:
    bench = recorded()
    before = bench.room
    bench.decide("patient", "withdrawn")
    assert e.effects(before, bench.room) == (e.StopTap(recording="rec"), e.PutDossier())


def test_a_refusal_of_somebody_not_asked_for_takes_them_out_of_the_tap() -> None:
    bench = recorded()
    before = bench.room
    bench.decide("chair", "refused")
    assert e.effects(before, bench.room) == (
        e.SetTap(recording="rec", peers=("patient",), version=bench.room.version),
        e.PutDossier(),
    )


def test_a_hold_leaves_the_tap_before_it_closes_the_peer() -> None:
    bench = recorded()
    effects = told(bench, c.Hold(actor="chair", participant="patient"))
    assert [type(effect) for effect in effects] == [e.SetTap, e.SetPermit, e.PutDossier]


def test_the_tap_stops_before_somebody_who_refused_is_let_in() -> None:
    bench = recorded()
    bench.join("guardian")
    bench.decide("guardian", "refused")
    bench.do(c.Ready(actor="guardian"))
    effects = only_media(told(bench, c.Admit(actor="chair", participant="guardian")))
    assert [type(effect) for effect in effects] == [e.StopTap, e.SetPermit]


def test_closing_comes_before_opening() -> None:
    bench = in_state("waiting")
    before = bench.room
    bench.do(c.Admit(actor="chair", participant="patient"))
    bench.do(c.Hold(participant="chair"))
    effects = e.effects(before, bench.room)
    permits = [each.receive for each in effects if isinstance(each, e.SetPermit)]
    assert permits == [False, True]


def test_a_line_of_chat_renews_the_dossier_once_something_was_recorded() -> None:
    bench = in_state("admitted")
    assert told(bench, c.Chat(actor="patient", id="1", text="trước")) == ()
    bench = recorded()
    effects = told(bench, c.Chat(actor="patient", id="1", text="sau"))
    assert effects == (e.PutDossier(),)
    bench.do(c.StopRecording(actor="chair"))
    effects = told(bench, c.Chat(actor="patient", id="2", text="sau nữa"))
    assert effects == (e.PutDossier(),)


# ---------------------------------------------------------------------- end


def test_the_end_archives_first_of_all_then_stops_the_tap_and_closes_the_media() -> None:
    bench = recorded()
    effects = told(bench, c.End(actor="chair"))
    assert effects == (e.Archive(), e.StopTap(recording="rec"), e.CloseMedia())


def test_a_consultation_where_nobody_met_is_not_archived() -> None:
    bench = in_state("waiting")
    assert told(bench, c.End(actor="chair")) == (e.CloseMedia(),)


def test_an_ended_consultation_ends_once() -> None:
    bench = in_state("admitted")
    bench.do(c.End(actor="chair"))
    assert e.effects(bench.room, bench.room) == ()
    assert e.desired(bench.room) == (e.Archive(), e.CloseMedia())


# ------------------------------------------------------------------ desired


def fresh(room: Room) -> MediaModel:
    model = MediaModel()
    model.obey(e.desired(room))
    return model


def test_a_fresh_media_engine_is_told_everything() -> None:
    bench = recorded()
    bench.do(c.SetMedia(actor="patient", media=Media(audio=True)))
    bench.enter("guardian")
    assert fresh(bench.room).holds() == (
        {"chair": (ALL, True), "patient": (ALL, True), "guardian": ((), False)},
        {"patient": Media(audio=True)},
        {"rec": ("chair", "patient")},
        False,
    )


def test_a_media_engine_that_missed_a_withdrawal_is_put_right() -> None:
    bench = recorded()
    model = fresh(bench.room)
    bench.decide("patient", "withdrawn")
    bench.do(c.Remove(actor="chair", participant="patient"))
    model.obey(e.desired(bench.room))
    assert model.holds() == ({"chair": (ALL, True)}, {}, {}, False)
