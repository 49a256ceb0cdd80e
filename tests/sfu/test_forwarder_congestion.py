from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.forwarder.contract import SENDS, LegSpec
from sfu.forwarder.tables import MAX_ARRIVALS
from sfu.rtp.extensions import value
from tests.sfu.forwarding import (
    LEVEL_OUT,
    MID_OUT,
    MS,
    START_NS,
    TRANSPORT_CC_OUT,
    VIDEO_OUT,
    Stage,
    audio,
    stamped,
    video,
)


def test_sends__every_packet_of_a_transport_is_noted() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    voice = LegSpec(
        receiver.transport,
        901,
        "audio",
        {"opus": 100},
        "seat1",
        MID_OUT,
        LEVEL_OUT,
        transport_cc_id=TRANSPORT_CC_OUT,
    )
    stage.engine.select(stage.engine.add_leg(voice), sender.adds("audio", 2))
    receiver.sees_modern(sender.adds_modern(1))
    sizes, times_ns = [], []
    for sequence in range(4):
        stage.now_ns += 10 * MS
        sender.send(audio(sequence, level=sequence) if sequence % 2 else video(sequence, key=True))
        times_ns.append(stage.now_ns)
    datagrams = receiver.datagrams()
    sizes = [len(datagram) for datagram in datagrams]
    packets = [receiver.keys.unprotect(datagram) for datagram in datagrams]
    assert [value(p, TRANSPORT_CC_OUT) for p in packets] == [bytes((0, n)) for n in range(4)]
    assert [value(p, LEVEL_OUT) for p in packets] == [None, b"\1", None, b"\3"]
    assert [value(p, MID_OUT) for p in packets] == [b"seat0", b"seat1"] * 2
    sends = stage.engine.sends(receiver.transport)
    assert sends.next_sequence == 4
    assert list(sends.times_ns[:4]) == times_ns
    assert list(sends.sizes_bytes[:4]) == sizes


def test_sends__more_than_the_ring__the_newest_are_there() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees_modern(sender.adds_modern(1))
    sends = stage.engine.sends(receiver.transport)
    sends.next_sequence = 0x10000 + SENDS - 1
    sender.send(video(1, key=True))
    sender.send(video(2))
    stamps = [value(bytes(packet), TRANSPORT_CC_OUT) for packet in receiver.received()]
    assert stamps == [b"\x1f\xff", b"\x20\x00"]
    assert sends.next_sequence == 0x10000 + SENDS + 1
    assert sends.times_ns[SENDS - 1] == sends.times_ns[0] == START_NS


def test_sends__another_address__is_counted_as_a_move() -> None:
    stage = Stage()
    party = stage.party()
    sends = stage.engine.sends(party.transport)
    before = sends.moves
    stage.engine.set_address(party.transport, party.address)
    assert sends.moves == before
    stage.engine.set_address(party.transport, ("192.0.2.9", 9))
    assert sends.moves == before + 1
    stage.engine.set_address(party.transport, None)
    assert sends.moves == before + 1
    stage.engine.set_address(party.transport, party.address)
    assert sends.moves == before + 2


def test_sends__leg_without_the_extension__is_not_noted() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    assert len(receiver.datagrams()) == 1
    assert stage.engine.sends(receiver.transport).next_sequence == 0


def test_arrivals__drained_once_in_order_also_of_discarded_streams() -> None:
    stage = Stage()
    sender = stage.party()
    stream = sender.adds_modern(1)
    for sequence, number in enumerate((65535, 0, 7, 2)):
        stage.now_ns += MS
        stage.engine.set_discard(stream, sequence == 3)
        sender.send(stamped(video(sequence), number))
    sender.send(video(9))
    assert stage.engine.drain_arrivals(sender.transport) == [
        (number, START_NS + count * MS) for count, number in enumerate((65535, 0, 7, 2), 1)
    ]
    assert stage.engine.drain_arrivals(sender.transport) == []
    assert stage.engine.drain_send_times(sender.transport) == []


def test_arrivals__never_drained__are_bounded() -> None:
    stage = Stage()
    sender = stage.party()
    sender.adds_modern(1)
    for sequence in range(MAX_ARRIVALS + 3):
        sender.send(stamped(video(sequence), sequence))
    assert [number for number, _ in stage.engine.drain_arrivals(sender.transport)] == list(
        range(3, MAX_ARRIVALS + 3)
    )


@given(st.lists(st.integers(0, 0xFFFF), max_size=20))
def test_arrivals__any_numbers__as_they_were(sent: list[int]) -> None:
    stage = Stage()
    sender = stage.party()
    sender.adds_modern(1)
    for sequence, number in enumerate(sent):
        sender.send(stamped(video(sequence), number))
    assert stage.engine.drain_arrivals(sender.transport) == [(n, START_NS) for n in sent]


def test_leg__limits_and_stamps_of_two_legs__share_one_counter() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds_modern(1)
    for ssrc in (900, 910):
        spec = LegSpec(
            receiver.transport, ssrc, "video", VIDEO_OUT, transport_cc_id=TRANSPORT_CC_OUT
        )
        stage.engine.select(stage.engine.add_leg(spec), stream)
    sender.send(video(1, key=True))
    sender.send(video(2))
    stamps = [value(bytes(packet), TRANSPORT_CC_OUT) for packet in receiver.received()]
    assert stamps == [bytes((0, number)) for number in range(4)]
