from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from sfu.forwarder.contract import LegSpec
from sfu.rtp.extensions import extension_block, value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.payload import parse_vp8
from sfu.rtp.vp9 import Vp9Descriptor, parse_vp9
from tests.sfu.forwarding import (
    DEPENDENCY_IN,
    DEPENDENCY_OUT,
    MID_OUT,
    TRANSPORT_CC_OUT,
    VP8_PT,
    Stage,
    again,
    layered,
    numbers,
    video,
)

#: The temporal layers of VP8 in groups of four pictures.
PATTERN = (0, 2, 1, 2)


def picture_ids(packets: list[RtpPacket]) -> list[int]:
    return [parse_vp8(p.payload, 0, len(p.payload)).picture_id for p in packets]


@pytest.mark.parametrize(
    ("temporal", "expected"), [(0, [0, 4, 8]), (1, [0, 2, 4, 6, 8, 10]), (2, list(range(12)))]
)
def test_vp8__limit__drops_layers_without_a_hole(temporal: int, expected: list[int]) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    stage.engine.limit(leg, 7, temporal)
    for number in range(12):
        sender.send(layered(number, PATTERN[number % 4], key=number == 0))
    received = receiver.received()
    assert numbers(received) == expected
    assert [p.sequence - received[0].sequence for p in received] == list(range(len(received)))
    assert [p - picture_ids(received)[0] for p in picture_ids(received)] == list(
        range(len(received))
    )


@pytest.mark.parametrize("jump", [3_500, 20_000])
def test_vp8__sender_leaps_inside_a_dropped_picture__no_hole_and_no_step_back(jump: int) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    stage.engine.limit(leg, 7, 0)
    for number in range(40):
        sender.send(layered(number, key=number == 0))
    for number in (40, 40 + jump):
        sender.send(layered(number, 1, picture_id=40))
    for number in range(41, 48):
        sender.send(layered(number + jump, picture_id=number))
    received = receiver.received()
    assert [p.sequence - received[0].sequence for p in received] == list(range(47))


def test_vp8__raised__where_the_layer_syncs_one_at_a_time() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    stage.engine.limit(leg, 7, 0)
    sender.send(layered(0, key=True))
    sender.send(layered(1, 1, sync=True))
    stage.engine.limit(leg, 7, 7)
    for number, temporal, sync in ((2, 2, True), (3, 1, False), (4, 1, True), (5, 2, False)):
        sender.send(layered(number, temporal, sync=sync))
    for number, temporal, sync in ((6, 1, False), (7, 2, True), (8, 2, False), (9, 0, False)):
        sender.send(layered(number, temporal, sync=sync))
    received = receiver.received()
    assert numbers(received) == [0, 4, 6, 7, 8, 9]
    assert [p.sequence - received[0].sequence for p in received] == list(range(6))


def test_vp8__limit_changes_inside_a_picture__from_the_next_picture_on() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    sender.send(layered(0, key=True))
    sender.send(layered(1, 2, picture_id=1, ends=False))
    stage.engine.limit(leg, 7, 0)
    rest = layered(2, 2, picture_id=1)
    lead = bytes((rest.payload[0] & 0xEF,))  # not the start of a partition
    sender.send(dataclasses.replace(rest, payload=lead + rest.payload[1:]))
    sender.send(layered(3, 2, picture_id=2))
    assert numbers(receiver.received()) == [0, 1, 2]


def test_vp8__lost_inside_a_dropped_picture__no_hole_and_not_sent_when_it_comes() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    stage.engine.limit(leg, 7, 0)
    sender.send(layered(0, key=True))
    for sequence in (1, 3):
        sender.send(layered(sequence, 2, picture_id=1))
    sender.send(layered(4, picture_id=2))
    sender.send(layered(2, 2, picture_id=1))
    received = receiver.received()
    assert numbers(received) == [0, 4]
    assert received[1].sequence == received[0].sequence + 1
    asked = [received[0].sequence + number for number in range(-1, 3)]
    assert len(stage.engine.resend(leg, asked, stage.now_ns)) == 2


