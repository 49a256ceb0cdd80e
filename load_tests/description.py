"""A bot's SDP: an offer of what it sends and of its seats, and what a description must have. Pure.

The bots offer what browsers do: repeats by RTX (RFC 4588), transport-wide feedback, NACK, PLI, FIR
and REMB. What the server takes of it is what is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from load_tests.rtp_source import (
    ABS_SEND_TIME_ID,
    AUDIO_LEVEL_ID,
    MID_ID,
    OPUS,
    RTX,
    TRANSPORT_CC_ID,
    VP8,
    Source,
)

_CANDIDATE = re.compile(
    r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", re.MULTILINE | re.IGNORECASE
)
_EXTMAP = re.compile(r"^a=extmap:(\d+)\S* (\S+)", re.MULTILINE)
_MIDS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Our ids of the header extensions that the bots know.
EXTENSIONS = {
    "urn:ietf:params:rtp-hdrext:sdes:mid": MID_ID,
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level": AUDIO_LEVEL_ID,
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time": ABS_SEND_TIME_ID,
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01": TRANSPORT_CC_ID,
}
_OF_KIND = {
    "audio": (MID_ID, AUDIO_LEVEL_ID, TRANSPORT_CC_ID),
    "video": (MID_ID, ABS_SEND_TIME_ID, TRANSPORT_CC_ID),
}
#: RFC 8445 §5.1.2.1: a host candidate, the only one.
HOST_PRIORITY = 126 << 24 | 65_535 << 8 | 255
_VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc")


class AnswerError(Exception):
    """The server's description cannot be used; the message says what it lacks."""


@dataclass(frozen=True)
class Credentials:
    """A side's ICE user name and password, and its certificate's SHA-256 fingerprint."""

    ufrag: str
    password: str
    fingerprint: str


def candidate_lines(address: tuple[str, int]) -> list[str]:
    """The one candidate of a bot (RFC 8839 §5.1)."""
    host, port = address
    return [
        f"a=candidate:1 1 udp {HOST_PRIORITY} {host} {port} typ host",
        "a=end-of-candidates",
    ]


@dataclass(frozen=True)
class Answer:
    """The server's side, at the host of the load.

    `extensions` maps our ids of the header extensions that it takes to its own.
    """

    credentials: Credentials
    address: tuple[str, int]
    setup: str
    extensions: Mapping[int, int]


def mid(index: int) -> str:
    """The MID of section `index`, one letter."""
    return _MIDS[index]


def offer(
    ours: Credentials,
    address: tuple[str, int],
    cname: str,
    sources: Sequence[Source],
    seats: int,
) -> str:
    """An offer: a `sendonly` section for each source, then a `recvonly` pair for each seat."""
    kinds = [source.kind for source in sources] + ["audio", "video"] * seats
    lines = session_lines([mid(index) for index in range(len(kinds))])
    for index, kind in enumerate(kinds):
        sending = index < len(sources)
        lines += section_lines(
            kind, mid(index), ours, direction="sendonly" if sending else "recvonly"
        )
        lines += candidate_lines(address)
        lines += [f"a=extmap:{wanted} {uri}" for uri, wanted in _known(kind)]
        lines += _codec_lines(kind)
        if sending:
            lines.append(f"a=msid:{cname} {kind}")
            lines.append(f"a=ssrc:{sources[index].ssrc} cname:{cname}")
    return "\r\n".join(lines) + "\r\n"


def session_lines(mids: Sequence[str]) -> list[str]:
    """What stands before the sections, all of them bundled."""
    group = "a=group:BUNDLE " + " ".join(mids)
    return ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", group]


def section_lines(
    kind: str,
    name: str,
    ours: Credentials,
    *,
    direction: str,
    setup: str = "actpass",
    formats: Sequence[int] = (),
) -> list[str]:
    """The transport and direction of a section, with `formats` or the bots' own."""
    listed = formats or ((OPUS,) if kind == "audio" else (VP8, RTX))
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, listed))}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{name}",
        f"a={direction}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{ours.ufrag}",
        f"a=ice-pwd:{ours.password}",
        f"a=fingerprint:sha-256 {ours.fingerprint}",
        f"a=setup:{setup}",
    ]


def _known(kind: str) -> list[tuple[str, int]]:
    return [(uri, wanted) for uri, wanted in EXTENSIONS.items() if wanted in _OF_KIND[kind]]


def _codec_lines(kind: str) -> list[str]:
    if kind == "audio":
        return [f"a=rtpmap:{OPUS} opus/48000/2", f"a=rtcp-fb:{OPUS} transport-cc"]
    repeats = [f"a=rtpmap:{RTX} rtx/90000", f"a=fmtp:{RTX} apt={VP8}"]
    feedback = [f"a=rtcp-fb:{VP8} {wanted}" for wanted in _VIDEO_FEEDBACK]
    return [f"a=rtpmap:{VP8} VP8/90000", *feedback, *repeats]


def read_answer(sdp: str, host: str) -> Answer:
    """What a bot needs of the server's description. Raises `AnswerError`."""
    text = sdp.replace("\r\n", "\n")
    credentials = Credentials(
        ufrag=_attribute(text, "ice-ufrag"),
        password=_attribute(text, "ice-pwd"),
        fingerprint=_attribute(text, "fingerprint").removeprefix("sha-256 "),
    )
    extensions = {EXTENSIONS[u]: int(i) for i, u in _EXTMAP.findall(text) if u in EXTENSIONS}
    for candidate, port in _CANDIDATE.findall(text):
        if candidate == host:
            setup = _attribute(text, "setup")
            return Answer(credentials, (host, int(port)), setup, extensions)
    raise AnswerError(f"no candidate on {host}: the bots send to no other address")


def _attribute(text: str, name: str) -> str:
    match = re.search(rf"^a={name}:(.+)$", text, re.MULTILINE)
    if match is None:
        raise AnswerError(f"the description has no {name}")
    return match[1]
