"""Writing the answer to an offer: ICE-lite, DTLS passive, one transport for all sections. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import (
    ABS_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    DEPENDENCY_URI,
    MID_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TRANSPORT_CC_URI,
    Offer,
    Section,
)

#: RFC 8445 §5.1.2.1: type preference of a host candidate.
_HOST_PREFERENCE = 126
#: RFC 6544 §4.2: below every UDP candidate, so that TCP is for where UDP is blocked.
_TCP_HOST_PREFERENCE = 90
#: RFC 6544 §4.2: direction preference of a passive host candidate, in the 3 highest bits.
_PASSIVE_PREFERENCE = 4 << 13
_COMPONENT_RTP = 1

#: Ten minutes of talk in 5 MB, both ways together, are 4,166 bytes a second each way. Packets of
#: 60 ms are 16.7 a second, each with at most 92 bytes of IPv6 40, UDP 8, RTP 12, extensions 16 and
#: SRTP tag 16: 1,533 bytes. Opus at 12 kb/s is 1,500. That leaves 1,100 bytes a second (660 kB in
#: the ten minutes, each way) for RTCP and ICE checks, also when both talk without a pause; and in
#: pauses nothing is sent. 60 ms is Opus' longest frame (RFC 6716 §2.1.4).
_SAVER_BITRATE_BPS = 12_000
_SAVER_FRAME_MS = 60


@dataclass(frozen=True, slots=True)
class SeatSsrcs:
    """The SSRCs that a seat's legs send with; 0 for a video or a retransmission it has not."""

    audio: int
    video: int
    video_rtx: int = 0


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of the transport, and the version of this answer (RFC 3264 §8: one more each).

    `sent` has the codec agreed for each section in which the client sends, by mid; a section that
    is not in it gets the first it offered. `saver` makes the client's voice as small as it can be.
    `tcp_addresses` are where we listen for ICE over TCP (RFC 6544).
    """

    session_id: int
    version: int
    ufrag: str
    password: str
    fingerprint: str
    addresses: tuple[tuple[str, int], ...]
    seats: tuple[SeatSsrcs, ...]
    sent: Mapping[str, OfferedCodec] = field(default_factory=dict)
    saver: bool = False
    tcp_addresses: tuple[tuple[str, int], ...] = ()


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
    seat = local.seats[section.seat] if section.role == "seat" else None
    # A seat takes all codecs, as its sources come and go; what is sent has the one agreed.
    codecs = section.codecs if seat else (local.sent.get(section.mid, section.codecs[0]),)
    repaired = seat is None or seat.video_rtx != 0
    lines = [
        f"m={section.media} 9 {section.protocol} " + " ".join(_payload_types(codecs, repaired)),
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        f"a={_direction(section)}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        "a=setup:passive",
        *_candidates(local.addresses, local.tcp_addresses),
        "a=end-of-candidates",
        *_extensions(section, codecs),
    ]
    by_transport = TRANSPORT_CC_URI in section.extensions
    saver = local.saver and section.role == "microphone"
    for codec in codecs:
        lines += _codec(codec, by_transport=by_transport, repaired=repaired, saver=saver)
    if saver:
        lines += [f"a=ptime:{_SAVER_FRAME_MS}", f"a=maxptime:{_SAVER_FRAME_MS}"]
    if seat is not None:
        return lines + _seat(section, seat)
    return lines + _simulcast(section.rids)


def _payload_types(codecs: Sequence[OfferedCodec], repaired: bool) -> list[str]:
    types = [str(codec.payload_type) for codec in codecs]
    if repaired:
        types += [str(codec.rtx_payload_type) for codec in codecs if codec.rtx_payload_type]
    return types


def _direction(section: Section) -> str:
    if section.role == "seat":
        return "sendonly"
    return "inactive" if section.role == "inactive" else "recvonly"


def _extensions(section: Section, codecs: Sequence[OfferedCodec]) -> list[str]:
    """What we act on in what a peer sends us, or what we put on what we send."""
    wanted = [MID_URI, AUDIO_LEVEL_URI, TRANSPORT_CC_URI]
    if any(codec.codec == "AV1" for codec in codecs):
        wanted.append(DEPENDENCY_URI)
    if section.role != "seat":
        if section.rids:
            wanted += [RID_URI, REPAIRED_RID_URI]
        if TRANSPORT_CC_URI not in section.extensions:
            wanted.append(ABS_SEND_TIME_URI)
    known = section.extensions
    mixed = ["a=extmap-allow-mixed"] if section.mixed_extensions else []
    return mixed + [f"a=extmap:{known[uri]} {uri}" for uri in wanted if uri in known]


def _codec(codec: OfferedCodec, *, by_transport: bool, repaired: bool, saver: bool) -> list[str]:
    name = f"{codec.codec}/{codec.clock_rate}" + (
        f"/{codec.channels}" if codec.channels > 1 else ""
    )
    lines = [f"a=rtpmap:{codec.payload_type} {name}"]
    parameters = codec.parameters
    if saver:
        parameters += f";maxaveragebitrate={_SAVER_BITRATE_BPS}"
    if parameters:
        lines.append(f"a=fmtp:{codec.payload_type} {parameters}")
    # One way to measure the path, not two: REMB is for those without sequence numbers for it.
    unasked = "goog-remb" if by_transport and "transport-cc" in codec.feedback else "transport-cc"
    lines += [f"a=rtcp-fb:{codec.payload_type} {f}" for f in codec.feedback if f != unasked]
    if codec.rtx_payload_type and repaired:
        lines += [
            f"a=rtpmap:{codec.rtx_payload_type} rtx/{codec.clock_rate}",
            f"a=fmtp:{codec.rtx_payload_type} apt={codec.payload_type}",
        ]
    return lines


def _simulcast(rids: Sequence[str]) -> list[str]:
    if not rids:
        return []
    return [f"a=rid:{rid} recv" for rid in rids] + ["a=simulcast:recv " + ";".join(rids)]


def _seat(section: Section, ssrcs: SeatSsrcs) -> list[str]:
    stream = cname(section.seat)
    track = f"{stream}-{section.media}"
    lines = [f"a=msid:{stream} {track}"]
    sent = [ssrcs.audio if section.media == "audio" else ssrcs.video]
    if section.media == "video" and ssrcs.video_rtx:
        sent.append(ssrcs.video_rtx)
        lines.append(f"a=ssrc-group:FID {ssrcs.video} {ssrcs.video_rtx}")
    for ssrc in sent:
        lines += [f"a=ssrc:{ssrc} cname:{stream}", f"a=ssrc:{ssrc} msid:{stream} {track}"]
    return lines


def _candidates(
    addresses: Sequence[tuple[str, int]], tcp_addresses: Sequence[tuple[str, int]]
) -> list[str]:
    lines = []
    for index, (address, port) in enumerate(addresses):
        # RFC 8445 §5.1.2: the local preference falls from the first address to the last.
        priority = _priority(_HOST_PREFERENCE, 65_535 - index)
        host = ipaddress.ip_address(address)
        lines.append(
            f"a=candidate:{index + 1} {_COMPONENT_RTP} udp {priority} {host} {port} typ host"
        )
    for index, (address, port) in enumerate(tcp_addresses):
        priority = _priority(_TCP_HOST_PREFERENCE, _PASSIVE_PREFERENCE + 8191 - index)
        host = ipaddress.ip_address(address)
        lines.append(
            f"a=candidate:{len(addresses) + index + 1} {_COMPONENT_RTP} tcp {priority}"
            f" {host} {port} typ host tcptype passive"
        )
    return lines


def _priority(type_preference: int, local_preference: int) -> int:
    return (type_preference << 24) + (local_preference << 8) + (256 - _COMPONENT_RTP)
