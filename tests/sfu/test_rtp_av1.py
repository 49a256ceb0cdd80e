from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.av1 import (
    FRAME_NUMBER_AT,
    Dependency,
    DependencyReader,
    UnknownTemplateError,
    av1_starts_key_frame,
)
from sfu.rtp.extensions import value
from sfu.rtp.packet import payload_bounds
from sfu.rtp.payload import PayloadFormatError
from sfu.transport.description import DEPENDENCY_URI, parse_offer
from tests import vectors


class Writer:
    """Writes a descriptor bit by bit."""

    def __init__(self) -> None:
        self.bits = ""

    def put(self, number: int, size: int) -> Writer:
        self.bits += f"{number:0{size}b}" if size else ""
        return self

    def mandatory(self, template: int, frame: int) -> Writer:
        return self.put(3, 2).put(template, 6).put(frame, 16)

    def flags(self, **given: bool) -> Writer:
        for name in ("structure", "active", "dtis", "fdiffs", "chains"):
            self.put(given.get(name, False), 1)
        return self

    def structure(
        self, layers: Sequence[int], dtis: Sequence[Sequence[int]], offset: int
    ) -> Writer:
        """`layers` has the next_layer_idc of each template; no differences, chains or sizes."""
        self.put(offset, 6).put(len(dtis[0]) - 1, 5)
        for following in layers:
            self.put(following, 2)
        for row in dtis:
            for indication in row:
                self.put(indication, 2)
        return self.put(0, len(dtis)).put(0, (len(dtis[0]) + 1).bit_length() - 1).put(0, 1)

    def __bytes__(self) -> bytes:
        bits = self.bits + "0" * (-len(self.bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


#: One spatial layer, two temporal ones; target 0 is the lower, target 1 both.
L1T2 = ([1, 3], [[2, 2], [0, 1]])


def key_frame(offset: int = 0, frame: int = 1) -> bytes:
    return bytes(
        Writer().mandatory(offset, frame).flags(structure=True).structure(*L1T2, offset=offset)
    )


def test_structure__is_kept_for_the_packets_after_it() -> None:
    reader = DependencyReader()
    first = reader.read(key_frame(), 0)
    assert first == Dependency(1, 0, 0, True, True, True, (2, 2), True)
    second = reader.read(bytes(Writer().mandatory(1, 2)), 0)
    assert second == Dependency(2, 0, 1, True, True, False, (0, 1), False)


def test_template_ids__wrap_at_64() -> None:
    reader = DependencyReader()
    assert reader.read(key_frame(offset=63), 0).temporal == 0
    assert reader.read(bytes(Writer().mandatory(0, 2)), 0).temporal == 1


def test_frame_number__can_be_rewritten_in_place() -> None:
    data = bytearray(key_frame(frame=0x1234))
    assert data[FRAME_NUMBER_AT : FRAME_NUMBER_AT + 2] == b"\x12\x34"


def test_custom_indications_behind_active_targets__are_read() -> None:
    reader = DependencyReader()
    reader.read(key_frame(), 0)
    written = (
        Writer().mandatory(1, 2).flags(active=True, dtis=True).put(0b01, 2).put(0, 2).put(3, 2)
    )
    assert reader.read(bytes(written), 0).indications == (0, 3)


def test_structure_with_custom_indications__again__the_same() -> None:
    reader = DependencyReader()
    written = Writer().mandatory(0, 1).flags(structure=True, dtis=True)
    written = written.structure(*L1T2, offset=0).put(3, 2).put(1, 2)
    first = reader.read(bytes(written), 0)
    assert (first.key_frame, first.indications) == (True, (3, 1))
    assert reader.read(bytes(written), 0) == first


@pytest.mark.parametrize(
    ("dtis", "highest"), [([[2, 2], [0, 1]], 1), ([[2, 2], [1, 0]], 0), ([[2], [1]], 0)]
)
def test_switches_up__where_the_target_that_needs_the_highest_layers_does(
    dtis: list[list[int]], highest: int
) -> None:
    reader = DependencyReader()
    reader.read(
        bytes(Writer().mandatory(0, 1).flags(structure=True).structure([1, 3], dtis, offset=0)), 0
    )
    for switch, other in ((2, 3), (3, 2)):
        written = Writer().mandatory(0, 2).flags(dtis=True)
        for target in range(len(dtis[0])):
            written.put(switch if target == highest else other, 2)
        assert reader.read(bytes(written), 1).switches_up is (switch == 2)


def test_structure_that_comes_late__the_newer_stays() -> None:
    reader = DependencyReader()
    written = Writer().mandatory(10, 2).flags(structure=True).structure([3], [[2]], offset=10)
    reader.read(key_frame(), 0)
    reader.read(key_frame(offset=20, frame=4), 4)
    late = reader.read(bytes(written), 2)
    assert late == Dependency(2, 0, 0, True, True, True, (2,), True)
    assert reader.read(bytes(Writer().mandatory(21, 5)), 5).temporal == 1
    reader.read(key_frame(offset=30, frame=6), 6)
    assert reader.read(bytes(Writer().mandatory(31, 7)), 7).temporal == 1


def test_structure__the_same_again__is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = DependencyReader()
    reader.read(key_frame(), 0)
    monkeypatch.delattr("sfu.rtp.av1._read_structure")
    for frame in range(2, 500):
        assert reader.read(key_frame(frame=frame), 0).key_frame


def test_structures__another_with_each_packet__are_refused_but_a_few() -> None:
    reader = DependencyReader()
    read = 0
    for frame in range(800):
        with suppress(PayloadFormatError):
            reader.read(key_frame(offset=frame % 64), 0)
            read += 1
    assert 90 < read < 120
    for frame in range(100):
        with suppress(PayloadFormatError):
            reader.read(bytes(Writer().mandatory(0, frame)), 0)
    for offset in range(8):
        assert reader.read(key_frame(offset=offset), 0).key_frame


def test_before_its_structure__format_error_that_tells_the_frame() -> None:
    with pytest.raises(UnknownTemplateError, match="before its structure") as raised:
        DependencyReader().read(bytes(Writer().mandatory(0, 0x1234)), 0)
    assert raised.value.frame_number == 0x1234


def test_unknown_template__format_error_and_the_structure_stays() -> None:
    reader = DependencyReader()
    reader.read(key_frame(), 0)
    with pytest.raises(UnknownTemplateError, match="no template") as raised:
        reader.read(bytes(Writer().mandatory(2, 2)), 0)
    assert raised.value.frame_number == 2
    assert reader.read(bytes(Writer().mandatory(1, 3)), 0).temporal == 1


@pytest.mark.parametrize("size", range(len(key_frame())))
def test_cut_short__format_error_and_nothing_is_kept(size: int) -> None:
    reader = DependencyReader()
    with pytest.raises(PayloadFormatError):
        reader.read(key_frame()[:size], 0)
    with pytest.raises(UnknownTemplateError, match="before its structure"):
        reader.read(bytes(Writer().mandatory(0, 2)), 1)


def test_too_many_layers__format_error() -> None:
    written = Writer().mandatory(0, 1).flags(structure=True).put(0, 6).put(0, 5)
    for _ in range(4):
        written.put(2, 2)
    with pytest.raises(PayloadFormatError, match="too many"):
        DependencyReader().read(bytes(written) + bytes(20), 0)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes__dependency_or_format_error(values: list[bytes]) -> None:
    reader = DependencyReader()
    reader.read(key_frame(), 0)
    for one in values:
        try:
            found = reader.read(one, 0)
        except PayloadFormatError:
            continue
        assert 0 <= found.spatial <= 3
        assert 0 <= found.temporal <= 7


@given(st.binary(min_size=1, max_size=60))
def test_any_structure__dependency_or_format_error(rest: bytes) -> None:
    head = bytes(Writer().mandatory(0, 1)) + bytes((0x80 | rest[0] & 0x7F,)) + rest[1:]
    try:
        assert DependencyReader().read(head, 0).key_frame
    except PayloadFormatError:
        return


def test_aggregation_header__n_bit() -> None:
    assert av1_starts_key_frame(b"\0\x18", 1, 2)
    assert not av1_starts_key_frame(b"\0\x10", 1, 2)
    assert not av1_starts_key_frame(b"\x18", 1, 1)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("chromium-av1-temporal", {(0, 0), (0, 1), (0, 2)}),
        ("chromium-av1-svc", {(0, 0), (0, 1), (1, 0), (1, 1)}),
    ],
)
def test_chromium__descriptors_tell_layers_and_key_frames(
    name: str, layers: set[tuple[int, int]]
) -> None:
    camera = parse_offer(vectors.offer(name)).of_role("camera")
    assert camera is not None
    reader = DependencyReader()
    seen: set[tuple[int, int]] = set()
    open_frame, number = False, 0
    packets = vectors.packets(name)
    for packet in packets:
        if packet[1] & 0x7F != camera.codecs[0].payload_type:
            continue
        descriptor = value(packet, camera.extensions[DEPENDENCY_URI])
        assert descriptor is not None
        found = reader.read(descriptor, 0)
        seen.add((found.spatial, found.temporal))
        assert found.key_frame == av1_starts_key_frame(packet, *payload_bounds(packet))
        # A frame's packets come one after the other, and so do the frames.
        assert found.begins is not open_frame
        assert found.frame_number == number + found.begins
        number, open_frame = found.frame_number, not found.ends
        assert any(found.indications)
    assert seen == layers
