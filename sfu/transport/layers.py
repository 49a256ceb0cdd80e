"""The streams that a section sends: layers by RID (RFC 8851, 8853) or by SSRC (RFC 5576). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from sfu.errors import OfferError
from sfu.transport.sections import Block

#: Three sizes of one picture fit all screens and networks; more would cost the sender's uplink.
MAX_LAYERS = 3
#: Three layers and a repair stream for each, and some that are gone.
_MAX_SSRCS = 16

# RFC 8852 §3.3: letters and digits; 16 bytes is what a one-byte header extension carries.
_RID = re.compile(r"([A-Za-z0-9]{1,16}) send(?: .*)?")
_SSRC = re.compile(r"(\d{1,10}) \S.*")
_SSRC_GROUP = re.compile(r"(FID|FEC-FR|SIM) (\d{1,10}(?: \d{1,10}){1,7})")


class NamedStreams(NamedTuple):
    """The SSRCs that a section names.

    `media` without repair streams, in their order; `layers` as the SIM group has them, lowest
    first, empty without one; `repairs` maps the SSRC of a retransmission stream to the SSRC that
    it repairs.
    """

    media: tuple[int, ...]
    layers: tuple[int, ...]
    repairs: dict[int, int]


def simulcast(block: Block) -> tuple[str, ...]:
    """The RIDs of the encodings that the section offers to send, in its order, lowest first.

    Of alternatives the first is taken; paused ones count. Empty without simulcast. Raises
    `OfferError` when there are more than `MAX_LAYERS`, or one twice.
    """
    value = block.first("simulcast")
    if value is None:
        return ()
    known = {match[1] for match in map(_RID.fullmatch, block.all("rid")) if match is not None}
    words = value.split(" ")
    listed = next((after for word, after in pairwise(words) if word == "send"), "")
    first = (encoding.partition(",")[0].removeprefix("~") for encoding in listed.split(";"))
    # RFC 8853 §5.2: one without its `rid` line is as if it were not there.
    rids = tuple(rid for rid in first if rid in known)
    if len(rids) > MAX_LAYERS or len(set(rids)) != len(rids):
        raise OfferError("bad_simulcast", f"more than {MAX_LAYERS} encodings, or one twice")
    return rids


def named_streams(block: Block) -> NamedStreams:
    """The SSRCs of a section and how they belong together. Raises `OfferError`."""
    layers: tuple[int, ...] = ()
    repairs: dict[int, int] = {}
    others: set[int] = set()
    for semantics, ssrcs in _groups(block):
        if semantics == "SIM":
            layers = layers or ssrcs
        elif semantics == "FID" and len(ssrcs) == 2 and len(repairs) < _MAX_SSRCS:
            repairs[ssrcs[1]] = ssrcs[0]
        else:
            others.update(ssrcs[1:])
    if len(layers) > MAX_LAYERS or len(set(layers)) != len(layers):
        raise OfferError("bad_simulcast", f"more than {MAX_LAYERS} encodings, or one twice")
    media: dict[int, None] = {}
    for value in block.all("ssrc"):
        match = _SSRC.fullmatch(value)
        if match is None or int(match[1]) > 0xFFFFFFFF or len(media) == _MAX_SSRCS:
            continue
        ssrc = int(match[1])
        if ssrc not in repairs and ssrc not in others:
            media[ssrc] = None
    return NamedStreams(tuple(media), layers, repairs)


def _groups(block: Block) -> Iterator[tuple[str, tuple[int, ...]]]:
    for value in block.all("ssrc-group"):
        match = _SSRC_GROUP.fullmatch(value)
        if match is not None:
            ssrcs = tuple(map(int, match[2].split(" ")))
            if max(ssrcs) <= 0xFFFFFFFF:
                yield match[1], ssrcs
