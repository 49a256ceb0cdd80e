"""Which layers of a stream one leg forwards: temporal (VP8, VP9, AV1) and spatial (VP9, AV1).

A picture is forwarded or dropped as a whole, and so is each spatial layer of it: limits change
only where a picture begins. That holds for packets that come late, too: they are judged by what
was in force at their place. So whatever a receiver's numbers say, no picture is there in part.
"""

from __future__ import annotations

from collections import deque

from sfu.rtp.packet import MARKER_BIT
from sfu.streams.history import StreamPacket

#: No limit: no codec here has layers above it.
ALL = 7
#: The highest layers (spatial, temporal) that a codec's packets can be of (RFC 7741 §4.2, TID).
HIGHEST = {
    "opus": (0, 0),
    "H264": (0, 0),
    "VP8": (0, 3),
    "VP9": (ALL, ALL),
    "AV1": (ALL, ALL),
}
#: Changes that are remembered for late packets; more in two seconds is flapping.
_MAX_CHANGES = 32


class LayerFilter:
    """The limits of one leg: `want` sets them, `admits` is asked for each packet of the stream.

    Lower limits come into force at the next picture. Higher temporal limits do where the stream
    allows to switch up, which is one layer at a time in VP8 (RFC 7741 §4.2, Y) and at once in VP9
    (RFC 9628 §4.2, U) and AV1; higher spatial ones at a key frame. `is_open` says that nothing is
    dropped and nothing will be.
    """

    __slots__ = (
        "_changes",
        "_dropped_time",
        "_highest",
        "_spatial",
        "_temporal",
        "_wanted_spatial",
        "_wanted_temporal",
        "is_open",
    )

    def __init__(self) -> None:
        self._spatial = self._temporal = self._wanted_spatial = self._wanted_temporal = ALL
        #: (index, spatial, temporal): limits that were in force before the packet of `index`.
        self._changes: deque[tuple[int, int, int]] = deque(maxlen=_MAX_CHANGES)
        #: The timestamp of the newest packet, when it was dropped.
        self._dropped_time = -1
        self._highest = (ALL, ALL)
        self.is_open = True

    @property
    def waits(self) -> bool:
        """Whether more spatial layers are wanted than are in force, and can be: at a key frame."""
        return min(self._wanted_spatial, self._highest[0]) > self._spatial

    def want(self, spatial: int, temporal: int) -> None:
        """The highest layers to forward, from 0."""
        self._wanted_spatial = max(0, min(spatial, ALL))
        self._wanted_temporal = max(0, min(temporal, ALL))
        self._look()

    def start(self, highest: tuple[int, int] = (ALL, ALL)) -> None:
        """Another stream begins, with a key frame: what is wanted is in force at once.

        `highest` are the highest layers (spatial, temporal) that it can have.
        """
        self._highest = highest
        self._spatial, self._temporal = self._wanted_spatial, self._wanted_temporal
        self._changes.clear()
        self._dropped_time = -1
        self._look()

    def admits(self, packet: StreamPacket) -> bool:
        """Whether to forward `packet`, the newest of the stream."""
        if packet.begins and (
            self._spatial != self._wanted_spatial or self._temporal != self._wanted_temporal
        ):
            self._step(packet)
        return packet.temporal <= self._temporal and packet.spatial <= self._spatial

    def admits_late(self, packet: StreamPacket) -> bool:
        """Whether to forward a packet that came late, or again: by the limits of its place."""
        spatial, temporal = self._in_force(packet.index)
        return packet.temporal <= temporal and packet.spatial <= spatial

    def mark(self, packet: StreamPacket) -> int:
        """The marker bit of a packet that ends its picture because the layers above are dropped."""
        if packet.ends:
            spatial = self._in_force(packet.index)[0]
            # Without a limit nothing is above, whatever number a sender gives its layers.
            if packet.spatial == spatial and spatial < ALL:
                return MARKER_BIT
        return 0

    def drops(self, packet: StreamPacket, step: int) -> int:
        """Note that `packet`, the newest, is dropped; the first index that is dropped with it.

        What was lost between two dropped packets of one picture would have been dropped too: it
        must leave no hole, for nobody will ever fill it. `step` is how far the packet's index is
        from the one before it.
        """
        together = packet.timestamp == self._dropped_time
        self._dropped_time = packet.timestamp
        return packet.index - step + 1 if together else packet.index

    def forwards(self) -> None:
        """Note that the newest packet is forwarded."""
        self._dropped_time = -1

    def _in_force(self, index: int) -> tuple[int, int]:
        for before, spatial, temporal in self._changes:
            if index < before:
                return spatial, temporal
        return self._spatial, self._temporal

    def _step(self, packet: StreamPacket) -> None:
        spatial, temporal = self._spatial, self._temporal
        wanted = self._wanted_temporal
        if packet.key_frame:
            self._spatial, self._temporal = self._wanted_spatial, wanted
        else:
            self._spatial = min(spatial, self._wanted_spatial)
            if wanted <= temporal:
                self._temporal = wanted
            elif temporal >= packet.switch_from:
                self._temporal = max(temporal, min(wanted, packet.switch_to))
        if (spatial, temporal) != (self._spatial, self._temporal):
            self._changes.append((packet.index, spatial, temporal))
            self._look()

    def _look(self) -> None:
        spatial, temporal = self._highest
        self.is_open = (
            min(self._spatial, self._wanted_spatial) >= spatial
            and min(self._temporal, self._wanted_temporal) >= temporal
        )
