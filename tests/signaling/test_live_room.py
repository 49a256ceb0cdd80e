"""What a process passes on of its SFU's events and of faults, and repeats to one who resumes."""

from __future__ import annotations

import msgspec
import pytest

from sfu.control import messages as sfu
from sfu.ids import PeerId, RoomId, SourceId
from signaling.live.live_room import Heard, LiveRoom
from signaling.protocol import messages as wire
from signaling.rooms import commands as c
from signaling.rooms.room import Break
from tests.signaling.flows import Page, talking
from tests.support.bench import Bench, in_state

ROOM = RoomId("con")
PATIENT = PeerId("patient")
EVENTS: list[tuple[Heard, wire.ServerMessage]] = [
    (
        sfu.PeerTransport(room=ROOM, peer=PATIENT, state="disconnected"),
        wire.MediaConnection(state="disconnected"),
    ),
    (
        sfu.Pictures(room=ROOM, peer=PATIENT, seats=("shown", "network")),
        wire.Pictures(seats=("shown", "network")),
    ),
    (
        sfu.Layers(
            room=ROOM,
            peer=PATIENT,
            source=SourceId("patient/camera"),
            layers=(sfu.Layer(rid="q", active=True), sfu.Layer(rid="f", active=False)),
        ),
        wire.Layers(
            kind="camera",
            layers=(wire.Layer(rid="q", active=True), wire.Layer(rid="f", active=False)),
        ),
    ),
    (
        sfu.Layers(
            room=ROOM,
            peer=PATIENT,
            source=SourceId("patient/screen"),
            layers=(sfu.Layer(rid="", active=False),),
        ),
        wire.Layers(kind="screen", layers=(wire.Layer(rid="", active=False),)),
    ),
    (
        sfu.OfferWanted(room=ROOM, peer=PATIENT, reason="codec"),
        wire.OfferWanted(reason="codec"),
    ),
]
SILENT = Break(reason="microphone_silent", start=7.0)
event = pytest.mark.parametrize(
    ("event", "message"), EVENTS, ids=[type(each).__name__ for each, _ in EVENTS]
)


def opened(bench: Bench, *people: str) -> tuple[LiveRoom, list[Page]]:
    live = LiveRoom(bench.room)
    pages = [Page(person) for person in people]
    for page in pages:
        live.attach(page)
    return live, pages


def newest(live: LiveRoom, bench: Bench) -> None:
    live.take(bench.room)


@event
def test_event__to_whom_it_concerns(event: Heard, message: wire.ServerMessage) -> None:
    live, (chair, patient) = opened(talking(), "chair", "patient")
    live.hear(event)
    assert patient.told[-1] == message
    assert message not in chair.told


@event
def test_event__again_to_one_who_resumes(event: Heard, message: wire.ServerMessage) -> None:
    live, _ = opened(talking())
    live.hear(event)
    patient = Page("patient")
    live.attach(patient)
    assert message in patient.told


@event
def test_event__nobody_outside_the_call_hears(event: Heard, message: wire.ServerMessage) -> None:
    live, (patient,) = opened(in_state("held"), "patient")
    live.hear(event)
    live.attach(again := Page("patient"))
    assert message not in patient.told + again.told


@event
def test_event__after_hold_what_was_said_before_and_meanwhile(
    event: Heard, message: wire.ServerMessage
) -> None:
    bench = talking()
    live, (patient,) = opened(bench, "patient")
    live.hear(event)
    bench.do(c.Hold(actor="chair", participant="patient"))
    newest(live, bench)
    speakers = wire.Speakers(participants=("chair",))
    live.hear(sfu.Speakers(room=ROOM, peers=(PeerId("chair"),)))
    assert speakers not in patient.told
    patient.told.clear()
    bench.do(c.Return(actor="chair", participant="patient"))
    newest(live, bench)
    assert [each for each in patient.told if each in (message, speakers)] == [message, speakers]
    patient.told.clear()
    live.set_faults("patient", (SILENT,))
    assert message not in patient.told


@event
def test_event__of_an_earlier_stay_not_to_one_admitted_anew(
    event: Heard, message: wire.ServerMessage
) -> None:
    bench = in_state("waiting")
    live, (patient,) = opened(bench, "patient")
    live.hear(event)
    bench.do(c.Admit(actor="chair", participant="patient"))
    newest(live, bench)
    assert message not in patient.told


@event
def test_event__void_with_the_sfu_that_said_it(event: Heard, message: wire.ServerMessage) -> None:
    live, _ = opened(talking())
    live.hear(event)
    live.forget_media()
    live.attach(patient := Page("patient"))
    assert message not in patient.told


