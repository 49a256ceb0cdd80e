"""One connection without a WebSocket: what it makes of each text, and when it has had enough."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import get_args

import pytest

from signaling.errors import InternalError
from signaling.protocol import messages as wire
from signaling.protocol.codec import encode
from signaling.protocol.codes import CloseCode, ErrorCode
from signaling.rooms import commands as c
from signaling.session.intents import (
    Change,
    Enter,
    Intent,
    Negotiate,
    Reply,
    Report,
    Show,
    TakeUp,
)
from signaling.session.limits import CHAT_BURST, MALFORMED_MAX, MESSAGES_BURST, STATS_BURST
from signaling.session.session import Connection, to_command
from signaling.session.states import CONNECTION_STATES

PING_INTERVAL_S = 15.0


def opened(now: float = 0.0) -> Connection:
    numbers = itertools.count()
    return Connection(now, PING_INTERVAL_S, lambda: f"new-{next(numbers)}")


def entering() -> Connection:
    connection = opened()
    connection.receive(encode(wire.Join(token="t")), 0.0)
    return connection


def joined() -> Connection:
    connection = entering()
    connection.welcomed("con", "me")
    return connection


def closed() -> Connection:
    connection = joined()
    connection.close()
    return connection


def error_of(intent: Intent) -> tuple[ErrorCode, str, CloseCode | None]:
    assert isinstance(intent, Reply)
    assert isinstance(intent.message, wire.Error)
    return intent.message.code, intent.message.ref, intent.close


def message_of(intent: Intent) -> wire.ServerMessage:
    assert isinstance(intent, Reply)
    return intent.message


# -------------------------------------------------------------------- arrows


def test_opened__enter__entering() -> None:
    connection = opened()
    intent = connection.receive(encode(wire.Join(token="t", language="en", ref="1")), 0.0)
    assert intent == Enter(ref="1", token="t", language="en")
    assert connection.state == "entering"
    connection = opened()
    intent = connection.receive(encode(wire.Resume(session="s", ref="2")), 0.0)
    assert intent == TakeUp(ref="2", session="s")
    assert connection.state == "entering"


def test_entering__welcomed__joined() -> None:
    connection = joined()
    assert connection.state == "joined"
    assert (connection.consultation, connection.participant) == ("con", "me")


def test_entering__refused__closed() -> None:
    connection = entering()
    reply = connection.refused(ErrorCode.TOKEN_EXPIRED, "1")
    assert error_of(reply) == (ErrorCode.TOKEN_EXPIRED, "1", CloseCode.REFUSED)
    assert connection.state == "closed"


@pytest.mark.parametrize("make", [opened, entering, joined, closed])
def test_any__close__closed(make: Callable[[], Connection]) -> None:
    connection = make()
    connection.close()
    assert connection.state == "closed"


def test_our_own_mistakes_are_told_as_ours() -> None:
    with pytest.raises(InternalError):
        opened().welcomed("con", "me")
    with pytest.raises(InternalError):
        joined().refused(ErrorCode.TOKEN_INVALID, "")


def test_every_arrow_is_one_of_those_above() -> None:
    arrows = {
        (state, event, following)
        for state, row in CONNECTION_STATES.items()
        for event, following in row.items()
        if event != "close"
    }
    assert arrows == {
        ("opened", "enter", "entering"),
        ("entering", "welcomed", "joined"),
        ("entering", "refused", "closed"),
    }
    assert all(row["close"] == "closed" for row in CONNECTION_STATES.values())


@pytest.mark.parametrize("make", [entering, joined])
@pytest.mark.parametrize("message", [wire.Join(token="t"), wire.Resume(session="s")])
def test_one_enters_once(make: Callable[[], Connection], message: wire.ClientMessage) -> None:
    connection = make()
    state = connection.state
    assert error_of(connection.receive(encode(message), 0.0))[0] is ErrorCode.BAD_MESSAGE
    assert connection.state == state


@pytest.mark.parametrize("make", [opened, entering, closed])
@pytest.mark.parametrize("message", [wire.Ready(), wire.End(), wire.Offer(sdp="v=0"), wire.View()])
def test_nothing_is_done_before_joining(
    make: Callable[[], Connection], message: wire.ClientMessage
) -> None:
    intent = make().receive(encode(message), 0.0)
    assert error_of(intent) == (ErrorCode.JOIN_FIRST, "", None)


# ------------------------------------------------------------------ messages

COMMANDS: list[tuple[wire.ClientMessage, c.Command]] = [
    (wire.Ready(), c.Ready(actor="me")),
    (wire.Admit(participant="p"), c.Admit(actor="me", participant="p")),
    (wire.Hold(participant="p"), c.Hold(actor="me", participant="p")),
    (wire.Return(participant="p"), c.Return(actor="me", participant="p")),
    (wire.Remove(participant="p"), c.Remove(actor="me", participant="p")),
    (
        wire.Mute(participant="p", kinds=("video",)),
        c.Mute(actor="me", participant="p", kinds=("video",)),
    ),
    (wire.Unmute(), c.Unmute(actor="me")),
    (wire.RaiseHand(raised=True), c.RaiseHand(actor="me", raised=True)),
    (
        wire.Promote(participant="p", role="interpreter"),
        c.Promote(actor="me", participant="p", role="interpreter"),
    ),
    (wire.Chat(id="1", text="alo"), c.Chat(actor="me", id="1", text="alo")),
    (
        wire.Consent(purpose="recording", decision="given", text_version="v", language="vi"),
        c.GiveConsent(actor="me", decision="given", text_version="v", language="vi"),
    ),
    (wire.Record(action="start"), c.StartRecording(actor="me", recording="new-0")),
    (wire.Record(action="stop"), c.StopRecording(actor="me", reason="stopped")),
    (
        wire.MediaState(audio=True, video=False, screen=True),
        c.SetMedia(actor="me", media=wire.Media(audio=True, screen=True)),
    ),
    (wire.Leave(), c.Leave(actor="me")),
    (wire.End(), c.End(actor="me")),
]


@pytest.mark.parametrize(("message", "command"), COMMANDS, ids=lambda value: type(value).__name__)
def test_a_message_becomes_a_command_of_the_person_who_sent_it(
    message: wire.ClientMessage, command: c.Command
) -> None:
    text = encode(message).replace('"ref":""', '"ref":"r"')
    assert joined().receive(text, 0.0) == Change(ref="r", command=command)


def test_media_messages_go_to_the_media_engine() -> None:
    connection = joined()
    assert connection.receive(encode(wire.Offer(sdp="v=0", fresh=True, ref="1")), 0.0) == (
        Negotiate(ref="1", sdp="v=0", fresh=True, saver=False)
    )
    saving = encode(wire.Offer(sdp="v=0", saver=True, ref="1"))
    assert connection.receive(saving, 0.0) == (
        Negotiate(ref="1", sdp="v=0", fresh=False, saver=True)
    )
    seats = (wire.SeatView(seat=0, height_px=180),)
    view = wire.View(seats=seats, pinned=("p/camera",), ref="2")
    assert connection.receive(encode(view), 0.0) == (
        Show(ref="2", seats=seats, pinned=("p/camera",))
    )


def test_a_ping_is_answered_in_every_state() -> None:
    for connection in (opened(), entering(), joined()):
        intent = connection.receive(encode(wire.Ping(ref="p")), 7.0)
        assert intent == Reply(message=wire.Pong(ref="p", at=7.0))


def test_every_message_of_a_client_is_tried_here() -> None:
    tried = {type(message) for message, _ in COMMANDS}
    others = {wire.Join, wire.Resume, wire.Ping, wire.Offer, wire.View, wire.Stats}
    assert tried | others == set(get_args(wire.ClientMessage))


def test_messages_that_ask_for_no_command_are_our_mistake() -> None:
    with pytest.raises(InternalError):
        to_command(wire.Ping(), "me", lambda: "x")


# -------------------------------------------------------------------- limits


def test_the_third_malformed_message_is_the_last() -> None:
    connection = joined()
    closes = [error_of(connection.receive("{", 0.0))[2] for _ in range(MALFORMED_MAX)]
    assert closes == [None, None, CloseCode.BAD_MESSAGE]


def test_a_malformed_message_is_answered_with_its_ref() -> None:
    intent = joined().receive('{"type":"admit","ref":"r9"}', 0.0)
    assert error_of(intent) == (ErrorCode.BAD_MESSAGE, "r9", None)


def test_too_many_messages_are_refused_and_then_the_connection() -> None:
    connection = opened()
    ping = encode(wire.Ping(ref="p"))
    intents = [connection.receive(ping, 0.0) for _ in range(int(MESSAGES_BURST))]
    assert {type(message_of(intent)) for intent in intents} == {wire.Pong}
    codes = [error_of(connection.receive(ping, 0.0)) for _ in range(21)]
    assert {(code, ref) for code, ref, _ in codes} == {(ErrorCode.TOO_MANY, "p")}
    assert [close for _, _, close in codes] == [None] * 20 + [CloseCode.TOO_MANY]


def test_a_single_excess_is_forgotten() -> None:
    connection = joined()
    ping = encode(wire.Ping())
    for second in range(200):
        for _ in range(21):  # one more each second than the rate
            intent = connection.receive(ping, float(second))
            assert isinstance(intent, Reply)
            assert intent.close is None


def test_chat_has_a_limit_of_its_own() -> None:
    connection = joined()
    line = encode(wire.Chat(id="1", text="alo", ref="c"))
    intents = [connection.receive(line, 0.0) for _ in range(int(CHAT_BURST) + 1)]
    assert all(isinstance(intent, Change) for intent in intents[:-1])
    assert error_of(intents[-1]) == (ErrorCode.TOO_MANY, "c", None)
    assert isinstance(connection.receive(encode(wire.Leave()), 0.0), Change)


STATS = wire.Stats(microphone="on", camera="off")


def test_stats_are_reported_and_only_in_a_session() -> None:
    assert joined().receive(encode(STATS), 0.0) == Report(ref="", stats=STATS)
    for connection in (opened(), entering()):
        assert error_of(connection.receive(encode(STATS), 0.0))[0] is ErrorCode.JOIN_FIRST


def test_stats_once_a_second__every_one_counts_and_none_of_them_against_the_rest() -> None:
    connection = joined()
    for second in range(1000):
        intent = connection.receive(encode(STATS), float(second))
        assert isinstance(intent, Report)
        assert intent.stats == STATS
    intents = [connection.receive(encode(wire.Ping()), 999.0) for _ in range(int(MESSAGES_BURST))]
    assert {type(message_of(intent)) for intent in intents} == {wire.Pong}


def test_stats_too_often__overlooked_without_an_error() -> None:
    connection = joined()
    intents = [connection.receive(encode(STATS), 0.0) for _ in range(int(STATS_BURST) + 3)]
    assert all(isinstance(intent, Report) for intent in intents)
    assert [intent.stats for intent in intents if isinstance(intent, Report)][-3:] == [None] * 3


def test_flood_of_stats__refused_like_any_flood() -> None:
    connection = joined()
    intents = [connection.receive(encode(STATS), 0.0) for _ in range(200)]
    assert error_of(intents[-1])[2] is CloseCode.TOO_MANY


# ---------------------------------------------------------------------- time


def test_who_says_nothing_first_is_closed_after_ten_seconds() -> None:
    connection = opened(100.0)
    assert connection.overdue(109.9) is None
    assert connection.overdue(110.0) is CloseCode.REFUSED


def test_pings_do_not_put_off_the_first_message() -> None:
    connection = opened()
    connection.receive(encode(wire.Ping()), 9.0)
    assert connection.overdue(10.0) is CloseCode.REFUSED


def test_a_silent_connection_is_given_up_after_two_and_a_half_intervals() -> None:
    connection = joined()
    connection.receive(encode(wire.Ping()), 100.0)
    assert connection.overdue(137.4) is None
    assert connection.overdue(137.5) is CloseCode.GOING_AWAY
    connection.heard(137.0)
    assert connection.overdue(137.5) is None
