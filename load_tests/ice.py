"""ICE of a bot: one pair, checked both ways when the server does, nominated at once. Sans-IO."""

from __future__ import annotations

import secrets
from collections import deque

from aioice import stun

from load_tests.description import HOST_PRIORITY, Credentials

#: RFC 8445 §14.3: the first wait for an answer; it doubles up to the longest.
FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 0.8
#: RFC 7675 §5.1: consent is asked for again about every five seconds.
CONSENT_INTERVAL_S = 5.0


class Agent:
    """Makes binding requests and recognizes their answers, `connected` after the first; answers
    those of the other side, if it is no ICE-lite one.

    Whoever offered is `controlling` (RFC 8445 §6.1.1).
    """

    def __init__(self, ours: Credentials, theirs: Credentials, *, controlling: bool) -> None:
        self._user_name = f"{theirs.ufrag}:{ours.ufrag}"
        self._key = theirs.password.encode()
        self._own_key = ours.password.encode()
        self._controlling = controlling
        self._tie_breaker = secrets.randbits(64)
        self._asked: deque[bytes] = deque(maxlen=8)
        self.connected = False

    def request(self) -> bytes:
        """A binding request, which nominates if it may (RFC 8445 §7.2.2, §8.1.1)."""
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = self._user_name
        message.attributes["PRIORITY"] = HOST_PRIORITY
        if self._controlling:
            message.attributes["ICE-CONTROLLING"] = self._tie_breaker
            message.attributes["USE-CANDIDATE"] = None
        else:
            message.attributes["ICE-CONTROLLED"] = self._tie_breaker
        message.add_message_integrity(self._key)
        self._asked.append(message.transaction_id)
        return bytes(message)

    def receive(self, data: bytes, address: tuple[str, int]) -> bytes | None:
        """Take in what came from `address`; what to answer, None for nothing."""
        try:
            message = stun.parse_message(data)
        except ValueError:
            return None
        if message.message_class is stun.Class.REQUEST:
            return self._answer(message, address)
        if message.transaction_id not in self._asked:
            return None
        if message.message_class is stun.Class.RESPONSE and message.check_message_integrity(
            self._key
        ):
            self.connected = True
        return None

    def _answer(self, request: stun.Message, address: tuple[str, int]) -> bytes | None:
        if not request.check_message_integrity(self._own_key):
            return None
        response = stun.Message(
            stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = address
        response.add_message_integrity(self._own_key)
        return bytes(response)
