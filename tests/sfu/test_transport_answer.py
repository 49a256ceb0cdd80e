from __future__ import annotations

import aiortc.sdp

from sfu.transport.answer import Local, SeatSsrcs, build_answer
from sfu.transport.description import parse_offer
from tests.sfu.offers import FINGERPRINT, Line, offer

LOCAL = Local(
    session_id=7,
    version=3,
    ufrag="ours",
    password="p" * 24,
    fingerprint=FINGERPRINT,
    addresses=(("192.0.2.7", 40_000), ("127.0.0.1", 40_000)),
    seats=(SeatSsrcs(101, 102), SeatSsrcs(103, 0)),
)


def answer(*lines: str | Line) -> str:
    return build_answer(parse_offer(offer(*lines)), LOCAL)


def sections(sdp: str) -> list[str]:
    return sdp.split("m=")[1:]


def test_answer__is_read_by_another_stack() -> None:
    read = aiortc.sdp.SessionDescription.parse(answer("mic", "cam", "hear", "see", "hear"))
    assert [m.direction for m in read.media] == ["recvonly"] * 2 + ["sendonly"] * 3
    assert [m.ssrc[0].ssrc for m in read.media[2:]] == [101, 102, 103]
    assert [m.ssrc[0].cname for m in read.media[2:]] == ["seat0", "seat0", "seat1"]
    assert [m.msid for m in read.media[2:]] == [
        "seat0 seat0-audio",
        "seat0 seat0-video",
        "seat1 seat1-audio",
    ]
    for media in read.media:
        assert media.ice is not None
        assert media.ice.iceLite
        assert media.ice.usernameFragment == "ours"
        assert media.dtls is not None
        assert media.dtls.role == "server"
        assert media.rtcp_mux
        assert [c.ip for c in media.ice_candidates] == ["192.0.2.7", "127.0.0.1"]
        assert media.ice_candidates_complete
    assert read.group[0].items == ["0", "1", "2", "3", "4"]


def test_answer__says_nothing_that_we_do_not_do() -> None:
    text = answer("mic", "cam", "hear", "see")
    assert "rtx" not in text
    assert "transport-cc" not in text
    camera, seat = sections(text)[1], sections(text)[3]
    assert "goog-remb" in camera
    assert "abs-send-time" in camera
    assert "goog-remb" not in seat
    assert "abs-send-time" not in seat
    assert "nack pli" in seat


def test_camera__is_answered_with_one_codec_and_a_seat_with_all() -> None:
    _, camera, _, seat = sections(answer("mic", "cam", "hear", "see"))
    assert camera.startswith("video 9 UDP/TLS/RTP/SAVPF 96\r\n")
    assert seat.startswith("video 9 UDP/TLS/RTP/SAVPF 96 106\r\n")
    assert "profile-level-id=42e01f" in seat


def test_rejected_section__keeps_its_place_and_leaves_the_bundle() -> None:
    text = answer("mic", "data")
    assert "a=group:BUNDLE 0\r\n" in text
    assert sections(text)[1].startswith("application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")


def test_inactive_section__is_mirrored() -> None:
    assert "a=inactive\r\n" in sections(answer("mic", "idle"))[1]


def test_version__is_in_the_origin() -> None:
    assert "o=- 7 3 IN IP4 127.0.0.1\r\n" in answer("mic")
