"""RTCP packets, both ways: RFC 3550 §6, feedback RFC 4585 §6, FIR RFC 5104 §4.3.1, REMB, and
transport-wide feedback.

Each class reads its own body with `parse` and writes the whole packet, header included, with
`bytes()`. SSRCs, counters and timestamps are plain integers in network units. All names are
imported from here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sfu.rtp.feedback import (
    GENERIC_NACK,
    MAX_NACK_SEQUENCES,
    REMB_NAME,
    FullIntraRequest,
    Nack,
    PayloadFeedback,
    PictureLossIndication,
    Remb,
)
from sfu.rtp.reports import ReceiverReport, ReportBlock, SenderReport, middle_32, ntp_time
from sfu.rtp.rtcp_header import (
    COUNT_MASK,
    HEADER,
    PADDING_BIT,
    VERSION,
    PacketType,
    RtcpFormatError,
    build_packet,
    checked_count,
)
from sfu.rtp.transport_cc import TRANSPORT_WIDE, TransportFeedback

__all__ = [
    "FullIntraRequest",
    "Goodbye",
    "Nack",
    "PictureLossIndication",
    "ReceiverReport",
    "Remb",
    "ReportBlock",
    "RtcpFormatError",
    "RtcpPacket",
    "SenderReport",
    "SourceDescription",
    "TransportFeedback",
    "Unknown",
    "compound",
    "middle_32",
    "ntp_time",
    "parse_compound",
]

_CNAME = 1
_MAX_TEXT_BYTES = 255


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES (RFC 3550 §6.5): (SSRC, CNAME) of each source that gives one; no other item is kept."""

    names: tuple[tuple[int, str], ...]

    @classmethod
    def parse(cls, body: bytes, count: int) -> SourceDescription:
        """Read the body of an SDES with `count` chunks. Raises `RtcpFormatError`."""
        names = []
        position = 0
        for _ in range(count):
            if position + 4 > len(body):
                raise RtcpFormatError("a source description is cut short")
            ssrc = int.from_bytes(body[position : position + 4], "big")
            name, position = _parse_items(body, position + 4)
            if name is not None:
                names.append((ssrc, name))
        return cls(tuple(names))

    def __bytes__(self) -> bytes:
        body = b"".join(_chunk(ssrc, name) for ssrc, name in self.names)
        return build_packet(PacketType.SOURCE_DESCRIPTION, checked_count(self.names), body)


def _parse_items(body: bytes, position: int) -> tuple[str | None, int]:
    name = None
    while position < len(body):
        kind = body[position]
        if kind == 0:
            # RFC 3550 §6.5: zeros up to the next 32 bit boundary, at least one.
            return name, (position + 4) & ~3
        if position + 2 > len(body) or position + 2 + body[position + 1] > len(body):
            break
        end = position + 2 + body[position + 1]
        if kind == _CNAME:
            name = body[position + 2 : end].decode("utf-8", "replace")
        position = end
    raise RtcpFormatError("an item of a source description is cut short")


def _chunk(ssrc: int, name: str) -> bytes:
    text = _text(name)
    chunk = ssrc.to_bytes(4, "big") + bytes((_CNAME, len(text))) + text + b"\0"
    return chunk + bytes(-len(chunk) % 4)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    if len(encoded) > _MAX_TEXT_BYTES:
        raise ValueError("a text in RTCP has at most 255 bytes")
    return encoded


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE (RFC 3550 §6.6)."""

    ssrcs: tuple[int, ...]
    reason: str = ""

    @classmethod
    def parse(cls, body: bytes, count: int) -> Goodbye:
        """Read the body of a BYE with `count` sources. Raises `RtcpFormatError`."""
        end = 4 * count
        if len(body) < end:
            raise RtcpFormatError("a goodbye is cut short")
        ssrcs = struct.unpack_from(f"!{count}I", body)
        if len(body) == end:
            return cls(ssrcs)
        size = body[end]
        if end + 1 + size > len(body):
            raise RtcpFormatError("the reason of a goodbye is cut short")
        return cls(ssrcs, body[end + 1 : end + 1 + size].decode("utf-8", "replace"))

    def __bytes__(self) -> bytes:
        body = struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        if self.reason:
            text = _text(self.reason)
            body += bytes((len(text),)) + text
            body += bytes(-len(body) % 4)
        return build_packet(PacketType.GOODBYE, checked_count(self.ssrcs), body)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed packet of a type or format that nothing here reads; `body` has no header."""

    packet_type: int
    count: int
    body: bytes

    def __bytes__(self) -> bytes:
        return build_packet(self.packet_type, self.count, self.body)


