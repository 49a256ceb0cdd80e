from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.errors import OfferError
from sfu.transport.answer import Local, SeatSsrcs, build_answer
from sfu.transport.description import (
    DEPENDENCY_URI,
    MAX_SEATS,
    MID_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TRANSPORT_CC_URI,
    check_continues,
    parse_offer,
)
from sfu.transport.sections import MAX_OFFER_BYTES
from tests import vectors
from tests.sfu.offers import FINGERPRINT, PASSWORD, UFRAG, Line, offer

CALL = ("mic", "cam", "hear", "see", "hear", "see")


def refusal(sdp: str) -> str:
    """The reason for which an offer is refused."""
    with pytest.raises(OfferError) as caught:
        parse_offer(sdp)
    assert caught.value.code == "bad_offer"
    assert caught.value.detail.startswith(f"{caught.value.reason}: ")
    return caught.value.reason


def roles(sdp: str) -> list[str]:
    return [section.role for section in parse_offer(sdp).sections]


def test_call__has_its_roles_and_credentials() -> None:
    parsed = parse_offer(offer(*CALL))
    assert [s.role for s in parsed.sections] == ["microphone", "camera"] + ["seat"] * 4
    assert [s.seat for s in parsed.sections] == [-1, -1, 0, 0, 1, 1]
    assert (parsed.ufrag, parsed.password, parsed.fingerprint) == (UFRAG, PASSWORD, FINGERPRINT)
    assert parsed.sections[1].ssrcs == (21,)
    assert parsed.sections[0].extensions[MID_URI] == 4


def test_screen__is_the_section_with_slides_wherever_it_stands() -> None:
    assert roles(offer("mic", "screen", "cam")) == ["microphone", "screen", "camera"]


def test_second_camera__is_taken_as_inactive() -> None:
    assert roles(offer("mic", "cam", "cam")) == ["microphone", "camera", "inactive"]


def test_sendrecv__is_taken_as_one_that_sends() -> None:
    both = Line("mic", without=("a=sendonly",), extra=("a=sendrecv",))
    assert roles(offer(both)) == ["microphone"]
    assert roles(offer(Line("mic", without=("a=sendonly",)))) == ["microphone"]


def test_seats__pair_audio_and_video_and_may_end_without_video() -> None:
    seats = parse_offer(offer("mic", "hear", "see", "hear")).seats()
    assert [(audio.mid, video.mid if video else None) for audio, video in seats] == [
        ("1", "2"),
        ("3", None),
    ]


def test_seats__over_the_limit_are_inactive() -> None:
    parsed = parse_offer(offer("mic", *["hear", "see"] * (MAX_SEATS + 1)))
    assert len(parsed.seats()) == MAX_SEATS
    assert [s.role for s in parsed.sections[-2:]] == ["inactive", "inactive"]


def test_seat__with_video_only__is_refused() -> None:
    assert refusal(offer("mic", "see")) == "bad_seats"


def test_data_channel__beside_media__is_turned_down() -> None:
    assert roles(offer("mic", "data")) == ["microphone", "rejected"]


def test_data_channel__first_in_the_bundle__does_not_name_the_transport() -> None:
    parsed = parse_offer(offer("data", "mic"))
    assert [s.role for s in parsed.sections] == ["rejected", "microphone"]
    assert parsed.ufrag == UFRAG


def test_port_0__is_turned_down_unless_bundle_only() -> None:
    assert roles(offer("mic", Line("cam", port=0))) == ["microphone", "rejected"]
    bundled = Line("cam", port=0, extra=("a=bundle-only",))
    assert roles(offer("mic", bundled)) == ["microphone", "camera"]


def test_ssrcs__of_repair_streams_are_left_out() -> None:
    line = Line("cam", extra=("a=ssrc-group:FID 21 22", "a=ssrc:22 cname:x"))
    assert parse_offer(offer("mic", line)).sections[1].ssrcs == (21,)


def test_extension_ids__of_the_two_byte_form_are_not_taken() -> None:
    line = Line("mic", without=("a=extmap",), extra=(f"a=extmap:15 {MID_URI}",))
    assert MID_URI not in parse_offer(offer(line)).sections[0].extensions


