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
_ATTACHED = 0x80
#: Reading a structure takes longer than all else of a packet: others than the last are read as long
#: as they are, in the long run, so many packets apart. Encoders have a new one now and then.
_CHANGES_APART, _CHANGES_AT_ONCE = 8, 8

#: Where a descriptor's frame number lies: two bytes, to be rewritten in place when the stream that
#: a receiver is shown changes. A step back would make its decoder drop the frame.
FRAME_NUMBER_AT = 1


class Dependency(NamedTuple):
    """What a descriptor says of its packet and frame.

    `begins` and `ends` are about the frame (one spatial layer of a picture). `indications` has one
    entry for each decode target: 0 not part of it, 1 discardable, 2 switch (whoever takes this
    target may begin here), 3 required. `switches_up`: it is 2 for the target of the highest layers,
    spatial ones first, so a receiver of lower ones may take all from this frame on. `key_frame`: a
    structure is attached, so this is the first packet of a key frame.
    """

    frame_number: int
    spatial: int
    temporal: int
    begins: bool
    ends: bool
    key_frame: bool
    indications: tuple[int, ...]
    switches_up: bool


class UnknownTemplateError(PayloadFormatError):
    """The descriptor is of a structure that was not read; `frame_number` is that of its frame."""

    def __init__(self, message: str, frame_number: int) -> None:
        super().__init__(message)
        self.frame_number = frame_number


@dataclass(frozen=True, slots=True)
class _Structure:
    """The templates: `(spatial, temporal, indications)` each; how many targets there are.

    `highest_target` is the one with the highest layers, spatial ones first.
    """

    offset: int
    templates: tuple[tuple[int, int, tuple[int, ...]], ...]
    target_count: int
    highest_target: int


class DependencyReader:
    """Reads the descriptors of one stream, in the order in which its packets arrive."""

    __slots__ = (
        "_attached",
        "_attached_at",
        "_attached_indications",
        "_charged",
        "_reads",
        "_structure",
    )

    def __init__(self) -> None:
        self._structure: _Structure | None = None
        self._attached_at = 0
        #: What stood behind the mandatory bytes where it was attached; encoders repeat it.
        self._attached = b""
        self._attached_indications: tuple[int, ...] | None = None
        self._reads = 0
        self._charged = -_CHANGES_APART * _CHANGES_AT_ONCE

    def read(self, value: bytes, index: int) -> Dependency:
        """Read the value of the header extension of packet `index` (its unwrapped number).

        A structure that comes late, after a newer one, is that of its own packet only.
        Raises `UnknownTemplateError` when its structure has not been read, `PayloadFormatError`
        when it is malformed or has another structure too often; what was kept stays as it was.
        """
        self._reads += 1
        if len(value) < _MANDATORY_BYTES:
            raise PayloadFormatError("a dependency descriptor is cut short")
        frame_number = value[1] << 8 | value[2]
        structure, custom, attached = self._structure, None, b""
        if len(value) > _MANDATORY_BYTES:
            if value[_MANDATORY_BYTES] & _ATTACHED:
                attached = value[_MANDATORY_BYTES:]
            if attached and attached == self._attached:
                custom = self._attached_indications
            else:
                structure, custom = self._read_extended(value, structure)
        if structure is None:
            raise UnknownTemplateError(
                "a dependency descriptor came before its structure", frame_number
            )
        template = ((value[0] & 0x3F) - structure.offset) % _TEMPLATE_IDS
        if template >= len(structure.templates):
            raise UnknownTemplateError("a dependency descriptor names no template", frame_number)
        spatial, temporal, indications = structure.templates[template]
        if attached and (self._structure is None or index >= self._attached_at):
            self._structure, self._attached_at = structure, index
            self._attached, self._attached_indications = attached, custom
        indications = custom or indications
        return Dependency(
            frame_number,
            spatial,
            temporal,
            value[0] & 0x80 != 0,
            value[0] & 0x40 != 0,
            attached != b"",
            indications,
            indications[structure.highest_target] == _SWITCH,
        )

    def _read_extended(
        self, value: bytes, structure: _Structure | None
    ) -> tuple[_Structure | None, tuple[int, ...] | None]:
        """The structure that holds, and the packet's own indications if it has any."""
        bits = _Bits(value, _MANDATORY_BYTES * 8)
        is_attached, has_active, has_custom = bits.flag(), bits.flag(), bits.flag()
        bits.number(2)  # custom frame differences and chains: only a decoder needs them
        if is_attached:
            self._charge()
            structure = _read_structure(bits)
        if structure is None:
            return None, None
        if has_active:
            bits.number(structure.target_count)  # the targets that are still sent
        if not has_custom:
            return structure, None
        return structure, tuple(bits.number(2) for _ in range(structure.target_count))

    def _charge(self) -> None:
        """Raises `PayloadFormatError` when there was another structure too often."""
        least = self._reads - _CHANGES_APART * _CHANGES_AT_ONCE
        charged = max(self._charged, least) + _CHANGES_APART
        if charged > self._reads:
            raise PayloadFormatError("a dependency structure changes too often")
        self._charged = charged


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
        targets,
        max(range(targets), key=lambda index: _layers_of_target(layers, indications, index)),
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