RtcpPacket = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | Nack
    | PictureLossIndication
    | FullIntraRequest
    | Remb
    | TransportFeedback
    | Unknown
)


def parse_compound(data: bytes) -> list[RtcpPacket]:
    """Read a compound packet, or a reduced-size one (RFC 5506), already decrypted.

    Packets of types that are not read come out as `Unknown`. Raises `RtcpFormatError` when any
    packet is cut short or inconsistent, or all together ask for more than `MAX_NACK_SEQUENCES`:
    then none is believed.
    """
    packets: list[RtcpPacket] = []
    asked = 0
    position = 0
    while position < len(data):
        if len(data) - position < HEADER.size:
            raise RtcpFormatError("an RTCP header is cut short")
        first, packet_type, words = HEADER.unpack_from(data, position)
        end = position + 4 * (words + 1)
        if first >> 6 != VERSION:
            raise RtcpFormatError("the RTCP version is not 2")
        if end > len(data):
            raise RtcpFormatError("an RTCP packet is longer than its datagram")
        body = data[position + HEADER.size : end]
        if first & PADDING_BIT:
            whole = (
                packet_type != PacketType.TRANSPORT_FEEDBACK or first & COUNT_MASK != TRANSPORT_WIDE
            )
            body = _without_padding(body, last=end == len(data), whole_words=whole)
        packet = _parse_packet(packet_type, first & COUNT_MASK, body)
        if isinstance(packet, Nack):
            # A NACK of four bytes names up to 17 packets: it must not cost more than it is worth.
            asked += len(packet.sequences)
            if asked > MAX_NACK_SEQUENCES:
                raise RtcpFormatError("the NACKs of a datagram ask for too many packets")
        packets.append(packet)
        position = end
    if not packets:
        raise RtcpFormatError("the datagram is empty")
    return packets


def compound(packets: Iterable[RtcpPacket]) -> bytes:
    """Packets in one datagram; RFC 3550 §6.1 wants a report first, then the CNAME."""
    return b"".join(map(bytes, packets))


def _without_padding(body: bytes, *, last: bool, whole_words: bool) -> bytes:
    # RFC 3550 §6.4.1: only the last packet of a compound is padded, by whole words. Browsers pad
    # transport-wide feedback to a word with the padding bit set, wherever it stands.
    if not body or not 1 <= body[-1] <= len(body):
        raise RtcpFormatError("the RTCP padding is wrong")
    if whole_words and (not last or body[-1] % 4):
        raise RtcpFormatError("the RTCP padding is wrong")
    return body[: -body[-1]]


def _parse_packet(packet_type: int, count: int, body: bytes) -> RtcpPacket:
    counted = _COUNTED.get(packet_type)
    if counted is not None:
        return counted(body, count)
    feedback = _FEEDBACK.get((packet_type, count))
    if feedback is not None:
        return feedback(body)
    return Unknown(packet_type, count, body)


def _parse_application(body: bytes) -> RtcpPacket:
    if body[8:12] == REMB_NAME:
        return Remb.parse(body)
    return Unknown(PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.APPLICATION, body)


#: By packet type: what has a count in its header.
_COUNTED: dict[int, Callable[[bytes, int], RtcpPacket]] = {
    PacketType.SENDER_REPORT: SenderReport.parse,
    PacketType.RECEIVER_REPORT: ReceiverReport.parse,
    PacketType.SOURCE_DESCRIPTION: SourceDescription.parse,
    PacketType.GOODBYE: Goodbye.parse,
}
#: By packet type and format.
_FEEDBACK: dict[tuple[int, int], Callable[[bytes], RtcpPacket]] = {
    (PacketType.TRANSPORT_FEEDBACK, GENERIC_NACK): Nack.parse,
    (PacketType.TRANSPORT_FEEDBACK, TRANSPORT_WIDE): TransportFeedback.parse,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.PLI): PictureLossIndication.parse,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.FIR): FullIntraRequest.parse,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.APPLICATION): _parse_application,
}