@event
def test_media_lost__renegotiate_and_nothing_older(
    event: Heard, message: wire.ServerMessage
) -> None:
    bench = talking()
    live, (patient,) = opened(bench, "patient")
    live.hear(event)
    bench.do(c.Hold(actor="chair", participant="patient"))
    newest(live, bench)
    patient.told.clear()
    live.lost_media(frozenset({"patient"}))
    assert patient.told == []  # on hold they make no offers
    bench.do(c.Return(actor="chair", participant="patient"))
    newest(live, bench)
    renegotiate = wire.MediaConnection(state="renegotiate")
    assert renegotiate in patient.told
    assert message not in patient.told
    live.attach(again := Page("patient"))
    assert renegotiate in again.told
    live.hear(sfu.PeerTransport(room=ROOM, peer=PATIENT, state="connecting"))
    live.attach(again := Page("patient"))
    assert renegotiate not in again.told


def test_offer_wanted__not_again_after_the_offer() -> None:
    live, _ = opened(talking())
    live.hear(sfu.OfferWanted(room=ROOM, peer=PATIENT, reason="codec"))
    live.offered("patient")
    live.attach(patient := Page("patient"))
    assert not any(isinstance(each, wire.OfferWanted) for each in patient.told)


def test_wants__until_every_layer_is_stopped() -> None:
    live, _ = opened(talking())
    assert live.wants("patient", "camera")
    layers = (sfu.Layer(rid="q", active=False), sfu.Layer(rid="f", active=True))
    source = SourceId("patient/camera")
    live.hear(sfu.Layers(room=ROOM, peer=PATIENT, source=source, layers=layers))
    assert live.wants("patient", "camera")
    live.hear(sfu.Layers(room=ROOM, peer=PATIENT, source=source, layers=layers[:1]))
    assert not live.wants("patient", "camera")
    assert live.wants("patient", "screen")


def test_pictures__seats_that_are_shown() -> None:
    live, _ = opened(talking())
    assert live.pictures("patient") == frozenset()
    live.hear(sfu.Pictures(room=ROOM, peer=PATIENT, seats=("off", "shown", "network", "shown")))
    assert live.pictures("patient") == {1, 3}


def test_faults__told_to_both_ends_and_over_for_both() -> None:
    live, pages = opened(talking(), "chair", "patient")
    live.set_faults("patient", (SILENT,))
    assert [page.faults() for page in pages] == [[("patient", "microphone_silent")]] * 2
    said = [len(page.told) for page in pages]
    live.set_faults("patient", (SILENT,))
    assert [len(page.told) for page in pages] == said
    live.set_faults("patient", ())
    assert [page.faults() for page in pages] == [[], []]


def test_faults__of_people_of_other_processes_by_the_room() -> None:
    bench = talking()
    live, (chair,) = opened(bench, "chair")
    bench.do(c.NoteFaults(participant="patient", faults=(SILENT,)))
    newest(live, bench)
    assert chair.faults() == [("patient", "microphone_silent")]
    bench.do(c.NoteFaults(participant="patient", faults=()))
    newest(live, bench)
    assert chair.faults() == []


def test_faults__what_this_process_sees_counts_before_the_room() -> None:
    bench = talking()
    live, (chair,) = opened(bench, "chair")
    bench.do(c.NoteFaults(participant="patient", faults=(SILENT,)))
    live.set_faults("patient", ())
    newest(live, bench)
    assert chair.faults() is None
    live.set_faults("patient", None)
    assert chair.faults() == [("patient", "microphone_silent")]


def test_faults__again_to_one_who_resumes() -> None:
    live, _ = opened(talking())
    live.set_faults("patient", (SILENT,))
    live.attach(again := Page("patient"))
    assert again.faults() == [("patient", "microphone_silent")]


def test_faults__none_in_the_waiting_room_and_all_after_admission() -> None:
    bench = in_state("waiting")
    live, (patient,) = opened(bench, "patient")
    live.set_faults("chair", (SILENT,))
    assert patient.faults() is None
    bench.do(c.Admit(actor="chair", participant="patient"))
    newest(live, bench)
    assert patient.faults() == [("chair", "microphone_silent")]


def test_faults__of_one_on_hold_are_no_more() -> None:
    bench = talking()
    live, (chair,) = opened(bench, "chair")
    live.set_faults("patient", (SILENT,))
    bench.do(c.Hold(actor="chair", participant="patient"))
    newest(live, bench)
    assert chair.faults() == []


def test_texts__own_and_others_differ() -> None:
    live, (chair, patient) = opened(talking(), "chair", "patient")
    live.set_faults("patient", (SILENT,))
    texts = [msgspec.structs.asdict(page.told[-1])["faults"][0].text for page in (chair, patient)]
    assert texts[0] != texts[1]
