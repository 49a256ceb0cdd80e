"""The bots' offers, read by the SFU; the SFU's answers, read by the bots."""

from __future__ import annotations

import pytest

from load_tests.description import AnswerError, Credentials, mid, offer, read_answer
from load_tests.rtp_source import AudioSource, VideoSource
from sfu.transport.answer import Local, SeatSsrcs, build_answer
from sfu.transport.description import Offer, parse_offer

OURS = Credentials("abcd", "p" * 24, ":".join(["AB"] * 32))
THEIRS = ("wxyz", "q" * 24, ":".join(["CD"] * 32))


def local(*addresses: tuple[str, int], seats: int) -> Local:
    ssrcs = tuple(SeatSsrcs(2 * seat + 1, 2 * seat + 2) for seat in range(seats))
    return Local(1, 1, *THEIRS, addresses, ssrcs)


def made(sends: bool, seats: int) -> tuple[Offer, tuple[int, ...]]:
    sources = [AudioSource(1, mid(0)), VideoSource(2, mid(1), 150)] if sends else []
    return parse_offer(offer(OURS, ("127.0.0.1", 7), "bot", sources, seats)), tuple(
        s.ssrc for s in sources
    )


def test_a_sender_offers_microphone_camera_and_seats() -> None:
    parsed, ssrcs = made(sends=True, seats=16)
    roles = [section.role for section in parsed.sections]
    assert roles == ["microphone", "camera", *["seat"] * 32]
    assert tuple(section.ssrcs[0] for section in parsed.sections[:2]) == ssrcs
    assert (parsed.ufrag, parsed.password) == (OURS.ufrag, OURS.password)
    assert parsed.fingerprint == OURS.fingerprint
    assert len(parsed.seats()) == 16


def test_a_receiver_offers_seats_only() -> None:
    parsed, _ = made(sends=False, seats=2)
    assert [section.role for section in parsed.sections] == ["seat"] * 4


def test_an_answer_gives_credentials_and_the_loopback_address() -> None:
    parsed, _ = made(sends=True, seats=1)
    addresses = (("192.0.2.7", 5), ("127.0.0.1", 6))
    answer = read_answer(build_answer(parsed, local(*addresses, seats=1)), "127.0.0.1")
    assert answer.address == ("127.0.0.1", 6)
    assert answer.credentials == Credentials(*THEIRS)


def test_an_answer_at_another_address_is_refused() -> None:
    parsed, _ = made(sends=True, seats=1)
    with pytest.raises(AnswerError, match=r"127\.0\.0\.1"):
        read_answer(build_answer(parsed, local(("192.0.2.7", 5), seats=1)), "127.0.0.1")


def test_an_answer_without_credentials_is_refused() -> None:
    with pytest.raises(AnswerError, match="ice-ufrag"):
        read_answer("v=0\r\n", "127.0.0.1")
