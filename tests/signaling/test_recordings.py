"""Consent and recording: who is asked, who is in the recording, what stops it."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from signaling.errors import RequestError
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Decision, RecordingPolicy
from signaling.rooms import commands as c
from signaling.rooms import consent
from tests.support.bench import Bench


def in_call(policy: RecordingPolicy = "patient") -> Bench:
    bench = Bench(policy)
    bench.enter("chair")
    bench.admit("consultant", "patient")
    return bench


def recorded(policy: RecordingPolicy = "patient") -> Bench:
    bench = in_call(policy)
    for person in consent.required(bench.room):
        bench.decide(person, "given")
    bench.record()
    return bench


def refusal(bench: Bench, command: c.Command) -> ErrorCode:
    with pytest.raises(RequestError) as refused:
        bench.do(command)
    return refused.value.code


START = c.StartRecording(actor="chair", recording="rec")


def test_both_texts_say_what_the_law_asks_and_their_hashes_are_theirs() -> None:
    for text, digest in (
        (consent.TEXT.text.vi, consent.TEXT.sha256.vi),
        (consent.TEXT.text.en, consent.TEXT.sha256.en),
    ):
        assert hashlib.sha256(text.encode()).hexdigest() == digest
    for word in ("nhạy cảm", "10 năm", "giải mã", "không đồng ý", "rút lại", "hồ sơ bệnh án"):
        assert word in consent.TEXT.text.vi
    assert "tin nhắn của bạn" not in consent.TEXT.text.vi
    assert "Tin nhắn, tên người tham gia và giờ vào, ra luôn được lưu" in consent.TEXT.text.vi
    assert "always kept in the record" in consent.TEXT.text.en
    for word in ("sensitive", "10 years", "decrypts", "say no", "withdraw", "medical record"):
        assert word in consent.TEXT.text.en


def test_nothing_is_asked_when_nothing_is_recorded() -> None:
    assert consent.texts(Bench("none").room) == ()
    assert consent.texts(Bench("patient").room) == (consent.TEXT,)


def test_a_decision_is_kept_with_its_text() -> None:
    bench = in_call()
    bench.decide("patient", "given", "en")
    row = bench.room.consents[-1]
    assert (row.participant, row.decision, row.at) == ("patient", "given", bench.now)
    assert (row.text_version, row.text_sha256) == (consent.TEXT_VERSION, consent.TEXT.sha256.en)


def test_consent_may_be_given_in_the_lobby() -> None:
    bench = Bench()
    bench.join("patient")
    bench.decide("patient", "given")
    assert consent.decision(bench.room, "patient") == "given"


def test_a_decision_on_a_text_that_we_do_not_ask_is_refused() -> None:
    command = c.GiveConsent(actor="patient", decision="given", text_version="old", language="vi")
    assert refusal(in_call(), command) is ErrorCode.BAD_MESSAGE


def test_an_earlier_text_is_never_edited() -> None:
    earlier = consent.TEXTS["recording-1"].sha256
    assert earlier == wire.Text(
        vi="09c96693191e1aa943d4696978f2d40642f1b469626134ce461bba6e54ca09a1",
        en="4fe009079c001b65e3d5fc9c2699bccafac41a925148838ec6b62e917b95ad62",
    )


def test_an_earlier_text_counts_where_somebody_decided_on_it() -> None:
    bench = in_call()
    command = c.GiveConsent(
        actor="patient", decision="given", text_version="recording-1", language="vi"
    )
    assert refusal(bench, command) is ErrorCode.BAD_MESSAGE
    bench.decide("consultant", "given")
    row = msgspec.structs.replace(bench.room.consents[0], text_version="recording-1")
    bench.room = msgspec.structs.replace(bench.room, consents=(row,))
    bench.do(command)
    assert bench.room.consents[-1].text_sha256 == consent.TEXTS["recording-1"].sha256.vi


@pytest.mark.parametrize(
    ("first", "second", "rows"),
    [
        ("given", "given", 1),
        ("given", "withdrawn", 2),
        ("given", "refused", 2),
        ("refused", "refused", 1),
        ("refused", "withdrawn", 1),
        ("refused", "given", 2),
    ],
)
def test_only_a_new_decision_is_a_new_row(first: Decision, second: Decision, rows: int) -> None:
    bench = in_call()
    bench.decide("patient", first)
    bench.decide("patient", second)
    assert len(bench.room.consents) == rows


def test_withdrawing_is_never_refused_for_being_asked_too_often() -> None:
    bench = in_call()
    for _ in range(50):
        bench.decide("patient", "given")
        bench.decide("patient", "withdrawn")
    again = c.GiveConsent(
        actor="patient", decision="given", text_version=consent.TEXT_VERSION, language="vi"
    )
    assert refusal(bench, again) is ErrorCode.TOO_MANY
    assert consent.decision(bench.room, "patient") == "withdrawn"


def test_a_withdrawal_is_of_the_text_that_was_agreed_to() -> None:
    bench = recorded()
    given = bench.room.consents[-1]
    bench.do(
        c.GiveConsent(
            actor="patient", decision="withdrawn", text_version="of-a-newer-page", language="en"
        )
    )
    row = bench.room.consents[-1]
    assert (row.text_version, row.text_sha256) == (given.text_version, given.text_sha256)


# ----------------------------------------------------------------- starting


def test_policy_none__never() -> None:
    bench = in_call("none")
    assert refusal(bench, START) is ErrorCode.RECORDING_FORBIDDEN
    command = c.GiveConsent(
        actor="patient", decision="given", text_version=consent.TEXT_VERSION, language="vi"
    )
    assert refusal(bench, command) is ErrorCode.RECORDING_FORBIDDEN


def test_policy_patient__needs_every_patient_and_guardian_in_the_call() -> None:
    bench = in_call("patient")
    assert consent.missing(bench.room) == ("patient",)
    assert refusal(bench, START) is ErrorCode.CONSENT_MISSING
    bench.decide("patient", "given")
    bench.admit("guardian")
    assert consent.missing(bench.room) == ("guardian",)
    assert refusal(bench, START) is ErrorCode.CONSENT_MISSING
    bench.decide("guardian", "given")
    bench.do(START)
    assert consent.running(bench.room)


def test_policy_patient__needs_a_patient() -> None:
    bench = Bench("patient")
    bench.enter("chair", "consultant")
    assert bench.room.state == "active"
    assert refusal(bench, START) is ErrorCode.CONSENT_MISSING


def test_policy_everyone__needs_everyone_in_the_call() -> None:
    bench = in_call("everyone")
    bench.decide("patient", "given")
    bench.decide("chair", "given")
    assert refusal(bench, START) is ErrorCode.CONSENT_MISSING
    bench.decide("consultant", "given")
    bench.do(START)
    assert consent.recordable(bench.room) == ("chair", "consultant", "patient")


def test_a_refusal_bars_nobody_from_the_call() -> None:
    bench = Bench("everyone")
    bench.enter("chair")
    bench.join("patient")
    bench.decide("patient", "refused")
    bench.do(c.Ready(actor="patient"))
    bench.do(c.Admit(actor="chair", participant="patient"))
    assert bench.state("patient") == "admitted"


def test_one_recording_at_a_time() -> None:
    bench = recorded()
    command = c.StartRecording(actor="chair", recording="second")
    assert refusal(bench, command) is ErrorCode.WRONG_STATE


def test_a_recording_id_is_used_once() -> None:
    bench = recorded()
    bench.do(c.StopRecording(actor="chair"))
    assert refusal(bench, START) is ErrorCode.WRONG_STATE


def test_nothing_is_recorded_before_people_have_met() -> None:
    bench = Bench("everyone")
    bench.enter("chair")
    bench.decide("chair", "given")
    assert refusal(bench, START) is ErrorCode.WRONG_STATE


# ----------------------------------------------------------------- stopping


def last_stop(bench: Bench) -> tuple[float | None, str]:
    recording = bench.room.recordings[-1]
    return recording.stopped_at, recording.stop_reason


@pytest.mark.parametrize("decision", ["withdrawn", "refused"])
def test_a_required_person_who_says_no_stops_it_at_once(decision: Decision) -> None:
    bench = recorded()
    bench.decide("patient", decision)
    assert last_stop(bench) == (bench.now, "consent_withdrawn")
    assert consent.recordable(bench.room) == ("chair", "consultant")


def test_somebody_not_required_who_says_no_is_left_out_at_once() -> None:
    bench = recorded()
    assert consent.recordable(bench.room) == ("chair", "consultant", "patient")
    bench.decide("consultant", "refused")
    assert consent.running(bench.room)
    assert consent.recordable(bench.room) == ("chair", "patient")


def test_a_required_person_who_is_admitted_undecided_is_left_out_until_they_agree() -> None:
    bench = recorded()
    bench.admit("guardian")
    assert consent.running(bench.room)
    assert "guardian" not in consent.recordable(bench.room)
    bench.decide("guardian", "given")
    assert "guardian" in consent.recordable(bench.room)


def test_a_required_person_who_had_refused_stops_it_on_being_admitted() -> None:
    bench = recorded()
    bench.join("guardian")
    bench.decide("guardian", "refused")
    bench.do(c.Ready(actor="guardian"))
    assert consent.running(bench.room), "a refusal in the lobby concerns nobody in the call"
    bench.do(c.Admit(actor="chair", participant="guardian"))
    assert last_stop(bench) == (bench.now, "consent_withdrawn")


def test_somebody_on_hold_is_not_recorded_and_may_withdraw() -> None:
    bench = recorded()
    bench.do(c.Hold(actor="chair", participant="patient"))
    assert "patient" not in consent.recordable(bench.room)
    bench.decide("patient", "withdrawn")
    assert last_stop(bench) == (bench.now, "consent_withdrawn")


def test_the_end_stops_it() -> None:
    bench = recorded()
    bench.do(c.End(actor="chair"))
    assert last_stop(bench) == (bench.now, "consultation_ended")


def test_a_stop_on_purpose_and_a_failure() -> None:
    bench = recorded()
    bench.do(c.StopRecording(actor="chair"))
    assert last_stop(bench) == (bench.now, "stopped")
    assert refusal(bench, c.StopRecording(actor="chair")) is ErrorCode.WRONG_STATE
    bench.record("rec2")
    failed = c.StopRecording(actor="chair", reason="failed")
    assert refusal(bench, failed) is ErrorCode.NOT_ALLOWED
    bench.do(c.StopRecording(reason="failed"))
    assert last_stop(bench) == (bench.now, "failed")
    before = bench.room
    bench.do(c.StopRecording(reason="failed"))
    assert bench.room is before
