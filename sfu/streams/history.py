"""The ring of a stream's newest packets, from which a NACK is answered (RFC 4585 §6.2.1)."""

from __future__ import annotations

#: The index of a slot that holds nothing: no index of a packet is so far back.
EMPTY = -(1 << 62)


class StreamPacket:
    """A received packet, taken apart for the legs: everything that no leg changes.

    `index` is the unwrapped sequence number, `marker` the marker bit in place (0 or 0x80),
    `level` the audio level byte (RFC 6464 §3) or -1. `payload` has no padding; it is empty when
    the packet carries nothing for a decoder. In a VP8 packet with a picture id or TL0PICIDX,
    `descriptor` is the descriptor's lead (see `sfu.rtp.payload`), otherwise -1; `picture_id` (15
    bit) and `tl0` (8 bit) are -1 when absent; and `payload` starts after them.
    """

    __slots__ = (
        "arrival_ns",
        "descriptor",
        "index",
        "level",
        "marker",
        "payload",
        "picture_id",
        "timestamp",
        "tl0",
    )

    def __init__(self) -> None:
        self.index = EMPTY
        self.timestamp = 0
        self.arrival_ns = 0
        self.marker = 0
        self.level = -1
        self.descriptor = -1
        self.picture_id = -1
        self.tl0 = -1
        self.payload = b""


class History:
    """A ring of `StreamPacket` slots by index; a slot is written over one turn later.

    The slots are made once: taking a packet in makes no object but its payload.
    """

    def __init__(self, size: int) -> None:
        """`size` is a power of two: how far behind the newest packet the ring reaches."""
        if size < 1 or size & (size - 1):
            raise ValueError("the size of a ring is a power of two")
        self.size = size
        self._mask = size - 1
        self._slots = tuple(StreamPacket() for _ in range(size))

    def slot(self, index: int) -> StreamPacket:
        """Where the packet of `index` is or goes; its own `index` tells which."""
        return self._slots[index & self._mask]

    def find(self, index: int) -> StreamPacket | None:
        """The packet of `index`, while the ring has it."""
        slot = self._slots[index & self._mask]
        return slot if slot.index == index else None

    def clear(self) -> None:
        """Forget every packet."""
        for slot in self._slots:
            slot.index = EMPTY
            slot.payload = b""
