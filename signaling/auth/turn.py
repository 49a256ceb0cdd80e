"""Time-limited TURN credentials, as coturn's ``use-auth-secret`` checks them.

The user name is the time of expiry and an id; the password is the Base64 of HMAC-SHA-1 over the
user name with the secret that we share with the server (draft-uberti-behave-turn-rest-00 §2.2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from signaling.protocol.messages import IceServer

#: Longer than any consultation; a client that joins again gets a new one.
_LIFETIME_S = 12 * 3_600


def ice_servers(
    urls: tuple[str, ...], secret: str, participant: str, now: float
) -> tuple[IceServer, ...]:
    """The TURN servers with a credential for one participant; none when none is configured."""
    if not urls:
        return ()
    username = f"{int(now) + _LIFETIME_S}:{participant}"
    # SHA-1 is what the TURN servers implement; HMAC does not rest on collision resistance.
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return (IceServer(urls=urls, username=username, credential=base64.b64encode(digest).decode()),)
