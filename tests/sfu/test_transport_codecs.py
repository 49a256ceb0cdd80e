from __future__ import annotations

import pytest

from sfu.forwarder.contract import Codec
from sfu.transport.codecs import OfferedCodec, agree, choose_codecs

H264 = {"rtpmap": ["102 H264/90000"]}


def payload_types(formats: str, rtpmap: list[str], fmtp: list[str] | None = None) -> list[int]:
    attributes = {"rtpmap": rtpmap, "fmtp": fmtp or []}
    return [c.payload_type for c in choose_codecs("video", formats.split(), attributes)]


def test_order_and_payload_types__are_the_offers() -> None:
    fmtp = ["103 packetization-mode=1;profile-level-id=42e01f"]
    rtpmap = ["103 H264/90000", "120 VP8/90000"]
    assert payload_types("103 120", rtpmap, fmtp) == [103, 120]
    assert payload_types("120 103", rtpmap, fmtp) == [120, 103]


def test_one_payload_type_for_each_codec() -> None:
    assert payload_types("96 98", ["96 VP8/90000", "98 vp8/90000"]) == [96]


@pytest.mark.parametrize("number", ["64", "72", "95", "128", "999", "9999", "-1", "x"])
def test_payload_types_that_are_not_rtps__are_not_taken(number: str) -> None:
    assert payload_types(number, [f"{number} VP8/90000"]) == []


@pytest.mark.parametrize(
    ("profile", "taken"),
    [
        ("42e01f", True),
        ("42c01f", True),
        ("4d801f", True),
        ("58c01f", True),
        ("42001f", False),
        ("4d001f", False),
        ("64001f", False),
        ("640c1f", False),
        ("zz", False),
        ("", False),
    ],
)
def test_h264__constrained_baseline_only(profile: str, taken: bool) -> None:
    fmtp = [f"102 packetization-mode=1;profile-level-id={profile}"]
    chosen = choose_codecs("video", ["102"], {**H264, "fmtp": fmtp})
    assert bool(chosen) is taken


def test_h264__without_packetization_mode_1__is_not_taken() -> None:
    attributes = {**H264, "fmtp": ["102 profile-level-id=42e01f"]}
    assert choose_codecs("video", ["102"], attributes) == ()


def test_feedback__is_what_we_act_on_of_what_was_offered() -> None:
    attributes = {
        "rtpmap": ["96 VP8/90000"],
        "rtcp-fb": ["96 transport-cc", "96 nack", "* nack pli", "97 ccm fir"],
    }
    (chosen,) = choose_codecs("video", ["96"], attributes)
    assert chosen.feedback == ("nack", "nack pli", "transport-cc")


def test_audio__is_never_asked_for_again() -> None:
    attributes = {
        "rtpmap": ["111 opus/48000/2", "112 rtx/48000"],
        "fmtp": ["112 apt=111"],
        "rtcp-fb": ["111 transport-cc", "111 nack"],
    }
    (chosen,) = choose_codecs("audio", ["111", "112"], attributes)
    assert (chosen.feedback, chosen.rtx_payload_type) == (("transport-cc",), 0)


@pytest.mark.parametrize(
    ("rtpmap", "fmtp", "expected"),
    [
        ("97 rtx/90000", "97 apt=96", 97),
        ("97 RTX/90000", "97 apt=96;rtx-time=3000", 97),
        ("97 rtx/90000", "97 rtx-time=3000; apt=96", 97),
        ("97 rtx/90000", "97 apt=98", 0),
        ("97 rtx/90000", "97", 0),
        ("97 rtx/48000", "97 apt=96", 0),
        ("97 red/90000", "97 apt=96", 0),
        ("70 rtx/90000", "70 apt=96", 0),  # would look like RTCP
    ],
)
def test_retransmissions__are_found_by_apt(rtpmap: str, fmtp: str, expected: int) -> None:
    attributes = {"rtpmap": ["96 VP8/90000", rtpmap], "fmtp": [fmtp]}
    (chosen,) = choose_codecs("video", ["96", rtpmap.partition(" ")[0]], attributes)
    assert chosen.rtx_payload_type == expected


def test_retransmissions__not_in_the_media_line__are_none() -> None:
    attributes = {"rtpmap": ["96 VP8/90000", "97 rtx/90000"], "fmtp": ["97 apt=96"]}
    assert choose_codecs("video", ["96"], attributes)[0].rtx_payload_type == 0


@pytest.mark.parametrize(
    ("rtpmap", "fmtp", "expected"),
    [
        ("VP9/90000", "", "profile-id=0"),
        ("VP9/90000", "profile-id=0", "profile-id=0"),
        ("VP9/90000", "profile-id=2", None),
        ("AV1/90000", "", "level-idx=5;profile=0;tier=0"),
        ("AV1/90000", "level-idx=8;profile=0;tier=0", "level-idx=8;profile=0;tier=0"),
        ("AV1/90000", "level-idx=32", None),
        ("AV1/90000", "level-idx=x", None),
        ("AV1/90000", "profile=1", None),
        ("AV1/90000", "tier=1", None),
    ],
)
def test_vp9_and_av1__main_profile_only(rtpmap: str, fmtp: str, expected: str | None) -> None:
    attributes = {"rtpmap": [f"98 {rtpmap}"], "fmtp": [f"98 {fmtp}"] if fmtp else []}
    chosen = choose_codecs("video", ["98"], attributes)
    assert [codec.parameters for codec in chosen] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("offered", "decodable", "expected"),
    [
        (("AV1", "VP9", "VP8"), ("AV1", "VP9", "VP8"), "AV1"),
        (("AV1", "VP9", "VP8"), ("VP8", "VP9"), "VP9"),
        (("AV1", "H264", "VP8"), ("VP9",), "H264"),
        (("AV1", "VP8"), (), "VP8"),
        (("AV1", "VP9"), ("H264",), "AV1"),
    ],
)
def test_agree__the_first_that_all_decode_else_one_that_most_do(
    offered: tuple[Codec, ...], decodable: tuple[Codec, ...], expected: Codec
) -> None:
    codecs = [OfferedCodec(codec, 96 + n, 90_000, 1, "", ()) for n, codec in enumerate(offered)]
    assert agree(codecs, decodable).codec == expected


def test_opus__needs_its_clock_rate_and_channels() -> None:
    assert choose_codecs("audio", ["111"], {"rtpmap": ["111 opus/48000/2"]})[0].channels == 2
    assert choose_codecs("audio", ["111"], {"rtpmap": ["111 opus/16000"]}) == ()
    assert choose_codecs("video", ["111"], {"rtpmap": ["111 opus/48000/2"]}) == ()
