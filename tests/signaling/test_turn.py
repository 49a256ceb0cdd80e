"""TURN credentials, checked as coturn checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac

from signaling.auth.turn import ice_servers

URLS = ("turn:turn.example.vn:3478", "turns:turn.example.vn:443?transport=tcp")


def test_none_when_none_is_configured() -> None:
    assert ice_servers((), "", "p1", 0.0) == ()


def test_password_is_the_hmac_of_expiry_and_participant() -> None:
    (server,) = ice_servers(URLS, "secret", "p1", 1_000_000.7)
    assert server.urls == URLS
    expires, _, participant = server.username.partition(":")
    assert participant == "p1"
    assert int(expires) == 1_000_000 + 12 * 3_600
    digest = hmac.new(b"secret", server.username.encode(), hashlib.sha1).digest()
    assert server.credential == base64.b64encode(digest).decode()
