from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.errors import OfferError
from sfu.transport.description import MAX_SEATS, MID_URI, check_continues, parse_offer
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
        (offer("mic") + "a=x:" + "y" * 65_536, "too_large"),
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


def test_codecs__one_for_what_is_sent_all_for_a_seat() -> None:
    parsed = parse_offer(offer("mic", "cam", "hear", "see"))
    assert [c.codec for c in parsed.sections[1].codecs] == ["VP8"]
    assert [c.codec for c in parsed.sections[3].codecs] == ["VP8", "H264"]


def test_section_without_a_codec_of_ours__is_turned_down() -> None:
    av1 = Line("cam", codecs=("a=rtpmap:96 AV1/90000",))
    assert roles(offer("mic", av1)) == ["microphone", "rejected"]
