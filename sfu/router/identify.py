"""What a packet of an unknown SSRC is: which section's, which layer, and whether it repairs. Pure.

The section is found by MID, else by the SSRCs that the offer named, else by a payload type that
one section only could have (RFC 8843 §9.2). The layer is found by RID (RFC 8852), else by the
SSRC group that the offer named (SIM), else there is only one. A repair packet (RFC 4588) names its
layer by its repaired RID, else by an FID group.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sfu.rtp.extensions import elements
from sfu.rtp.packet import RtpFormatError
from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import MID_URI, REPAIRED_RID_URI, RID_URI, Section


class Identity(NamedTuple):
    """A layer of a section; `repair` when the packet is a retransmission for it."""

    section: Section
    layer: int
    repair: bool


def layers_of(section: Section) -> int:
    """How many encodings a section has."""
    return len(section.rids) or len(section.layer_ssrcs) or 1


def rid_of(section: Section, layer: int) -> str:
    """The name of an encoding, empty where it has none."""
    return section.rids[layer] if section.rids else ""


def identify(
    packet: bytes,
    sections: Collection[Section],
    formats: Mapping[str, OfferedCodec],
    known: Mapping[int, int],
) -> Identity | None:
    """Who sends it; None: nobody that may.

    `formats` is the codec agreed for each section, `known` the layer of each SSRC that is there.
    """
    ssrc = int.from_bytes(packet[8:12], "big")
    payload_type = packet[1] & 0x7F
    try:
        values = {found: packet[at : at + size] for found, at, size in elements(packet)}
    except RtpFormatError:
        return None
    section = _section(values, sections, formats, ssrc, payload_type)
    if section is None:
        return None
    form = formats[section.mid]
    repair = payload_type == form.rtx_payload_type != 0
    if not repair and payload_type != form.payload_type:
        return None
    layer = _layer(section, values, ssrc, known if repair else None)
    return None if layer is None else Identity(section, layer, repair)


def _section(
    values: Mapping[int, bytes],
    sections: Collection[Section],
    formats: Mapping[str, OfferedCodec],
    ssrc: int,
    payload_type: int,
) -> Section | None:
    for section in sections:
        mid = values.get(section.extensions.get(MID_URI, 0))
        if mid is not None:
            return next((s for s in sections if s.mid == mid.decode("ascii", "replace")), None)
    for section in sections:
        if ssrc in section.ssrcs or ssrc in section.layer_ssrcs or ssrc in section.repairs:
            return section
    possible = [
        section
        for section in sections
        if payload_type
        in (formats[section.mid].payload_type, formats[section.mid].rtx_payload_type)
    ]
    return possible[0] if len(possible) == 1 else None


def _layer(
    section: Section, values: Mapping[int, bytes], ssrc: int, known: Mapping[int, int] | None
) -> int | None:
    """The layer of a stream, or, when `known` is given, of the stream that is repaired."""
    if layers_of(section) == 1:
        return 0
    uri = RID_URI if known is None else REPAIRED_RID_URI
    rid = values.get(section.extensions.get(uri, 0))
    if rid is not None:
        name = rid.decode("ascii", "replace")
        return section.rids.index(name) if name in section.rids else None
    media = ssrc if known is None else section.repairs.get(ssrc, 0)
    if not section.rids and media in section.layer_ssrcs:
        return section.layer_ssrcs.index(media)
    return None if known is None else known.get(media)
