from __future__ import annotations

import pytest

from sfu.transport.codecs import choose_codecs

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
    assert chosen.feedback == ("nack", "nack pli")


def test_opus__needs_its_clock_rate_and_channels() -> None:
    assert choose_codecs("audio", ["111"], {"rtpmap": ["111 opus/48000/2"]})[0].channels == 2
    assert choose_codecs("audio", ["111"], {"rtpmap": ["111 opus/16000"]}) == ()
    assert choose_codecs("video", ["111"], {"rtpmap": ["111 opus/48000/2"]}) == ()
