from __future__ import annotations

import asyncio
from dataclasses import replace

import aiortc.sdp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from sfu.transport.answer import Local, SeatSsrcs, build_answer
from sfu.transport.description import (
    DEPENDENCY_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TRANSPORT_CC_URI,
    parse_offer,
)
from tests import vectors
from tests.sfu.offers import FINGERPRINT, Line, offer

LOCAL = Local(
    session_id=7,
    version=3,
    ufrag="ours",
    password="p" * 24,
    fingerprint=FINGERPRINT,
    addresses=(("192.0.2.7", 40_000), ("127.0.0.1", 40_000)),
    seats=(SeatSsrcs(101, 102, 1021), SeatSsrcs(103, 0)),
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


def test_answer__without_transport_wide_numbers__asks_for_remb() -> None:
    text = answer("mic", "cam", "hear", "see")
    assert "transport-cc" not in text
    camera, seat = sections(text)[1], sections(text)[3]
    assert "a=rtcp-fb:96 goog-remb\r\n" in camera
    assert "abs-send-time" in camera
    assert "a=rtcp-fb:96 goog-remb\r\n" in seat
    assert "abs-send-time" not in seat
    assert "nack pli" in seat


@pytest.mark.parametrize(("what", "payload_type"), [("mic", 111), ("cam", 96), ("see", 96)])
def test_answer__with_transport_wide_numbers__asks_for_nothing_else(
    what: str, payload_type: int
) -> None:
    extra = (f"a=extmap:5 {TRANSPORT_CC_URI}", "a=rtcp-fb:* transport-cc")
    text = answer("mic", "hear", Line(what, extra=extra))
    section = sections(text)[2]
    assert f"a=extmap:5 {TRANSPORT_CC_URI}\r\n" in section
    assert f"a=rtcp-fb:{payload_type} transport-cc\r\n" in section
    assert "goog-remb" not in section
    assert "abs-send-time" not in section


def test_camera__is_answered_with_the_codec_agreed_and_a_seat_with_all() -> None:
    _, camera, _, seat = sections(answer("mic", "cam", "hear", "see"))
    assert camera.startswith("video 9 UDP/TLS/RTP/SAVPF 96 97\r\n")
    assert seat.startswith("video 9 UDP/TLS/RTP/SAVPF 96 106 97\r\n")
    assert "profile-level-id=42e01f" in seat


def test_camera__agreed_on_another_codec__has_that_only() -> None:
    parsed = parse_offer(offer("mic", "cam"))
    h264 = parsed.sections[1].codecs[1]
    camera = sections(build_answer(parsed, replace(LOCAL, sent={"1": h264})))[1]
    assert camera.startswith("video 9 UDP/TLS/RTP/SAVPF 106\r\n")
    assert "rtx" not in camera


def test_retransmissions__of_a_seat_have_their_ssrc() -> None:
    seat = sections(answer("mic", "hear", "see"))[2]
    assert "a=fmtp:97 apt=96\r\n" in seat
    assert "a=ssrc-group:FID 102 1021\r\n" in seat
    assert "a=ssrc:1021 cname:seat0\r\n" in seat


def test_retransmissions__of_a_seat_without_ssrc__are_not_spoken_of() -> None:
    parsed = parse_offer(offer("mic", "hear", "see"))
    local = replace(LOCAL, seats=(SeatSsrcs(101, 102),))
    seat = sections(build_answer(parsed, local))[2]
    assert "rtx" not in seat
    assert "FID" not in seat
    assert seat.startswith("video 9 UDP/TLS/RTP/SAVPF 96 106\r\n")


def test_simulcast__is_mirrored_with_its_extensions() -> None:
    extra = (
        *(f"a=rid:{rid} send" for rid in "qhf"),
        "a=simulcast:send q;h;f",
        f"a=extmap:10 {RID_URI}",
        f"a=extmap:11 {REPAIRED_RID_URI}",
    )
    camera = sections(answer("mic", Line("cam", extra=extra)))[1]
    assert camera.endswith(
        "a=rid:q recv\r\na=rid:h recv\r\na=rid:f recv\r\na=simulcast:recv q;h;f\r\n"
    )
    assert f"a=extmap:10 {RID_URI}\r\n" in camera
    assert f"a=extmap:11 {REPAIRED_RID_URI}\r\n" in camera


def test_dependency_descriptor__goes_with_av1() -> None:
    parsed = parse_offer(vectors.offer("chromium-vp8-simulcast"))
    camera = parsed.sections[1]
    agreed = {c.codec: build_answer(parsed, replace(LOCAL, sent={"1": c})) for c in camera.codecs}
    for codec, text in agreed.items():
        assert (DEPENDENCY_URI in sections(text)[1]) is (codec == "AV1")
        assert DEPENDENCY_URI in sections(text)[3]
        assert "a=extmap-allow-mixed\r\n" in sections(text)[1]


def test_saver__is_for_the_voice_that_is_sent() -> None:
    parsed = parse_offer(offer("mic", "cam", "hear", "see"))
    text = build_answer(parsed, replace(LOCAL, saver=True))
    assert text.count("a=ptime:60\r\na=maxptime:60\r\n") == 1
    assert "a=ptime:60" in sections(text)[0]
    assert ";usedtx=1;maxaveragebitrate=12000\r\n" in sections(text)[0]
    assert "maxaveragebitrate" not in sections(text)[2]
    assert "ptime" not in answer("mic", "hear").replace("minptime", "")


def test_tcp_candidates__stand_below_those_of_udp() -> None:
    local = replace(LOCAL, tcp_addresses=(("192.0.2.7", 443), ("::1", 443)))
    text = build_answer(parse_offer(offer("mic")), local)
    lines = [line for line in text.split("\r\n") if line.startswith("a=candidate:")]
    assert [line.split(" ")[2] for line in lines] == ["udp", "udp", "tcp", "tcp"]
    priorities = [int(line.split(" ")[3]) for line in lines]
    assert priorities == sorted(set(priorities), reverse=True)
    assert len({line.split(" ")[0] for line in lines}) == 4
    assert lines[2].endswith(" 192.0.2.7 443 typ host tcptype passive")
    assert text.index("tcptype") < text.index("a=end-of-candidates")


def test_rejected_section__keeps_its_place_and_leaves_the_bundle() -> None:
    text = answer("mic", "data")
    assert "a=group:BUNDLE 0\r\n" in text
    assert sections(text)[1].startswith("application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")


def test_inactive_section__is_mirrored() -> None:
    assert "a=inactive\r\n" in sections(answer("mic", "idle"))[1]


def test_version__is_in_the_origin() -> None:
    assert "o=- 7 3 IN IP4 127.0.0.1\r\n" in answer("mic")


async def test_aiortc__takes_the_answer_to_its_offer() -> None:
    before = asyncio.all_tasks()
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        connection.addTransceiver("audio", "sendonly")
        connection.addTransceiver("video", "sendonly")
        connection.addTransceiver("audio", "recvonly")
        connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        parsed = parse_offer(connection.localDescription.sdp)
        assert [s.role for s in parsed.sections] == ["microphone", "camera", "seat", "seat"]
        text = build_answer(parsed, replace(LOCAL, tcp_addresses=(("192.0.2.7", 40_000),)))
        await connection.setRemoteDescription(RTCSessionDescription(text, "answer"))
        assert connection.signalingState == "stable"
        assert [t.currentDirection for t in connection.getTransceivers()] == [
            "sendonly",
            "sendonly",
            "recvonly",
            "recvonly",
        ]
    finally:
        await connection.close()
        # aiortc leaves the task that waits for a path that never was.
        left = asyncio.all_tasks() - before
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
