"""The constant part of a leg's RTP headers, so that one call writes a whole header.

What changes from packet to packet stands at fixed places: the audio level (RFC 6464) right after
the extension's preamble, the transport-wide sequence number in its last two bytes.
"""

from __future__ import annotations

import struct

from sfu.rtp.extensions import ONE_BYTE_PROFILE, extension_block
from sfu.rtp.packet import EXTENSION_BIT, VERSION_BITS

STAMP_BYTES = 2


class LegHeader:
    """The header of one leg's packets: SSRC and extension, and how to pack them.

    `pack(lead, sequence, time, head, tail)` gives a header: `lead` is the first two bytes, `tail`
    the last two, which are the stamp of a leg that is `stamped` and else `tail`. `pack_vp8` goes
    on with a descriptor (16, 16 and 8 bit), `pack_vp9` too (8, 16, 8 and 8 bit). `pack_level` is
    ``(lead, sequence, time, level_head, level, level_middle, tail)``, with `level_lead` and
    `level_tail`. Leads are without marker and payload type.
    """

    __slots__ = (
        "dependency_id",
        "extensions",
        "head",
        "lead",
        "level_head",
        "level_lead",
        "level_middle",
        "level_tail",
        "levels",
        "pack",
        "pack_level",
        "pack_vp8",
        "pack_vp9",
        "ssrc",
        "stamped",
        "tail",
        "transport_cc_id",
    )

    def __init__(
        self,
        ssrc: int,
        *,
        mid: str = "",
        mid_id: int = 0,
        audio_level_id: int = 0,
        dependency_id: int = 0,
        transport_cc_id: int = 0,
    ) -> None:
        """The ids are the receiver's (RFC 8285), 0 for an extension that it does not take."""
        self.ssrc = ssrc.to_bytes(4, "big")
        self.transport_cc_id = transport_cc_id
        self.dependency_id = dependency_id
        self.stamped = transport_cc_id != 0
        self.levels = audio_level_id != 0
        self.extensions = [(mid_id, mid.encode())] if mid_id else []
        stamp = [(transport_cc_id, bytes(STAMP_BYTES))] if transport_cc_id else []
        block = extension_block([*self.extensions, *stamp])
        self.lead = (VERSION_BITS | (EXTENSION_BIT if block else 0)) << 8
        self.head, self.tail = _cut(self.ssrc + block)
        form = f"!HHI{len(self.head)}sH"
        self.pack = struct.Struct(form).pack
        self.pack_vp8 = struct.Struct(form + "HHB").pack
        self.pack_vp9 = struct.Struct(form + "BHBB").pack
        self.level_lead = (VERSION_BITS | EXTENSION_BIT) << 8
        before, after = _level_block(audio_level_id, [*self.extensions, *stamp])
        self.level_head = self.ssrc + before
        self.level_middle, self.level_tail = _cut(after)
        self.pack_level = struct.Struct(
            f"!HHI{len(self.level_head)}sB{len(self.level_middle)}sH"
        ).pack

    def with_dependency(self, descriptor: bytes, stamp: int) -> bytes:
        """SSRC and extension with an AV1 dependency descriptor of any size."""
        items = [*self.extensions, (self.dependency_id, descriptor)]
        if self.stamped:
            items.append((self.transport_cc_id, stamp.to_bytes(STAMP_BYTES, "big")))
        return self.ssrc + extension_block(items)


def _cut(block: bytes) -> tuple[bytes, int]:
    return block[:-STAMP_BYTES], int.from_bytes(block[-STAMP_BYTES:], "big")


def _level_block(audio_level_id: int, others: list[tuple[int, bytes]]) -> tuple[bytes, bytes]:
    """The extension before and after the level; at least two bytes come after it."""
    if not audio_level_id:
        return b"", bytes(STAMP_BYTES)
    block = extension_block([(audio_level_id, b"\0"), *others])
    if not others:
        # The level stands at the end; padding (RFC 8285 §4.1) goes behind it instead.
        body = block[4:].lstrip(b"\0") + bytes(STAMP_BYTES)
        body += bytes(-len(body) % 4)
        block = block[:2] + (len(body) // 4).to_bytes(2, "big") + body
    one_byte = block[:2] == ONE_BYTE_PROFILE.to_bytes(2, "big")
    at = 4 + (1 if one_byte else 2)
    return block[:at], block[at + 1 :]