@pytest.mark.parametrize(
    ("sdp", "reason"),
    [
        ("", "not_sdp"),
        ("v=0\r\n", "no_sections"),
        ("{}", "not_sdp"),
        (offer("mic") + "garbage\r\n", "not_sdp"),
        (offer("mic").replace("m=audio 9", "m=audio nine"), "not_sdp"),
        (offer("mic") + "a=tool:ế\r\n", "not_sdp"),
        (offer("mic") + "a=x:" + "y" * MAX_OFFER_BYTES, "too_large"),
        (offer("mic") + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 199, "too_many_sections"),
        (offer("data"), "no_audio"),
        (offer("cam"), "no_audio"),
        (offer("mic", bundle="BUNDLE"), "no_bundle"),
        (offer("mic", bundle="LS 0"), "no_bundle"),
        (offer("mic", "cam", bundle="BUNDLE 0"), "no_bundle"),
        (offer(Line("mic", without=("a=rtcp-mux",))), "no_rtcp_mux"),
        (offer(Line("mic", without=("a=mid",))), "bad_mid"),
        (offer("mic", "cam").replace("a=mid:1", "a=mid:0"), "bad_mid"),
        (offer("mic").replace("a=mid:0", "a=mid:" + "0" * 17), "bad_mid"),
        (offer("mic", ufrag="abc"), "bad_ice"),
        (offer("mic", ufrag="a b c d"), "bad_ice"),
        (offer(Line("mic", without=("a=ice-pwd",))), "bad_ice"),
        (offer("mic", fingerprint="AB"), "bad_fingerprint"),
        (offer("mic", fingerprint="XX" + FINGERPRINT[2:]), "bad_fingerprint"),
        (offer(Line("mic", without=("a=fingerprint",))), "bad_fingerprint"),
        (offer("mic", setup="passive"), "bad_setup"),
        (offer(Line("mic", codecs=("a=rtpmap:111 PCMU/8000",))), "no_codec"),
    ],
)
def test_bad_offer__is_refused_with_a_reason(sdp: str, reason: str) -> None:
    assert refusal(sdp) == reason


@given(st.text())
def test_any_text__is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(OfferError):
        parse_offer(text)


@given(st.data())
def test_broken_offer__is_read_or_refused(data: st.DataObject) -> None:
    lines = offer(*CALL).split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "double", "cut", "swap", "noise"]))
        if change == "drop":
            del lines[at]
        elif change == "double":
            lines.insert(at, lines[at])
        elif change == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        elif change == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] += data.draw(st.text(st.characters(max_codepoint=126), max_size=8))
    with contextlib.suppress(OfferError):
        parse_offer("\r\n".join(lines))


def test_further_offer__may_append_sections() -> None:
    check_continues(parse_offer(offer("mic", "cam")), parse_offer(offer(*CALL)))


@pytest.mark.parametrize(
    "after",
    [offer("mic"), offer("mic", "hear"), offer("mic", "cam").replace("a=mid:1", "a=mid:x")],
)
def test_further_offer__with_other_sections__is_refused(after: str) -> None:
    after = after.replace("BUNDLE 0 1", "BUNDLE 0 1 x")
    with pytest.raises(OfferError) as caught:
        check_continues(parse_offer(offer("mic", "cam")), parse_offer(after))
    assert caught.value.reason == "sections_changed"


def test_codecs__all_in_common_for_what_is_sent_and_for_a_seat() -> None:
    parsed = parse_offer(offer("mic", "cam", "hear", "see"))
    assert [c.codec for c in parsed.sections[1].codecs] == ["VP8", "H264"]
    assert [c.codec for c in parsed.sections[3].codecs] == ["VP8", "H264"]


def test_section_without_a_codec_of_ours__is_turned_down() -> None:
    h265 = Line("cam", codecs=("a=rtpmap:96 H265/90000",))
    assert roles(offer("mic", h265)) == ["microphone", "rejected"]


SIMULCAST = ("a=rid:q send", "a=rid:h send", "a=simulcast:send q;h")


def test_simulcast__is_read_of_what_is_sent_only() -> None:
    parsed = parse_offer(
        offer("mic", Line("cam", extra=SIMULCAST), "hear", Line("see", extra=SIMULCAST))
    )
    assert [s.rids for s in parsed.sections] == [(), ("q", "h"), (), ()]


def test_layers__by_ssrc() -> None:
    line = Line("cam", ssrc=1, extra=("a=ssrc-group:SIM 1 2", "a=ssrc-group:FID 1 11"))
    camera = parse_offer(offer("mic", line)).sections[1]
    assert (camera.ssrcs, camera.layer_ssrcs, camera.repairs) == ((1,), (1, 2), {11: 1})


