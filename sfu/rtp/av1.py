"""AV1: the dependency descriptor (AV1 RTP specification, appendix A) and the aggregation header.

The descriptor is a header extension. It says of each packet which frame and layer it belongs to,
and for each decode target (a choice of layers) whether the frame is needed. What the frames have
in common is sent with key frames only, so a reader keeps it: one `DependencyReader` a stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sfu.rtp.payload import PayloadFormatError

#: §4.4: the N bit of the aggregation header, set on the first packet of a coded video sequence.
_NEW_SEQUENCE = 0x08
_MANDATORY_BYTES = 3
_TEMPLATE_IDS = 64
_MAX_SPATIAL, _MAX_TEMPORAL = 3, 7
_SAME_LAYER, _NEXT_TEMPORAL, _NEXT_SPATIAL = 0, 1, 2
_ABSENT, _SWITCH = 0, 2

#: Where a descriptor's frame number lies: two bytes, to be rewritten in place when the stream that
#: a receiver is shown changes. A step back would make its decoder drop the frame.
FRAME_NUMBER_AT = 1


class Dependency(NamedTuple):
    """What a descriptor says of its packet and frame.

    `begins` and `ends` are about the frame (one spatial layer of a picture). `indications` has one
    entry for each decode target: 0 not part of it, 1 discardable, 2 switch (whoever takes this
    target may begin here), 3 required. `active` has a bit for each decode target that is still
    sent, None when the descriptor does not say. `key_frame`: a structure is attached, so this is
    the first packet of a key frame.
    """

    frame_number: int
    spatial: int
    temporal: int
    begins: bool
    ends: bool
    key_frame: bool
    indications: tuple[int, ...]
    active: int | None


@dataclass(frozen=True, slots=True)
class _Structure:
    """The templates: `(spatial, temporal, indications)` each; and the layers of the targets."""

    offset: int
    templates: tuple[tuple[int, int, tuple[int, ...]], ...]
    targets: tuple[tuple[int, int], ...]


class DependencyReader:
    """Reads the descriptors of one stream, in the order in which its packets arrive."""

    __slots__ = ("_structure",)

    def __init__(self) -> None:
        self._structure: _Structure | None = None

    def read(self, value: bytes) -> Dependency:
        """Read the value of the header extension.

        Raises `PayloadFormatError` when it is malformed, or when the key frame with its structure
        has not been read yet; what was kept stays as it was.
        """
        if len(value) < _MANDATORY_BYTES:
            raise PayloadFormatError("a dependency descriptor is cut short")
        structure = self._structure
        attached, active, custom, bits = False, None, False, None
        if len(value) > _MANDATORY_BYTES:
            bits = _Bits(value, _MANDATORY_BYTES * 8)
            attached, has_active = bits.flag(), bits.flag()
            custom = bits.flag()
            bits.number(2)  # custom frame differences and chains: only a decoder needs them
            if attached:
                structure = _read_structure(bits)
                active = (1 << len(structure.targets)) - 1
            if has_active and structure is not None:
                active = bits.number(len(structure.targets))
        if structure is None:
            raise PayloadFormatError("a dependency descriptor came before its structure")
        index = ((value[0] & 0x3F) - structure.offset) % _TEMPLATE_IDS
        if index >= len(structure.templates):
            raise PayloadFormatError("a dependency descriptor names no template")
        spatial, temporal, indications = structure.templates[index]
        if custom and bits is not None:
            indications = tuple(bits.number(2) for _ in structure.targets)
        self._structure = structure
        return Dependency(
            value[1] << 8 | value[2],
            spatial,
            temporal,
            value[0] & 0x80 != 0,
            value[0] & 0x40 != 0,
            attached,
            indications,
            active,
        )

    def target(self, spatial: int, temporal: int) -> int:
        """The decode target with the highest layers within these limits, -1 for none.

        Spatial layers count before temporal ones. A frame is to be forwarded to whoever takes the
        target when its `indications` has anything but 0 there.
        """
        best, layers = -1, (-1, -1)
        for index, target in enumerate(self._structure.targets if self._structure else ()):
            if layers < target and target[0] <= spatial and target[1] <= temporal:
                best, layers = index, target
        return best


def may_switch_up(dependency: Dependency, target: int) -> bool:
    """Whether a receiver of lower layers may take `target` from this frame on."""
    return dependency.indications[target] == _SWITCH


def av1_starts_key_frame(packet: bytes, start: int, end: int) -> bool:
    """Whether a coded video sequence begins here, by the aggregation header (§4.4)."""
    return start < end and packet[start] & _NEW_SEQUENCE != 0


class _Bits:
    """Reads unsigned numbers of bits, the highest first."""

    __slots__ = ("_left", "_value")

    def __init__(self, value: bytes, skip: int) -> None:
        self._value = int.from_bytes(value, "big")
        self._left = len(value) * 8 - skip

    def number(self, size: int) -> int:
        self._left -= size
        if self._left < 0:
            raise PayloadFormatError("a dependency descriptor is cut short")
        return self._value >> self._left & ((1 << size) - 1)

    def flag(self) -> bool:
        return self.number(1) != 0

    def below(self, count: int) -> int:
        """A number below `count`, in the form ns(n): the lower ones take a bit less."""
        width = count.bit_length()
        short = (1 << width) - count
        found = self.number(width - 1)
        if found < short:
            return found
        return (found << 1) - short + self.number(1)


def _read_structure(bits: _Bits) -> _Structure:
    offset = bits.number(6)
    targets = bits.number(5) + 1
    layers = _read_layers(bits)
    indications = [tuple(bits.number(2) for _ in range(targets)) for _ in layers]
    for _ in layers:  # the frames that each depends on: only a decoder needs them
        while bits.flag():
            bits.number(4)
    chains = bits.below(targets + 1)
    if chains:
        for _ in range(targets):
            bits.below(chains)
        bits.number(4 * chains * len(layers))
    if bits.flag():
        bits.number(32 * (layers[-1][0] + 1))  # the size in which each spatial layer is shown
    return _Structure(
        offset,
        tuple((*layer, needs) for layer, needs in zip(layers, indications, strict=True)),
        tuple(_layers_of_target(layers, indications, index) for index in range(targets)),
    )


def _read_layers(bits: _Bits) -> list[tuple[int, int]]:
    """The (spatial, temporal) layer of each template."""
    layers = [(0, 0)]
    while True:
        following = bits.number(2)
        spatial, temporal = layers[-1]
        if following == _NEXT_TEMPORAL:
            temporal += 1
        elif following == _NEXT_SPATIAL:
            spatial, temporal = spatial + 1, 0
        elif following != _SAME_LAYER:
            return layers
        if spatial > _MAX_SPATIAL or temporal > _MAX_TEMPORAL or len(layers) == _TEMPLATE_IDS:
            raise PayloadFormatError("a dependency structure has too many layers or templates")
        layers.append((spatial, temporal))


def _layers_of_target(
    layers: list[tuple[int, int]], indications: list[tuple[int, ...]], target: int
) -> tuple[int, int]:
    """The highest layers of the frames that a target needs (A.8.3, decode_target_layers)."""
    needed = [
        layer for layer, needs in zip(layers, indications, strict=True) if needs[target] != _ABSENT
    ]
    if not needed:
        return 0, 0
    return max(spatial for spatial, _ in needed), max(temporal for _, temporal in needed)
