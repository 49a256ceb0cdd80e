"""The bots' side of ICE, against STUN messages as a server makes them."""

from __future__ import annotations

from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from load_tests.description import Credentials
from load_tests.ice import ControllingAgent

OURS = Credentials("ours", "o" * 24, "")
THEIRS = Credentials("theirs", "t" * 24, "")


def answered(request: bytes, password: str) -> bytes:
    asked = stun.parse_message(request)
    message = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
    message.attributes["XOR-MAPPED-ADDRESS"] = ("127.0.0.1", 5)
    message.add_message_integrity(password.encode())
    return bytes(message)


def test_a_request_nominates_and_is_signed_with_the_servers_password() -> None:
    request = stun.parse_message(ControllingAgent(OURS, THEIRS).request())
    assert request.attributes["USERNAME"] == "theirs:ours"
    assert "USE-CANDIDATE" in request.attributes
    assert request.check_message_integrity(THEIRS.password.encode())


def test_asked__right_answer__connected() -> None:
    agent = ControllingAgent(OURS, THEIRS)
    request = agent.request()
    agent.request()  # a retry meanwhile
    agent.receive(answered(request, THEIRS.password))
    assert agent.connected


def test_asked__wrong_password__not_connected() -> None:
    agent = ControllingAgent(OURS, THEIRS)
    agent.receive(answered(agent.request(), "x" * 24))
    assert not agent.connected


def test_asked__answer_to_another__not_connected() -> None:
    agent = ControllingAgent(OURS, THEIRS)
    other = ControllingAgent(OURS, THEIRS)
    agent.request()
    agent.receive(answered(other.request(), THEIRS.password))
    assert not agent.connected


@given(st.binary(max_size=120))
def test_garbage_never_raises(data: bytes) -> None:
    agent = ControllingAgent(OURS, THEIRS)
    agent.request()
    agent.receive(data)
    assert not agent.connected
