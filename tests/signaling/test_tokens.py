"""Invitation tokens and session secrets: what is accepted, and everything that is not."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.auth.tokens import InvitationTokens, SessionToken, hash_secret, new_session_secret
from signaling.errors import ConfigError, TokenError
from signaling.protocol.codes import ErrorCode
from signaling.rooms.room import Invitation

NOW = 1_800_000_000.0
KEY, OTHER_KEY = "k" * 32, "o" * 32
ISSUER = "https://tuvan.example.vn"
INVITATION = Invitation(id="inv1", participant="p1", role="patient", expires_at=NOW + 600)


def tokens(*keys: str) -> InvitationTokens:
    return InvitationTokens(keys or (KEY,), ISSUER)


def refusal(token: str, now: float = NOW) -> ErrorCode:
    with pytest.raises(TokenError) as refused:
        tokens().verify(token, now)
    return refused.value.code


def forged(key: str = KEY, headers: dict[str, object] | None = None, **claims: object) -> str:
    """A token like ours, with some claims other than ours; None takes a claim away."""
    good = jwt.decode(tokens().issue("con1", INVITATION, NOW), options={"verify_signature": False})
    payload = {name: value for name, value in (good | claims).items() if value is not None}
    kid = jwt.get_unverified_header(tokens().issue("con1", INVITATION, NOW))["kid"]
    return jwt.encode(payload, key, algorithm="HS256", headers=headers or {"kid": kid})


def test_a_token_says_what_was_issued() -> None:
    claims = tokens().verify(tokens().issue("con1", INVITATION, NOW), NOW + 1)
    assert (claims.consultation, claims.participant, claims.role) == ("con1", "p1", "patient")
    assert (claims.invitation, claims.issued_at, claims.expires_at) == ("inv1", NOW, NOW + 600)


def test_an_unchanged_forgery_is_accepted_so_the_others_are_refused_for_their_change() -> None:
    assert tokens().verify(forged(), NOW).invitation == "inv1"


def test_a_token_expires_to_the_second() -> None:
    token = tokens().issue("con1", INVITATION, NOW)
    assert tokens().verify(token, NOW + 599.9)
    assert refusal(token, NOW + 600) is ErrorCode.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "token",
    [
        forged(OTHER_KEY),
        forged(headers={"kid": "unknown"}),
        forged(headers={"typ": "JWT"}),
        forged(iss="https://elsewhere"),
        forged(aud="something-else"),
        forged(aud=["vtelehealth", "more"]),
        forged(rol="owner"),
        forged(rol=["patient"]),
        forged(sub="p 1"),
        forged(sub=None),
        forged(con=None),
        forged(con="../../etc"),
        forged(jti=None),
        forged(exp=None),
        forged(exp="tomorrow"),
        forged(iat=NOW + 3_600),
        forged(iat=None),
        "",
        "a.b.c",
        "...",
        "ế.ế.ế",
    ],
)
def test_anything_else_is_invalid(token: str) -> None:
    assert refusal(token) is ErrorCode.TOKEN_INVALID


def test_a_changed_role_breaks_the_signature() -> None:
    header, payload, signature = tokens().issue("con1", INVITATION, NOW).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["rol"] = "treating_clinician"
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert refusal(f"{header}.{payload}.{signature}") is ErrorCode.TOKEN_INVALID


@pytest.mark.parametrize("algorithm", ["none", "HS512", "HS384"])
def test_no_other_algorithm(algorithm: str) -> None:
    good = tokens().issue("con1", INVITATION, NOW)
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    key = "" if algorithm == "none" else KEY * 2
    token = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})
    assert refusal(token) is ErrorCode.TOKEN_INVALID


def test_keys_are_changed_one_by_one() -> None:
    old = tokens(KEY).issue("con1", INVITATION, NOW)
    both = tokens(OTHER_KEY, KEY)
    assert both.verify(old, NOW)
    new = both.issue("con1", INVITATION, NOW)
    assert tokens(OTHER_KEY).verify(new, NOW)
    assert refusal(new) is ErrorCode.TOKEN_INVALID


@pytest.mark.parametrize("keys", [(), ("short",), (KEY, "short")])
def test_weak_keys_stop_the_start(keys: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        InvitationTokens(keys, ISSUER)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_noise_is_invalid(token: str) -> None:
    assert refusal(token) is ErrorCode.TOKEN_INVALID


# ------------------------------------------------------------------ sessions


def test_a_session_token_is_read_back() -> None:
    token = SessionToken("con1", "p1", new_session_secret())
    assert SessionToken.parse(str(token)) == token


def test_a_session_token_hides_its_secret_from_logs() -> None:
    token = SessionToken("con1", "p1", new_session_secret())
    assert token.secret not in repr(token)


@pytest.mark.parametrize(
    "text", ["", "con1.p1", "con1.p1.short", "con1.p1." + "x" * 129, "a b.p1." + "x" * 43, "..."]
)
def test_anything_else_is_no_session(text: str) -> None:
    with pytest.raises(TokenError) as refused:
        SessionToken.parse(text)
    assert refused.value.code is ErrorCode.SESSION_UNKNOWN


@settings(deadline=None)
@given(st.text(max_size=200))
def test_noise_is_no_session(text: str) -> None:
    with pytest.raises(TokenError):
        SessionToken.parse(text)


def test_secrets_are_long_and_never_the_same() -> None:
    secrets = {new_session_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert min(map(len, secrets)) >= 43


def test_only_the_hash_of_a_secret_is_kept() -> None:
    assert hash_secret("abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