def test_four_encodings__are_refused() -> None:
    lines = [f"a=rid:{rid} send" for rid in "qhfx"]
    line = Line("cam", extra=(*lines, "a=simulcast:send q;h;f;x"))
    assert refusal(offer("mic", line)) == "bad_simulcast"


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("a=extmap:5 ", True),
        ("a=extmap:5/sendonly ", True),
        ("a=extmap:5/recvonly ", False),
        ("a=extmap:5/inactive ", False),
    ],
)
def test_extension__counts_in_the_direction_of_its_section(line: str, taken: bool) -> None:
    extra = (f"{line}{TRANSPORT_CC_URI}",)
    parsed = parse_offer(offer("mic", Line("cam", extra=extra)))
    assert (TRANSPORT_CC_URI in parsed.sections[1].extensions) is taken


def test_transport_wide_numbers__without_feedback__are_not_taken() -> None:
    line = Line("mic", extra=(f"a=extmap:5 {TRANSPORT_CC_URI}",))
    assert TRANSPORT_CC_URI not in parse_offer(offer(line)).sections[0].extensions


def test_dependency_descriptor__needs_headers_of_both_forms() -> None:
    extra = (f"a=extmap:5 {DEPENDENCY_URI}",)
    assert (
        DEPENDENCY_URI
        not in parse_offer(offer("mic", Line("cam", extra=extra))).sections[1].extensions
    )
    mixed = parse_offer(offer("mic", Line("cam", extra=(*extra, "a=extmap-allow-mixed"))))
    assert mixed.sections[1].extensions[DEPENDENCY_URI] == 5
    assert [s.mixed_extensions for s in mixed.sections] == [False, True]


@pytest.mark.parametrize("name", vectors.OFFERS)
def test_real_offer__has_its_parts(name: str) -> None:
    parsed = parse_offer(vectors.offer(name))
    camera = parsed.of_role("camera")
    assert camera is not None
    assert camera.rids == (("q", "h", "f") if "simulcast" in name else ())
    assert all(codec.rtx_payload_type for codec in camera.codecs)
    assert "transport-cc" in camera.codecs[0].feedback
    assert {TRANSPORT_CC_URI, MID_URI, RID_URI, REPAIRED_RID_URI} <= set(camera.extensions)
    assert len(parsed.seats()) == (2 if "firefox" in name else 1)
    if name == "firefox-simulcast":
        assert [c.codec for c in camera.codecs] == ["VP8", "VP9", "AV1"]
        assert len(camera.ssrcs) == len(camera.repairs) == 3
    else:
        assert {c.codec for c in camera.codecs} == {"VP8", "H264", "VP9", "AV1"}
        assert camera.codecs[0].codec.lower() == name.split("-")[1]


@given(st.sampled_from(vectors.OFFERS), st.data())
def test_mutated_real_offer__is_answered_or_refused(name: str, data: st.DataObject) -> None:
    lines = vectors.offer(name).split("\r\n")
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "twice", "move", "character", "cut", "number"]))
        line = lines[at]
        if change == "drop":
            del lines[at]
        elif change == "twice":
            lines.insert(at, line)
        elif change == "move":
            lines.insert(data.draw(st.integers(0, len(lines) - 1)), lines.pop(at))
        elif change == "character" and line:
            spot = data.draw(st.integers(0, len(line) - 1))
            lines[at] = line[:spot] + data.draw(st.characters(codec="ascii")) + line[spot + 1 :]
        elif change == "cut":
            lines[at] = line[: data.draw(st.integers(0, len(line)))]
        elif change == "number":
            number = data.draw(st.sampled_from(["0", "15", "127", "65536", "4294967296", "9" * 40]))
            lines[at] = re.sub(r"\d+", number, line, count=1)
        if not lines:
            return
    try:
        parsed = parse_offer("\r\n".join(lines))
    except OfferError:
        return
    seats = tuple(SeatSsrcs(1, 2, 3) for _ in parsed.seats())
    local = Local(1, 1, "u", "p", FINGERPRINT, (), seats)
    assert build_answer(parsed, local).startswith("v=0\r\n")


def test_candidates__of_whatever_kind__are_not_read() -> None:
    extra = (
        "a=ice-options:trickle renomination",
        "a=candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host generation 0",
        "a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "a=candidate:3 1 udp 2122260223 0b1c.local 50000 typ host",
        "a=end-of-candidates",
    )
    plain, trickled = (parse_offer(offer(Line("mic", extra=lines))) for lines in ((), extra))
    assert plain == trickled
