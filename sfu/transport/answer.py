"""Writing the answer to an offer: ICE-lite, DTLS passive, one transport for all sections. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import (
    ABS_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    MID_URI,
    Offer,
    Section,
)

#: RFC 8445 §5.1.2.1: type preference of a host candidate.
_HOST_PREFERENCE = 126
_COMPONENT_RTP = 1
#: What we act on in what a peer sends us, and what we put on what we send.
_RECEIVED_EXTENSIONS = (MID_URI, AUDIO_LEVEL_URI, ABS_SEND_TIME_URI)
_SENT_EXTENSIONS = (MID_URI, AUDIO_LEVEL_URI)


@dataclass(frozen=True, slots=True)
class SeatSsrcs:
    """The SSRCs that a seat's legs send with."""

    audio: int
    video: int


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of the transport, and the version of this answer (RFC 3264 §8: one more each)."""

    session_id: int
    version: int
    ufrag: str
    password: str
    fingerprint: str
    addresses: tuple[tuple[str, int], ...]
    seats: tuple[SeatSsrcs, ...]


def cname(seat: int) -> str:
    """The CNAME of a seat: both of its legs are one synchronized source (RFC 3550 §6.5.1)."""
    return f"seat{seat}"


def build_answer(offer: Offer, local: Local) -> str:
    """The SDP answer; `local.seats` has one entry for each of the offer's seats."""
    accepted = [section for section in offer.sections if section.role != "rejected"]
    lines = [
        "v=0",
        f"o=- {local.session_id} {local.version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=group:BUNDLE " + " ".join(section.mid for section in accepted),
        "a=msid-semantic: WMS *",
    ]
    for section in offer.sections:
        lines += _rejected(section) if section.role == "rejected" else _accepted(section, local)
    return "\r\n".join(lines) + "\r\n"


def _rejected(section: Section) -> list[str]:
    return [
        f"m={section.media} 0 {section.protocol} {section.formats}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        "a=inactive",
    ]


def _accepted(section: Section, local: Local) -> list[str]:
    payload_types = " ".join(str(codec.payload_type) for codec in section.codecs)
    lines = [
        f"m={section.media} 9 {section.protocol} {payload_types}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        f"a={_direction(section)}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        "a=setup:passive",
        *_candidates(local.addresses),
        "a=end-of-candidates",
    ]
    wanted = _SENT_EXTENSIONS if section.role == "seat" else _RECEIVED_EXTENSIONS
    known = section.extensions
    lines += [f"a=extmap:{known[uri]} {uri}" for uri in wanted if uri in known]
    for codec in section.codecs:
        lines += _codec(codec, sent_by_us=section.role == "seat")
    if section.role == "seat":
        lines += _seat(section, local.seats[section.seat])
    return lines


def _direction(section: Section) -> str:
    if section.role == "seat":
        return "sendonly"
    return "inactive" if section.role == "inactive" else "recvonly"


def _codec(codec: OfferedCodec, *, sent_by_us: bool) -> list[str]:
    name = f"{codec.codec}/{codec.clock_rate}" + (
        f"/{codec.channels}" if codec.channels > 1 else ""
    )
    lines = [f"a=rtpmap:{codec.payload_type} {name}"]
    if codec.parameters:
        lines.append(f"a=fmtp:{codec.payload_type} {codec.parameters}")
    # We tell publishers how much to send; what receivers could take is not asked for yet.
    asked = [f for f in codec.feedback if not (sent_by_us and f == "goog-remb")]
    return lines + [f"a=rtcp-fb:{codec.payload_type} {feedback}" for feedback in asked]


def _seat(section: Section, ssrcs: SeatSsrcs) -> list[str]:
    stream = cname(section.seat)
    track = f"{stream}-{section.media}"
    ssrc = ssrcs.audio if section.media == "audio" else ssrcs.video
    return [
        f"a=msid:{stream} {track}",
        f"a=ssrc:{ssrc} cname:{stream}",
        f"a=ssrc:{ssrc} msid:{stream} {track}",
    ]


def _candidates(addresses: Sequence[tuple[str, int]]) -> list[str]:
    lines = []
    for index, (address, port) in enumerate(addresses):
        # RFC 8445 §5.1.2: the local preference falls from the first address to the last.
        priority = (_HOST_PREFERENCE << 24) + ((65_535 - index) << 8) + (256 - _COMPONENT_RTP)
        host = ipaddress.ip_address(address)
        lines.append(
            f"a=candidate:{index + 1} {_COMPONENT_RTP} udp {priority} {host} {port} typ host"
        )
    return lines
