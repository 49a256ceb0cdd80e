"""Cutting a session description (RFC 8866) into the lines of the session and of each section."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sfu.errors import OfferError

#: Chromium's offer with 16 seats and all codecs that it knows has 101 KiB.
MAX_OFFER_BYTES = 112 * 1024
#: Three sent sections and 16 pairs are 35; the rest is room for sections that were stopped.
MAX_SECTIONS = 64

_M_LINE = re.compile(r"(audio|video|application|text|image|message) (\d{1,5}) ([A-Z/]{3,32}) (.+)")
_FORMAT = re.compile(r"[A-Za-z0-9._+-]{1,32}( [A-Za-z0-9._+-]{1,32}){0,127}")


@dataclass(slots=True)
class Block:
    """The lines of the session or of one section, by attribute name."""

    media: str = ""
    port: int = 0
    protocol: str = ""
    formats: str = ""
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def all(self, name: str) -> list[str]:
        """The values of an attribute, in their order; empty for a flag."""
        return self.attributes.get(name, [])

    def first(self, name: str) -> str | None:
        """The first value of an attribute."""
        values = self.attributes.get(name)
        return values[0] if values else None


def split(sdp: str) -> tuple[Block, list[Block]]:
    """The session's block and the sections'. Raises `OfferError`.

    Candidates are read by nobody: we are ICE-lite, and the client's checks come to us.
    """
    if len(sdp) > MAX_OFFER_BYTES:  # each character is at least one byte
        raise OfferError("too_large", f"more than {MAX_OFFER_BYTES} bytes")
    if not sdp.startswith("v=0") or not sdp.isascii():
        raise OfferError("not_sdp", "the text is not a session description")
    session = Block()
    blocks: list[Block] = []
    block = session
    for line in sdp.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            if len(blocks) == MAX_SECTIONS:
                raise OfferError("too_many_sections", f"more than {MAX_SECTIONS} sections")
            block = _media_block(line[2:])
            blocks.append(block)
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            block.attributes.setdefault(name, []).append(value)
        elif line and (len(line) < 2 or line[1] != "="):
            raise OfferError("not_sdp", "a line is not of the form x=...")
    if not blocks:
        raise OfferError("no_sections", "there are no media sections")
    return session, blocks


def _media_block(text: str) -> Block:
    match = _M_LINE.fullmatch(text)
    if match is None or not _FORMAT.fullmatch(match[4]):
        raise OfferError("not_sdp", "a media line is malformed")
    return Block(match[1], int(match[2]), match[3], match[4])
