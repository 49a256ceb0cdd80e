"""Invitation tokens (JWT, RFC 7519, HS256 only) and session secrets.

A token names the consultation, the participant, the role and the invitation. The room has the last
word: it knows which invitations were revoked and which role each one is for.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence

import jwt
import msgspec

from signaling.errors import ConfigError, TokenError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Id, Role
from signaling.rooms.room import Invitation

AUDIENCE = "vtelehealth"
#: RFC 7518 §3.2: a key for HS256 has at least 256 bits.
KEY_MIN_CHARACTERS = 32
_ALGORITHM = "HS256"
#: Clocks of two nodes may differ by so much before a token seems to come from the future.
_CLOCK_SKEW_S = 60.0
_SESSION = re.compile(r"([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{20,128})")


class InvitationClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a good token says. Times are Unix seconds."""

    consultation: str
    participant: str
    role: Role
    invitation: str
    issued_at: float
    expires_at: float


class _Payload(msgspec.Struct, frozen=True):
    """The claims as they stand in the token; others are ignored (RFC 7519 §4)."""

    iss: str
    aud: str
    sub: Id
    con: Id
    rol: Role
    jti: Id
    iat: float
    exp: float


def _key_id(key: str) -> str:
    return hashlib.sha256(b"vtelehealth kid " + key.encode()).hexdigest()[:12]


class InvitationTokens:
    """Signs and checks tokens. The first key signs, all check: so keys are changed one by one.

    Raises `ConfigError` when there is no key, or one is short.
    """

    def __init__(self, keys: Sequence[str], issuer: str) -> None:
        if not keys:
            raise ConfigError("At least one token key is needed to sign invitation links.")
        if any(len(key) < KEY_MIN_CHARACTERS for key in keys):
            raise ConfigError(f"A token key needs at least {KEY_MIN_CHARACTERS} characters.")
        self._keys = {_key_id(key): key for key in keys}
        self._signing_kid = _key_id(keys[0])
        self._issuer = issuer

    def issue(self, consultation: str, invitation: Invitation, now: float) -> str:
        """The token of an invitation that the room holds."""
        payload = _Payload(
            iss=self._issuer,
            aud=AUDIENCE,
            sub=invitation.participant,
            con=consultation,
            rol=invitation.role,
            jti=invitation.id,
            iat=int(now),
            exp=int(invitation.expires_at),
        )
        return jwt.encode(
            msgspec.to_builtins(payload),
            self._keys[self._signing_kid],
            algorithm=_ALGORITHM,
            headers={"kid": self._signing_kid},
        )

    def verify(self, token: str, now: float) -> InvitationClaims:
        """What a token says at `now`. Raises `TokenError` (token_invalid, token_expired)."""
        payload = self._read(token)
        if payload.iss != self._issuer or payload.aud != AUDIENCE:
            raise TokenError(ErrorCode.TOKEN_INVALID, "issuer or audience")
        if payload.iat > now + _CLOCK_SKEW_S:
            raise TokenError(ErrorCode.TOKEN_INVALID, "issued in the future")
        if payload.exp <= now:
            raise TokenError(ErrorCode.TOKEN_EXPIRED)
        return InvitationClaims(
            consultation=payload.con,
            participant=payload.sub,
            role=payload.rol,
            invitation=payload.jti,
            issued_at=payload.iat,
            expires_at=payload.exp,
        )

    def _read(self, token: str) -> _Payload:
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            # Only the signature is checked here: the times are held against our own `now`.
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                options={
                    "verify_aud": False,
                    "verify_iss": False,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
            return msgspec.convert(claims, _Payload)
        except (
            jwt.InvalidTokenError,
            msgspec.ValidationError,
            KeyError,
            TypeError,
            ValueError,
            RecursionError,
        ) as error:
            raise TokenError(ErrorCode.TOKEN_INVALID, type(error).__name__) from None


class SessionToken(msgspec.Struct, frozen=True):
    """`Joined.session`: whose session, and the secret that proves it. Never in a log."""

    consultation: str
    participant: str
    secret: str

    def __str__(self) -> str:
        return f"{self.consultation}.{self.participant}.{self.secret}"

    def __repr__(self) -> str:
        return f"SessionToken({self.consultation!r}, {self.participant!r})"

    @classmethod
    def parse(cls, text: str) -> SessionToken:
        """Read what a client kept. Raises `TokenError` (session_unknown)."""
        matched = _SESSION.fullmatch(text)
        if matched is None:
            raise TokenError(ErrorCode.SESSION_UNKNOWN, "not a session token")
        return cls(*matched.groups())


def new_session_secret() -> str:
    """A secret of 256 random bits, in URL-safe letters."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """SHA-256 (hex): all that a room keeps of a secret. It is random, so it needs no salt.

    `rooms.connections` compares hashes in constant time.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
