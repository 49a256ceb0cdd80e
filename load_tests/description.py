"""A bot's SDP: an offer of what it sends and of its seats, and what the answer must have. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from load_tests.rtp_source import ABS_SEND_TIME_ID, AUDIO_LEVEL_ID, MID_ID, OPUS, VP8, Source

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", re.MULTILINE)
_MIDS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class AnswerError(Exception):
    """The server's answer cannot be used; the message says what it lacks."""


@dataclass(frozen=True)
class Credentials:
    """A side's ICE user name and password, and its certificate's SHA-256 fingerprint."""

    ufrag: str
    password: str
    fingerprint: str


@dataclass(frozen=True)
class Answer:
    """The server's side, at a loopback address."""

    credentials: Credentials
    address: tuple[str, int]


def mid(index: int) -> str:
    """The MID of section `index`, one letter."""
    return _MIDS[index]


def offer(ours: Credentials, cname: str, sources: Sequence[Source], seats: int) -> str:
    """An offer: a `sendonly` section for each source, then a `recvonly` pair for each seat."""
    kinds = [source.kind for source in sources] + ["audio", "video"] * seats
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(mid(index) for index in range(len(kinds))),
    ]
    for index, kind in enumerate(kinds):
        sending = index < len(sources)
        lines += _section(kind, mid(index), "sendonly" if sending else "recvonly", ours)
        if sending:
            lines.append(f"a=msid:{cname} {kind}")
            lines.append(f"a=ssrc:{sources[index].ssrc} cname:{cname}")
    return "\r\n".join(lines) + "\r\n"


def _section(kind: str, name: str, direction: str, ours: Credentials) -> list[str]:
    payload_type = OPUS if kind == "audio" else VP8
    lines = [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{name}",
        f"a={direction}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{ours.ufrag}",
        f"a=ice-pwd:{ours.password}",
        f"a=fingerprint:sha-256 {ours.fingerprint}",
        "a=setup:actpass",
        f"a=extmap:{MID_ID} urn:ietf:params:rtp-hdrext:sdes:mid",
    ]
    if kind == "audio":
        lines += [
            f"a=extmap:{AUDIO_LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            f"a=rtpmap:{OPUS} opus/48000/2",
        ]
    else:
        uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
        lines += [f"a=extmap:{ABS_SEND_TIME_ID} {uri}", f"a=rtpmap:{VP8} VP8/90000"]
        lines += [f"a=rtcp-fb:{VP8} {f}" for f in ("nack", "nack pli", "ccm fir", "goog-remb")]
    return lines


def read_answer(sdp: str) -> Answer:
    """What a bot needs of the answer. Raises `AnswerError`."""
    text = sdp.replace("\r\n", "\n")
    credentials = Credentials(
        ufrag=_attribute(text, "ice-ufrag"),
        password=_attribute(text, "ice-pwd"),
        fingerprint=_attribute(text, "fingerprint").removeprefix("sha-256 "),
    )
    for host, port in _CANDIDATE.findall(text):
        address = ipaddress.ip_address(host)
        if address.is_loopback and address.version == 4:
            return Answer(credentials, (host, int(port)))
    raise AnswerError("no candidate on 127.0.0.1: the bots send to no other address")


def _attribute(text: str, name: str) -> str:
    match = re.search(rf"^a={name}:(.+)$", text, re.MULTILINE)
    if match is None:
        raise AnswerError(f"the answer has no {name}")
    return match[1]