def test_vp8__lost_of_unknown_layer__kept_open_and_filled_only_by_a_layer_that_is_taken() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    stage.engine.limit(leg, 7, 1)
    sender.send(layered(0, key=True))
    sender.send(layered(3))
    sender.send(layered(2, 1))
    sender.send(layered(1, 2))
    received = receiver.received()
    assert numbers(received) == [0, 3, 2]
    assert [packet.sequence - received[0].sequence for packet in received] == [0, 3, 2]
    assert stage.engine.resend(leg, [received[0].sequence + 1], stage.now_ns) == []


def test_limit__all_again__costs_nothing_and_old_packets_are_judged_by_the_old_limit() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    stage.engine.limit(leg, 7, 0)
    sender.send(layered(0, key=True))
    sender.send(layered(2))
    stage.engine.limit(leg, 7, 7)
    sender.send(layered(3, key=True))
    sender.send(layered(4, 2))
    sender.send(layered(1, 2))
    assert numbers(receiver.received()) == [0, 2, 3, 4]


def test_layer_bytes__by_temporal_layer() -> None:
    stage = Stage()
    sender = stage.party()
    stream = sender.adds_modern(1)
    packets = [layered(number, PATTERN[number % 4], key=number == 0) for number in range(4)]
    for packet in packets:
        sender.send(packet)
    sizes = [len(packet.payload) for packet in packets]
    assert stage.engine.carried(stream)[1] == [
        sizes[0], sizes[2], sizes[1] + sizes[3], *[0] * 13
    ]  # fmt: skip


# ------------------------------------------------------------------------- VP9


def vp9(
    sequence: int,
    picture: int,
    spatial: int,
    *,
    temporal: int = 0,
    key: bool = False,
    up: bool = False,
    top: int = 2,
    flexible: bool = False,
) -> RtpPacket:
    """One spatial layer of a picture, in one packet; the last has the marker."""
    first = 0x80 | 0x20 | 0x08 | 0x04 | (0 if key else 0x40) | (0x10 if flexible else 0)
    layers = temporal << 5 | up << 4 | spatial << 1 | (key and spatial > 0)
    tail = b"\x02" if flexible and not key else b"" if flexible else bytes((picture & 0xFF,))
    payload = bytes((first, 0x80 | picture >> 8, picture & 0xFF, layers)) + tail
    return RtpPacket(
        VP8_PT, sequence, picture * 3000, 1, payload + b"vp9 %d" % sequence, spatial == top
    )


def read_vp9(packet: RtpPacket) -> Vp9Descriptor:
    return parse_vp9(packet.payload, 0, len(packet.payload))


@pytest.mark.parametrize("flexible", [False, True])
def test_vp9__spatial_limit__top_layer_gets_the_marker(flexible: bool) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1, "VP9"))
    stage.engine.limit(leg, 1, 7)
    for number in range(9):
        sender.send(vp9(number, number // 3, number % 3, key=number < 3, flexible=flexible))
    received = receiver.received()
    found = [read_vp9(packet) for packet in received]
    assert [(d.picture_id, d.spatial) for d in found] == [
        (p, s) for p in range(3) for s in range(2)
    ]
    assert [packet.marker for packet in received] == [False, True] * 3
    assert [packet.sequence - received[0].sequence for packet in received] == list(range(6))
    assert len(stage.engine.resend(leg, [received[1].sequence], stage.now_ns)) == 1
    [repeated] = receiver.received()
    assert (repeated.marker, repeated.payload[2:]) == (True, received[1].payload)


def test_vp9__layer_of_the_highest_number_there_is__repeated_as_it_went_out() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    spec = LegSpec(receiver.transport, 900, "video", {"VP9": 103}, "seat0", MID_OUT)
    leg = stage.engine.add_leg(spec)
    stage.engine.select(leg, sender.adds_modern(1, "VP9"))
    sender.send(vp9(0, 0, 0, key=True))
    sender.send(vp9(1, 0, 7))
    first = receiver.datagrams()
    sequences = [int.from_bytes(data[2:4], "big") for data in first]
    assert len(stage.engine.resend(leg, sequences, stage.now_ns)) == 2
    assert receiver.datagrams() == first


def test_vp9__spatial_limit_raised__at_a_key_picture() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1, "VP9"))
    stage.engine.limit(leg, 0, 7)
    for picture in range(4):
        if picture == 1:
            stage.engine.limit(leg, 7, 7)
        for spatial in range(3):
            sender.send(vp9(picture * 3 + spatial, picture, spatial, key=picture in (0, 3)))
    found = [(d.picture_id, d.spatial) for d in map(read_vp9, receiver.received())]
    assert found == [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]


