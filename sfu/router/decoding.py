"""Which codec a sender uses: one that everybody who receives can decode. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from sfu.forwarder.contract import Codec
from sfu.transport.codecs import OfferedCodec, agree
from sfu.transport.description import Section

#: Whatever a browser may send; a viewer that has no seat yet stands in nobody's way.
ALL_VIDEO: frozenset[Codec] = frozenset({"VP8", "H264", "VP9", "AV1"})
#: What recorders read. A recorder receives like anybody else.
RECORDABLE: frozenset[Codec] = frozenset({"VP8", "H264"})


def decodable(decoders: Iterable[frozenset[Codec] | None]) -> frozenset[Codec]:
    """What all receivers decode; one of which nothing is known (None) does not count."""
    return ALL_VIDEO.intersection(*(codecs for codecs in decoders if codecs is not None))


def choose(
    section: Section, codecs: frozenset[Codec], current: OfferedCodec | None
) -> OfferedCodec:
    """The codec for a section that a peer sends: the one it has, if that will do."""
    if section.kind == "audio":
        return section.codecs[0]
    for offered in section.codecs:
        if (
            current is not None
            and offered.codec in codecs
            and (offered.codec, offered.payload_type) == (current.codec, current.payload_type)
        ):
            return offered
    return agree(section.codecs, codecs)


def must_change(section: Section, current: OfferedCodec, codecs: frozenset[Codec]) -> bool:
    """Whether somebody cannot decode a section, and its sender could do otherwise."""
    return current.codec not in codecs and any(c.codec in codecs for c in section.codecs)
