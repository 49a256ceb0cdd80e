"""Choosing the codecs of a section: Opus, VP8 and H.264, by the offer's payload types. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sfu.forwarder.contract import Codec, Kind

_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9.-]{1,32})/(\d{1,6})(?:/(\d))?")
_PROFILE_LEVEL = re.compile(r"[0-9a-f]{6}")
#: Those that we act on; no retransmission format and no transport-wide feedback (yet).
_VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb")
_CODECS: dict[tuple[Kind, str, int, int], Codec] = {
    ("audio", "opus", 48_000, 2): "opus",  # RFC 7587 §7: always 48000/2
    ("video", "vp8", 90_000, 1): "VP8",
    ("video", "h264", 90_000, 1): "H264",
}


@dataclass(frozen=True, slots=True)
class OfferedCodec:
    """A codec that the offer and we have in common, with what its lines in the answer say."""

    codec: Codec
    payload_type: int
    clock_rate: int
    channels: int
    parameters: str
    feedback: tuple[str, ...]


def choose_codecs(
    kind: Kind, formats: Sequence[str], attributes: Mapping[str, Sequence[str]]
) -> tuple[OfferedCodec, ...]:
    """Those we have in common, in the offer's order, one payload type for each codec."""
    rtpmaps = _by_payload_type(attributes.get("rtpmap", ()))
    fmtps = _by_payload_type(attributes.get("fmtp", ()))
    feedback = _feedback(attributes.get("rtcp-fb", ()))
    chosen: dict[Codec, OfferedCodec] = {}
    for payload_type in formats:
        match = _RTPMAP.fullmatch(f"{payload_type} {rtpmaps.get(payload_type, '')}")
        if match is None:
            continue
        number = int(match[1])
        key = (kind, match[2].lower(), int(match[3]), int(match[4] or 1))
        codec = _CODECS.get(key)
        # RFC 5761 §4: 64 to 95 would look like RTCP.
        if codec is None or codec in chosen or number > 127 or 64 <= number <= 95:
            continue
        parameters = _parameters(codec, fmtps.get(payload_type, ""))
        if parameters is None:
            continue
        wanted = feedback.get(payload_type, set()) | feedback.get("*", set())
        chosen[codec] = OfferedCodec(
            codec,
            number,
            key[2],
            key[3],
            parameters,
            tuple(f for f in _VIDEO_FEEDBACK if f in wanted) if kind == "video" else (),
        )
    return tuple(chosen.values())


def _by_payload_type(values: Sequence[str]) -> dict[str, str]:
    pairs = (value.partition(" ") for value in values)
    return {payload_type: rest for payload_type, _, rest in pairs}


def _feedback(values: Sequence[str]) -> dict[str, set[str]]:
    feedback: dict[str, set[str]] = {}
    for value in values:
        payload_type, _, message = value.partition(" ")
        feedback.setdefault(payload_type, set()).add(message.strip())
    return feedback


def _parameters(codec: Codec, offered: str) -> str | None:
    """The answer's fmtp, empty for none; None when the codec's form is not one that we take."""
    if codec == "opus":
        return "minptime=10;useinbandfec=1"  # RFC 7587 §6.1: repair for the network's first losses
    if codec == "VP8":
        return ""
    values = dict(part.strip().partition("=")[::2] for part in offered.lower().split(";"))
    profile = values.get("profile-level-id", "")
    if values.get("packetization-mode") != "1" or not _PROFILE_LEVEL.fullmatch(profile):
        return None
    if not _is_constrained_baseline(profile):
        return None
    asymmetry = "level-asymmetry-allowed=1;" if values.get("level-asymmetry-allowed") == "1" else ""
    return f"{asymmetry}packetization-mode=1;profile-level-id={profile}"


def _is_constrained_baseline(profile_level: str) -> bool:
    """RFC 6184 §8.1, table 5: the profile that every decoder of H.264 has."""
    profile_idc, iop = int(profile_level[:2], 16), int(profile_level[2:4], 16)
    if profile_idc == 0x42:
        return iop & 0b0100_1111 == 0b0100_0000
    if profile_idc == 0x4D:
        return iop & 0b1000_1111 == 0b1000_0000
    return profile_idc == 0x58 and iop & 0b1100_1111 == 0b1100_0000