def test_vp9__spatial_limit_raised__key_pictures_first_packet_comes_late() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1, "VP9"))
    stage.engine.limit(leg, 0, 7)
    for picture in range(6):
        if picture == 2:
            stage.engine.limit(leg, 7, 7)
        for spatial in range(3):
            number = picture * 3 + spatial
            if number != 9:
                sender.send(vp9(number, picture, spatial, key=picture in (0, 3)))
        if picture == 4:
            sender.send(again(vp9(9, 3, 0, key=True), 500))
    received = receiver.received()
    found = [read_vp9(packet) for packet in received]
    assert [d.spatial for d in found] == [0, 0, 0, 0, *[0, 1, 2] * 3]
    assert [d.key_frame for d in found] == [True, *[False] * 3, True, *[False] * 8]
    assert [d.picture_id for d in found[4:]] == [n for n in (5, 6, 7) for _ in range(3)]
    # The hole stays where the key picture would have been: it was sent behind it.
    steps = [packet.sequence - received[0].sequence for packet in received]
    assert steps == [0, 1, 2, 4, *range(5, 14)]
    assert all(a.timestamp <= b.timestamp for a, b in pairwise(received))


def test_vp9__temporal_limit__picture_ids_stay_and_up_at_a_switching_point() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1, "VP9"))
    stage.engine.limit(leg, 7, 0)
    for number in range(8):
        if number == 3:
            stage.engine.limit(leg, 7, 2)
        packet = vp9(
            number, number, 0, temporal=PATTERN[number % 4], key=number == 0, up=number == 4, top=0
        )
        sender.send(packet)
    received = receiver.received()
    assert [read_vp9(packet).picture_id for packet in received] == [0, 4, 5, 6, 7]
    assert [packet.sequence - received[0].sequence for packet in received] == list(range(5))


def test_vp9__switch__picture_id_and_tl0_go_on() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds_modern(1, "VP9"), sender.adds_modern(5, "VP9")
    leg = receiver.sees_modern(old)
    sender.send(vp9(0, 700, 0, key=True, top=0))
    stage.engine.select(leg, new)
    sender.send(dataclasses.replace(vp9(9, 40, 0, key=True, top=0), ssrc=5))
    sender.send(dataclasses.replace(vp9(10, 41, 0, top=0), ssrc=5))
    found = [read_vp9(packet) for packet in receiver.received()]
    assert [d.picture_id for d in found] == [700, 701, 702]
    assert [d.tl0 for d in found] == [700 & 0xFF, 701 & 0xFF, 702 & 0xFF]


# ------------------------------------------------------------------------- AV1

#: One spatial and two temporal layers, two decode targets; see the AV1 RTP specification, A.8.2.
#: Bits after the template offset: targets 2; template 1 next temporal; indications per target.
STRUCTURE_BITS = (
    "00001"  # decode targets less one
    "01" "11"  # the second template is of the next temporal layer; no more
    "1010" "0001"  # T0: switch for both; T1: absent for the first, discardable for the second
    "0" "10000" "0"  # T0 depends on nothing; T1 on the frame one before
    "00"  # no chains
    "0"  # no sizes
)  # fmt: skip


