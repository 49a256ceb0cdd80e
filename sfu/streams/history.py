"""The ring of a stream's newest packets, from which a NACK is answered (RFC 4585 §6.2.1)."""

from __future__ import annotations

#: The index of a slot that holds nothing: no index of a packet is so far back.
EMPTY = -(1 << 62)
#: `StreamPacket.switch_from` where nobody may take a higher temporal layer.
NO_SWITCH = 99


class StreamPacket:
    """A received packet, taken apart for the legs: everything that no leg changes.

    `index` is the unwrapped sequence number, `marker` the marker bit in place (0 or 0x80),
    `level` the audio level byte (RFC 6464 §3) or -1. `payload` has no padding; it is empty when
    the packet carries nothing for a decoder.

    `descriptor` is -1 unless the payload begins with numbers that a leg rewrites; `payload` then
    starts after them. VP8: the descriptor's lead (see `sfu.rtp.payload`). VP9 with a long picture
    id: its first byte; `fourth` and `fifth` are those bytes of the descriptor. `picture_id` (15
    bit; AV1: the frame number, 16 bit) and `tl0` (8 bit) are -1 when absent. `dependency` is the
    AV1 dependency descriptor or empty.

    `spatial` and `temporal` count layers from 0; `begins` is set on the first packet of a picture,
    `ends` on the last of a spatial layer's frame, `key_frame` where a key frame begins. Whoever
    takes temporal layers up to `switch_from` or higher may take those up to `switch_to` from this
    packet on.
    """

    __slots__ = (
        "arrival_ns",
        "begins",
        "dependency",
        "descriptor",
        "ends",
        "fifth",
        "fourth",
        "index",
        "key_frame",
        "level",
        "marker",
        "payload",
        "picture_id",
        "spatial",
        "switch_from",
        "switch_to",
        "temporal",
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
        self.fourth = self.fifth = 0
        self.dependency = b""
        self.payload = b""
        self.spatial = self.temporal = 0
        self.begins = self.ends = self.key_frame = False
        self.switch_from = NO_SWITCH
        self.switch_to = 0


class History:
    """A ring of `StreamPacket` slots by index, as long as packets of `keep_ns` need.

    It begins with `size` slots and doubles, up to `max_size`, when a packet would be written over
    that is younger than `keep_ns`. Taking a packet in makes no object but its payload.
    """

    def __init__(self, size: int, max_size: int, keep_ns: int) -> None:
        """Sizes are powers of two: how far behind the newest packet the ring reaches."""
        if size < 1 or size & (size - 1) or max_size & (max_size - 1):
            raise ValueError("the size of a ring is a power of two")
        self.size = size
        self.keep_ns = keep_ns
        self._max_size = max_size
        self._mask = size - 1
        self._slots = [StreamPacket() for _ in range(size)]

    def slot(self, index: int, now_ns: int) -> StreamPacket:
        """Where the packet of `index` is or goes; its own `index` tells which."""
        slot = self._slots[index & self._mask]
        if slot.arrival_ns > now_ns - self.keep_ns and slot.index < index:
            return self._roomier(slot, index)
        return slot

    def at(self, index: int) -> StreamPacket:
        """The slot of `index`, for reading."""
        return self._slots[index & self._mask]

    def find(self, index: int, now_ns: int) -> StreamPacket | None:
        """The packet of `index`, while the ring has it and it is not older than `keep_ns`."""
        slot = self._slots[index & self._mask]
        if slot.index == index and slot.arrival_ns >= now_ns - self.keep_ns:
            return slot
        return None

    def clear(self) -> None:
        """Forget every packet."""
        for slot in self._slots:
            slot.index = EMPTY
            slot.arrival_ns = 0
            slot.payload = slot.dependency = b""

    def release(self, now_ns: int) -> None:
        """Let go of what `find` gives no more; which packets were there is kept."""
        oldest_ns = now_ns - self.keep_ns
        for slot in self._slots:
            if slot.arrival_ns < oldest_ns:
                slot.payload = slot.dependency = b""

    def _roomier(self, slot: StreamPacket, index: int) -> StreamPacket:
        # A leap to another index is no reason to grow: the slot's packet is of another time.
        while self.size < self._max_size and index - slot.index < self._max_size:
            self._grow()
            slot = self._slots[index & self._mask]
            if not slot.arrival_ns:
                break
        return slot

    def _grow(self) -> None:
        self.size *= 2
        self._mask = self.size - 1
        kept = {slot.index & self._mask: slot for slot in self._slots if slot.index != EMPTY}
        self._slots = [kept.get(at) or StreamPacket() for at in range(self.size)]
        for at, slot in kept.items():
            # What was there before the kept one may have gone out: it is not taken again.
            self._slots[at ^ self.size >> 1].index = slot.index - (self.size >> 1)
