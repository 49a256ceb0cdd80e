"""Choosing the codecs of a section by the offer's payload types: Opus and four for video. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sfu.forwarder.contract import Codec, Kind

_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9.-]{1,32})/(\d{1,6})(?:/(\d))?")
_PROFILE_LEVEL = re.compile(r"[0-9a-f]{6}")
_AV1_LEVEL = re.compile(r"[0-9]|[12][0-9]|3[01]")
_FEEDBACK: dict[Kind, tuple[str, ...]] = {
    # A lost voice packet is too late when it comes again: in-band repair is for that.
    "audio": ("transport-cc",),
    "video": ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"),
}
_CODECS: dict[tuple[Kind, str, int, int], Codec] = {
    ("audio", "opus", 48_000, 2): "opus",  # RFC 7587 §7: always 48000/2
    ("video", "vp8", 90_000, 1): "VP8",
    ("video", "h264", 90_000, 1): "H264",
    ("video", "vp9", 90_000, 1): "VP9",
    ("video", "av1", 90_000, 1): "AV1",
}
#: RFC 7742 §5: every browser decodes these two.
_EVERYBODYS: tuple[Codec, ...] = ("VP8", "H264")


@dataclass(frozen=True, slots=True)
class OfferedCodec:
    """A codec that the offer and we have in common, with what its lines in the answer say.

    `feedback` is what both can do of RTCP feedback. `rtx_payload_type` is the payload type of its
    retransmissions (RFC 4588), 0 when none was offered.
    """

    codec: Codec
    payload_type: int
    clock_rate: int
    channels: int
    parameters: str
    feedback: tuple[str, ...]
    rtx_payload_type: int = 0


def choose_codecs(
    kind: Kind, formats: Sequence[str], attributes: Mapping[str, Sequence[str]]
) -> tuple[OfferedCodec, ...]:
    """Those we have in common, in the offer's order, one payload type for each codec."""
    rtpmaps = _by_payload_type(attributes.get("rtpmap", ()))
    fmtps = _by_payload_type(attributes.get("fmtp", ()))
    feedback = _feedback(attributes.get("rtcp-fb", ()))
    repairs = _retransmissions(formats, rtpmaps, fmtps) if kind == "video" else {}
    chosen: dict[Codec, OfferedCodec] = {}
    for payload_type in formats:
        match = _rtpmap(payload_type, rtpmaps)
        if match is None:
            continue
        key = (kind, match[2].lower(), int(match[3]), int(match[4] or 1))
        codec = _CODECS.get(key)
        if codec is None or codec in chosen:
            continue
        parameters = _parameters(codec, fmtps.get(payload_type, ""))
        if parameters is None:
            continue
        wanted = feedback.get(payload_type, set()) | feedback.get("*", set())
        chosen[codec] = OfferedCodec(
            codec,
            int(payload_type),
            key[2],
            key[3],
            parameters,
            tuple(message for message in _FEEDBACK[kind] if message in wanted),
            repairs.get(payload_type, 0),
        )
    return tuple(chosen.values())


def agree(offered: Sequence[OfferedCodec], decodable: Collection[Codec]) -> OfferedCodec:
    """The one of `offered` (not empty) for a sender to use where all receivers decode `decodable`.

    The first that they do; when there is none, the first of VP8 and H.264, so that as many as can
    be see it.
    """
    for codecs in (decodable, _EVERYBODYS):
        for codec in offered:
            if codec.codec in codecs:
                return codec
    return offered[0]


def _rtpmap(payload_type: str, rtpmaps: Mapping[str, str]) -> re.Match[str] | None:
    match = _RTPMAP.fullmatch(f"{payload_type} {rtpmaps.get(payload_type, '')}")
    # RFC 5761 §4: 64 to 95 would look like RTCP.
    if match is None or int(match[1]) > 127 or 64 <= int(match[1]) <= 95:
        return None
    return match


def _retransmissions(
    formats: Sequence[str], rtpmaps: Mapping[str, str], fmtps: Mapping[str, str]
) -> dict[str, int]:
    """The payload type of retransmissions of each payload type (RFC 4588 §8.1)."""
    found: dict[str, int] = {}
    for payload_type in formats:
        match = _rtpmap(payload_type, rtpmaps)
        if match is not None and (match[2].lower(), match[3]) == ("rtx", "90000"):
            apt = _values(fmtps.get(payload_type, "")).get("apt", "")
            found.setdefault(apt, int(match[1]))
    return found


def _by_payload_type(values: Sequence[str]) -> dict[str, str]:
    pairs = (value.partition(" ") for value in values)
    return {payload_type: rest for payload_type, _, rest in pairs}


def _feedback(values: Sequence[str]) -> dict[str, set[str]]:
    feedback: dict[str, set[str]] = {}
    for value in values:
        payload_type, _, message = value.partition(" ")
        feedback.setdefault(payload_type, set()).add(message.strip())
    return feedback


def _values(fmtp: str) -> dict[str, str]:
    return dict(part.strip().partition("=")[::2] for part in fmtp.lower().split(";"))


def _parameters(codec: Codec, fmtp: str) -> str | None:
    """The answer's fmtp, empty for none; None when the codec's form is not one that we take."""
    values = _values(fmtp)
    if codec == "opus":
        # RFC 7587 §6.1: repair for the network's first losses, and no packets in silence.
        return "minptime=10;useinbandfec=1;usedtx=1"
    if codec == "VP9":  # RFC 9628 §6: profile 0 is 8 bit 4:2:0, and what is meant by none
        return "profile-id=0" if values.get("profile-id", "0") == "0" else None
    if codec == "AV1":
        return _av1(values)
    return _h264(values) if codec == "H264" else ""


def _av1(values: Mapping[str, str]) -> str | None:
    """AV1 RTP specification §7.2: main profile and main tier, which are what is meant by none."""
    if values.get("profile", "0") != "0" or values.get("tier", "0") != "0":
        return None
    level = values.get("level-idx", "5")
    return f"level-idx={level};profile=0;tier=0" if _AV1_LEVEL.fullmatch(level) else None


def _h264(values: Mapping[str, str]) -> str | None:
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