def dependency(frame: int, template: int, *, key: bool = False, offset: int = 0) -> bytes:
    value = bytes((0xC0 | offset + template,)) + frame.to_bytes(2, "big")
    if not key:
        return value
    # Structure attached; no active targets, custom indications, differences or chains.
    bits = f"10000{offset:06b}" + STRUCTURE_BITS
    bits += "0" * (-len(bits) % 8)
    return value + int(bits, 2).to_bytes(len(bits) // 8, "big")


def av1(
    sequence: int, frame: int, template: int = 0, *, key: bool = False, offset: int = 0
) -> RtpPacket:
    descriptor = dependency(frame, template, key=key, offset=offset)
    extension = extension_block([(DEPENDENCY_IN, descriptor)])[4:]
    lead = b"\x18" if key else b"\x10"
    return RtpPacket(
        VP8_PT, sequence, sequence * 3000, 1, lead + b"%d" % sequence, True, (), 0xBEDE, extension
    )


def frames(packets: list[RtpPacket]) -> list[int]:
    found = [value(bytes(packet), DEPENDENCY_OUT) for packet in packets]
    return [int.from_bytes(each[1:3], "big") for each in found if each is not None]


def test_av1__descriptor_is_carried_over_with_the_other_extensions() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1, "AV1"))
    sent = [av1(0, 7, key=True), av1(1, 8, 1), av1(2, 9)]
    for packet in sent:
        sender.send(packet)
    received = receiver.received()
    assert [packet.payload for packet in received] == [packet.payload for packet in sent]
    assert frames(received) == [7, 8, 9]
    assert value(bytes(received[0]), DEPENDENCY_OUT) == dependency(7, 0, key=True)
    assert [value(bytes(packet), MID_OUT) for packet in received] == [b"seat0"] * 3
    stamps = [value(bytes(packet), TRANSPORT_CC_OUT) for packet in received]
    assert stamps == [b"\0\0", b"\0\1", b"\0\2"]
    assert len(stage.engine.resend(leg, [received[1].sequence], stage.now_ns)) == 1
    [repeated] = receiver.received()
    assert repeated.payload[2:] == received[1].payload
    assert value(bytes(repeated), DEPENDENCY_OUT) == dependency(8, 1)
    assert value(bytes(repeated), TRANSPORT_CC_OUT) == b"\0\3"


def test_av1__temporal_limit__drops_and_goes_up_where_the_target_switches() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds_modern(1, "AV1")
    leg = receiver.sees_modern(stream)
    stage.engine.limit(leg, 7, 0)
    for number in range(8):
        if number == 3:
            stage.engine.limit(leg, 7, 7)
        sender.send(av1(number, number, number % 2, key=number == 0))
    received = receiver.received()
    assert frames(received) == [0, 2, 4, 5, 6, 7]
    assert [packet.sequence - received[0].sequence for packet in received] == list(range(6))
    assert [size > 0 for size in stage.engine.carried(stream)[1][:3]] == [True, True, False]


def test_av1__structure_comes_late__what_came_before_it_has_its_descriptor() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees_modern(sender.adds_modern(1, "AV1"))
    for packet in (av1(0, 7), av1(2, 9, 1), av1(3, 10)):
        sender.send(packet)
    assert receiver.datagrams() == []
    key = av1(1, 8, key=True)
    sender.send(dataclasses.replace(again(key, 500), extension=key.extension))
    received = receiver.received()
    assert [value(bytes(packet), DEPENDENCY_OUT) for packet in received] == [
        dependency(8, 0, key=True),
        dependency(9, 1),
        dependency(10, 0),
    ]


def test_av1__older_structure_comes_late__layers_are_known_by_the_newer() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1, "AV1"))
    stage.engine.limit(leg, 7, 0)
    sender.send(av1(0, 0, key=True))
    sender.send(av1(2, 2, key=True, offset=20))
    old = av1(1, 1, key=True, offset=10)
    sender.send(dataclasses.replace(again(old, 500), extension=old.extension))
    for number in range(3, 7):
        sender.send(av1(number, number, (number + 1) % 2, offset=20))
    assert frames(receiver.received()) == [0, 2, 1, 3, 5]


def test_av1__switch__frame_numbers_go_on() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds_modern(1, "AV1"), sender.adds_modern(5, "AV1")
    leg = receiver.sees_modern(old)
    sender.send(av1(0, 0xFFFE, key=True))
    sender.send(av1(1, 0xFFFF))
    stage.engine.select(leg, new)
    sender.send(dataclasses.replace(av1(9, 40, key=True), ssrc=5))
    sender.send(dataclasses.replace(av1(10, 41), ssrc=5))
    assert frames(receiver.received()) == [0xFFFE, 0xFFFF, 0, 1]


def test_h264__limit__has_no_layers_to_drop() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1, "H264"))
    stage.engine.limit(leg, 0, 0)
    for sequence, kind in enumerate((7, 5, 1, 1)):
        sender.send(RtpPacket(VP8_PT, sequence, 3000, 1, bytes((kind,)) + b"nal"))
    assert len(receiver.received()) == 4


def test_limit__before_anything_is_shown__is_in_force_from_the_first_picture() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(None)
    stage.engine.limit(leg, 0, 0)
    stage.engine.select(leg, sender.adds_modern(1))
    sender.send(video(0, key=True))
    sender.send(layered(1, 1))
    assert numbers(receiver.received()) == [0]
