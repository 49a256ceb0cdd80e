"""Who is told of which fault, in words for them."""

from __future__ import annotations

from typing import get_args

from signaling.protocol.messages import FaultCode
from signaling.quality.telling import OTHERS, OWN, running, told
from signaling.rooms.room import Break, Participant

SILENT = Break(reason="microphone_silent", start=5.0)
LOST = Break(reason="media_lost", start=4.0)
DEAF = Break(reason="downlink_blocked", start=6.0)
PATIENT = Participant(id="patient", name="", role="patient", state="admitted")
OBSERVER = Participant(id="observer", name="", role="observer", state="admitted")


def test_every_code_has_words_for_both_ends_in_both_languages() -> None:
    codes = set(get_args(FaultCode))
    assert set(OWN) == set(OTHERS) == codes
    for text in (*OWN.values(), *OTHERS.values()):
        assert text.vi.endswith(".")
        assert text.en.endswith(".")
    assert all(OWN[code] != OTHERS[code] for code in codes)


def test_both_ends_are_told_in_their_own_words() -> None:
    people = ((PATIENT, (SILENT,)),)
    (own,) = told("patient", people)
    (others,) = told("chair", people)
    assert (own.participant, own.code, own.since) == ("patient", "microphone_silent", 5.0)
    assert own.text == OWN["microphone_silent"]
    assert others.text == OTHERS["microphone_silent"]


def test_observers_faults_are_their_own() -> None:
    people = ((OBSERVER, (DEAF,)),)
    assert [fault.code for fault in told("observer", people)] == ["downlink_blocked"]
    assert told("chair", people) == ()


def test_running__neither_over_nor_lost() -> None:
    breaks = (
        Break(reason="camera_frozen", start=1.0, end=2.0),
        Break(reason="connection_lost", start=3.0),
        SILENT,
        LOST,
    )
    person = Participant(id="p", name="", role="patient", breaks=breaks)
    assert running(person) == (SILENT, LOST)


def test_media_lost__no_fault_at_anybodys_end() -> None:
    assert told("patient", ((PATIENT, (LOST,)),)) == ()
