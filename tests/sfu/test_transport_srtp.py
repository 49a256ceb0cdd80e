from __future__ import annotations

import gc
import os
import struct

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from sfu.transport.srtp import MAX_PACKET_BYTES, SrtpCipher

PROFILES = {
    Policy.SRTP_PROFILE_AEAD_AES_128_GCM: (28, 16),
    Policy.SRTP_PROFILE_AES128_CM_SHA1_80: (30, 10),
}


def session(key: bytes, profile: int, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.window_size = 1024
    policy.allow_repeat_tx = True
    return Session(policy)


def cipher(there: bytes, back: bytes, profile: int) -> SrtpCipher:
    return SrtpCipher(
        session(there, profile, Policy.SSRC_ANY_OUTBOUND),
        session(back, profile, Policy.SSRC_ANY_INBOUND),
    )


def pair(profile: int = Policy.SRTP_PROFILE_AEAD_AES_128_GCM) -> tuple[SrtpCipher, SrtpCipher]:
    there, back = os.urandom(PROFILES[profile][0]), os.urandom(PROFILES[profile][0])
    return cipher(there, back, profile), cipher(back, there, profile)


def rtp(sequence: int, payload: bytes = b"voice") -> bytes:
    return struct.pack("!BBHII", 0x80, 111, sequence, sequence * 960, 7) + payload


REPORT = struct.pack("!BBHIIIII", 0x80, 200, 6, 7, 1, 2, 3, 4) + bytes(4)


@pytest.mark.parametrize("profile", PROFILES)
def test_protect__unprotect__the_same_packet(profile: int) -> None:
    ours, theirs = pair(profile)
    tag_bytes = PROFILES[profile][1]
    for sequence in range(3):
        sealed = ours.protect(rtp(sequence))
        assert len(sealed) == len(rtp(sequence)) + tag_bytes
        assert b"voice" not in sealed
        assert theirs.unprotect(sealed) == rtp(sequence)
    assert ours.unprotect(theirs.protect(rtp(9))) == rtp(9)
    assert theirs.unprotect_rtcp(ours.protect_rtcp(REPORT)) == REPORT


def test_protect__is_what_pylibsrtp_makes() -> None:
    key, profile = os.urandom(28), Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    ours = cipher(key, key, profile)
    other = session(key, profile, Policy.SSRC_ANY_OUTBOUND)
    packet = rtp(1, bytes(1000))
    assert ours.protect(packet) == other.protect(packet)
    assert ours.protect_rtcp(REPORT) == other.protect_rtcp(REPORT)


def test_results__stay_what_they_were_when_the_next_is_made() -> None:
    ours, theirs = pair()
    first, second = ours.protect(rtp(1)), ours.protect(rtp(2))
    opened = theirs.unprotect(first)
    assert theirs.unprotect(second) == rtp(2)
    assert opened == rtp(1)


def test_unprotect__again__refused() -> None:
    ours, theirs = pair()
    sealed = ours.protect(rtp(1))
    theirs.unprotect(sealed)
    with pytest.raises(pylibsrtp.Error, match="replay"):
        theirs.unprotect(sealed)


def test_unprotect__forged__refused() -> None:
    ours, theirs = pair()
    sealed = ours.protect(rtp(1))
    with pytest.raises(pylibsrtp.Error):
        theirs.unprotect(sealed[:-1] + bytes((sealed[-1] ^ 1,)))
    with pytest.raises(pylibsrtp.Error):
        theirs.unprotect_rtcp(ours.protect_rtcp(REPORT)[:-1])
    assert theirs.unprotect(sealed) == rtp(1)


def test_remove_stream__its_packets_count_as_new() -> None:
    ours, theirs = pair()
    sealed = ours.protect(rtp(1))
    theirs.unprotect(sealed)
    theirs.remove_stream(7)
    assert theirs.unprotect(sealed) == rtp(1)
    with pytest.raises(pylibsrtp.Error):
        theirs.remove_stream(8)


def test_longest_packet__passes_both_ways__one_byte_more_is_refused() -> None:
    ours, theirs = pair()
    longest = rtp(1, bytes(MAX_PACKET_BYTES - 12 - 16))
    assert theirs.unprotect(ours.protect(longest)) == longest
    for transform in (ours.protect, ours.protect_rtcp, ours.unprotect, ours.unprotect_rtcp):
        with pytest.raises(ValueError, match="too long"):
            transform(bytes(MAX_PACKET_BYTES + 1))


def test_functions__outlive_the_cipher_and_its_sessions() -> None:
    ours, theirs = pair()
    protect, unprotect = ours.protect, theirs.unprotect
    del ours, theirs
    gc.collect()
    assert unprotect(protect(rtp(1))) == rtp(1)


@given(st.binary(max_size=200))
def test_unprotect__any_bytes__refused_and_nothing_worse(data: bytes) -> None:
    ours, _ = pair()
    for transform in (ours.unprotect, ours.unprotect_rtcp):
        with pytest.raises(pylibsrtp.Error):
            transform(data)
