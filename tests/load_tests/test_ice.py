"""The bots' side of ICE, against STUN messages as a server makes them."""

from __future__ import annotations

from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from load_tests.description import Credentials
from load_tests.ice import Agent

OURS = Credentials("ours", "o" * 24, "")
THEIRS = Credentials("theirs", "t" * 24, "")
SERVER = ("127.0.0.1", 5)


def answered(request: bytes, password: str) -> bytes:
    asked = stun.parse_message(request)
    message = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
    message.attributes["XOR-MAPPED-ADDRESS"] = ("127.0.0.1", 5)
    message.add_message_integrity(password.encode())
    return bytes(message)


def test_a_request_nominates_and_is_signed_with_the_servers_password() -> None:
    request = stun.parse_message(Agent(OURS, THEIRS, controlling=True).request())
    assert request.attributes["USERNAME"] == "theirs:ours"
    assert "USE-CANDIDATE" in request.attributes
    assert request.check_message_integrity(THEIRS.password.encode())


def test_asked__right_answer__connected() -> None:
    agent = Agent(OURS, THEIRS, controlling=True)
    request = agent.request()
    agent.request()  # a retry meanwhile
    agent.receive(answered(request, THEIRS.password), SERVER)
    assert agent.connected


def test_asked__wrong_password__not_connected() -> None:
    agent = Agent(OURS, THEIRS, controlling=True)
    agent.receive(answered(agent.request(), "x" * 24), SERVER)
    assert not agent.connected


def test_asked__answer_to_another__not_connected() -> None:
    agent = Agent(OURS, THEIRS, controlling=True)
    other = Agent(OURS, THEIRS, controlling=True)
    agent.request()
    agent.receive(answered(other.request(), THEIRS.password), SERVER)
    assert not agent.connected


@given(st.binary(max_size=120))
def test_garbage_never_raises(data: bytes) -> None:
    agent = Agent(OURS, THEIRS, controlling=True)
    agent.request()
    agent.receive(data, SERVER)
    assert not agent.connected


def test_controlled__asks_without_nominating() -> None:
    request = stun.parse_message(Agent(OURS, THEIRS, controlling=False).request())
    assert "ICE-CONTROLLED" in request.attributes
    assert "USE-CANDIDATE" not in request.attributes


def asked(password: str) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.add_message_integrity(password.encode())
    return bytes(message)


def test_a_check_of_the_other_side_is_answered() -> None:
    reply = Agent(OURS, THEIRS, controlling=False).receive(asked(OURS.password), SERVER)
    assert reply is not None
    response = stun.parse_message(reply)
    assert response.message_class is stun.Class.RESPONSE
    assert response.attributes["XOR-MAPPED-ADDRESS"] == SERVER
    assert response.check_message_integrity(OURS.password.encode())


def test_a_check_with_another_password_is_not_answered() -> None:
    agent = Agent(OURS, THEIRS, controlling=False)
    assert agent.receive(asked(THEIRS.password), SERVER) is None
