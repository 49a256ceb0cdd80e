"""The controlling side of ICE towards an ICE-lite server: one pair, nominated at once. Sans-IO."""

from __future__ import annotations

import secrets
from collections import deque

from aioice import stun

from load_tests.description import Credentials

#: RFC 8445 §14.3: the first wait for an answer; it doubles up to the longest.
FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 0.8
#: RFC 7675 §5.1: consent is asked for again about every five seconds.
CONSENT_INTERVAL_S = 5.0
_HOST_PRIORITY = 126 << 24 | 65_535 << 8 | 255


class ControllingAgent:
    """Makes binding requests and recognizes their answers. `connected` after the first."""

    def __init__(self, ours: Credentials, theirs: Credentials) -> None:
        self._user_name = f"{theirs.ufrag}:{ours.ufrag}"
        self._key = theirs.password.encode()
        self._tie_breaker = secrets.randbits(64)
        self._asked: deque[bytes] = deque(maxlen=8)
        self.connected = False

    def request(self) -> bytes:
        """A binding request that nominates (RFC 8445 §7.2.2, §8.1.1)."""
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = self._user_name
        message.attributes["PRIORITY"] = _HOST_PRIORITY
        message.attributes["ICE-CONTROLLING"] = self._tie_breaker
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(self._key)
        self._asked.append(message.transaction_id)
        return bytes(message)

    def receive(self, data: bytes) -> None:
        """Take an answer in; anything else is ignored."""
        try:
            message = stun.parse_message(data)
        except ValueError:
            return
        if message.transaction_id not in self._asked:
            return
        if message.message_class is stun.Class.RESPONSE and message.check_message_integrity(
            self._key
        ):
            self.connected = True
