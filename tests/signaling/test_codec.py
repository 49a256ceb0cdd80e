"""Texts from outside: read strictly, refused with a reason, never a crash."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.errors import ProtocolError
from signaling.protocol import codec
from signaling.protocol import messages as wire
from signaling.protocol.codes import TEXTS, ErrorCode
from signaling.protocol.replies import FAREWELL_CLOSES, FAREWELLS, ended, error


def refusal(data: str | bytes) -> tuple[ErrorCode, str]:
    with pytest.raises(ProtocolError) as refused:
        codec.decode(data)
    return refused.value.code, refused.value.ref


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "null",
        "[]",
        '"ping"',
        "{}",
        '{"type":"no_such_type"}',
        '{"type":"ping","extra":1}',
        '{"type":"admit"}',
        '{"type":"admit","participant":""}',
        '{"type":"admit","participant":"a b"}',
        '{"type":"admit","participant":"' + "x" * 65 + '"}',
        '{"type":"raise_hand","raised":"yes"}',
        '{"type":"raise_hand","raised":1}',
        '{"type":"promote","participant":"a","role":"owner"}',
        '{"type":"chat","id":"1","text":""}',
        '{"type":"chat","id":"1","text":"\\u0000"}',
        '{"type":"chat","id":"1","text":"một\\u000bhai"}',
        '{"type":"chat","id":"1","text":"một\\r\\nhai"}',
        '{"type":"chat","id":"1","text":"' + "x" * 2_001 + '"}',
        '{"type":"mute","participant":"a","kinds":[]}',
        '{"type":"view","seats":[{"seat":64,"height_px":1}]}',
        '{"type":"view","seats":[{"seat":0,"height_px":1,"width_px":1}]}',
        '{"type":"view","seats":[{"seat":0,"height_px":-1}]}',
        '{"type":"offer","sdp":""}',
        '{"type":"joined"}',
        '{"type":"chat","id":"1","text":"\\ud800"}',
        "[" * 100_000,
        '{"type":' * 10_000,
        b"\xff\xfe",
        b"\x00",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_message_is_refused(data: str | bytes) -> None:
    assert refusal(data) == (ErrorCode.BAD_MESSAGE, "")


def test_a_refused_message_keeps_its_ref() -> None:
    assert refusal('{"type":"admit","ref":"r1"}') == (ErrorCode.BAD_MESSAGE, "r1")
    assert refusal('{"type":"x","ref":"r2","more":[1,{}]}') == (ErrorCode.BAD_MESSAGE, "r2")
    assert refusal('{"type":"ping","ref":"' + "x" * 65 + '"}') == (ErrorCode.BAD_MESSAGE, "")
    assert refusal('{"type":"ping","ref":7}') == (ErrorCode.BAD_MESSAGE, "")


def test_an_oversized_message_is_not_even_read() -> None:
    text = '{"type":"chat","id":"1","text":"' + "ă" * (codec.MAX_MESSAGE_BYTES // 2) + '"}'
    assert refusal(text) == (ErrorCode.TOO_LARGE, "")
    assert refusal(text.encode()) == (ErrorCode.TOO_LARGE, "")


def test_defaults_are_filled_in() -> None:
    assert codec.decode('{"type":"join","token":"t"}') == wire.Join(token="t", language="vi")
    assert codec.decode('{"type":"mute","participant":"a"}') == wire.Mute(participant="a")


def test_vietnamese_stays_as_it_was_written() -> None:
    line = wire.Chat(id="1", text="Bác sĩ ơi,\n\ttôi thấy khó thở ạ\n")
    assert codec.decode(codec.encode(line)) == line


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_noise_is_refused_and_no_more(data: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(data)
    with pytest.raises(ProtocolError):
        codec.decode_server(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
tags = st.sampled_from(
    ["join", "resume", "chat", "view", "offer", "consent", "promote", "record", "ping"]
)


@settings(deadline=None)
@given(
    tags,
    st.dictionaries(
        st.sampled_from(["token", "session", "id", "text", "seats", "pinned", "sdp", "ref"]),
        json_values,
    ),
)
def test_every_object_is_a_message_or_refused(tag: str, fields: dict[str, object]) -> None:
    text = json.dumps({"type": tag, **fields})
    try:
        message = codec.decode(text)
    except ProtocolError:
        return
    assert codec.decode(codec.encode(message)) == message


seconds = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(st.builds(wire.Participant, waiting_since=st.none() | seconds))
def test_what_a_server_says_is_read_by_a_client(person: wire.Participant) -> None:
    assert codec.decode_server(codec.encode(person)) == person


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"participant_hidden","id":"p","since":1}',
        '{"type":"error","ref":"r","code":"internal","text":{"vi":"a","en":"b","fr":"c"}}',
    ],
)
def test_a_client_ignores_what_a_newer_server_adds(text: str) -> None:
    assert codec.decode_server(text) in (
        wire.ParticipantHidden(id="p"),
        wire.Error(ref="r", code=ErrorCode.INTERNAL, text=wire.Text(vi="a", en="b")),
    )


def test_every_code_has_words_in_both_languages() -> None:
    assert set(TEXTS) == set(ErrorCode)
    for code in ErrorCode:
        message = error(code, "r")
        assert (message.ref, message.code) == ("r", code)
        assert message.text.vi
        assert message.text.en
        assert codec.decode_server(codec.encode(message)) == message


def test_every_farewell_has_words_and_a_close_code() -> None:
    reasons = set(msgspec.inspect.type_info(wire.Ended).fields[0].type.values)  # type: ignore[attr-defined]  # msgspec's own types say less than they are
    assert set(FAREWELLS) == set(FAREWELL_CLOSES) == reasons
    for reason in FAREWELLS:
        assert ended(reason).text.vi
        assert ended(reason).text.en
