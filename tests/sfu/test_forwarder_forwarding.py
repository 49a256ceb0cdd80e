from __future__ import annotations

import pytest

from sfu.forwarder.contract import Arrival
from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import PictureLossIndication, ReceiverReport, parse_compound
from sfu.streams.nack import FIRST_ASK_NS
from tests.sfu.forwarding import (
    CM,
    LEVEL_OUT,
    MID_OUT,
    START_NS,
    VP8_PT,
    Stage,
    audio,
    numbers,
    video,
)


@pytest.mark.parametrize("profile", [None, CM])
def test_forward__audio__as_the_receiver_negotiated(profile: int | None) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    if profile is not None:
        sender, receiver = stage.party(profile=profile), stage.party(profile=profile)
    receiver.sees(sender.adds("audio", 2), "audio", 900)
    sent = [audio(65534 + number, level=0x80 | number) for number in range(5)]
    for packet in sent:
        sender.send(packet)
    received = receiver.received()
    assert [packet.payload for packet in received] == [packet.payload for packet in sent]
    assert {(packet.ssrc, packet.payload_type) for packet in received} == {(900, 100)}
    assert [value(bytes(packet), MID_OUT) for packet in received] == [b"seat0"] * 5
    assert [value(bytes(packet), LEVEL_OUT) for packet in received] == [
        bytes((0x80 | number,)) for number in range(5)
    ]
    first = received[0]
    assert first.sequence < 1 << 15
    assert [packet.sequence - first.sequence for packet in received] == [0, 1, 2, 3, 4]
    assert [packet.timestamp - first.timestamp & 0xFFFF_FFFF for packet in received] == [
        960 * number for number in range(5)
    ]


def test_forward__video__waits_for_a_key_frame() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    for sequence in range(5):
        sender.send(video(sequence, key=sequence == 3))
    assert numbers(receiver.received()) == [3, 4]
    assert stage.heard.key_frames == [stream]
    sender.send(video(5, key=True))
    assert stage.heard.key_frames == [stream]
    assert stage.engine.stream_counters(stream).key_frames == 2


def test_forward__many_receivers__each_with_its_own_numbers() -> None:
    stage = Stage()
    sender = stage.party()
    stream = sender.adds("video", 1)
    receivers = [stage.party() for _ in range(5)]
    for receiver in receivers:
        receiver.sees(stream)
    for sequence in range(10):
        sender.send(video(sequence, key=sequence == 0))
    received = [receiver.received() for receiver in receivers]
    assert all(numbers(packets) == list(range(10)) for packets in received)
    assert len({packets[0].timestamp for packets in received}) == 5


def test_forward__lost_and_late__hole_is_kept_and_filled() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    for sequence in (0, 1, 4, 3):
        sender.send(video(sequence, key=sequence == 0))
    received = receiver.received()
    assert [packet.sequence - received[0].sequence for packet in received] == [0, 1, 4, 3]
    assert stage.engine.missing(stream, stage.now_ns + FIRST_ASK_NS, 0) == [2]
    assert stage.engine.holed() == [stream]
    sender.send(video(2))
    assert stage.engine.holed() == []
    assert receiver.received()[0].sequence == received[0].sequence + 2
    counters = stage.engine.stream_counters(stream)
    assert (counters.packets, counters.lost, counters.highest_sequence) == (5, 0, 4)


def test_forward__padding_between_frames__leaves_no_hole() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    for sequence in range(12):
        if sequence % 4 == 3:
            sender.send(RtpPacket(VP8_PT, sequence, 0, 1, b"", padding_bytes=200))
        else:
            sender.send(video(sequence, key=sequence == 0))
    received = receiver.received()
    assert numbers(received) == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert [packet.sequence - received[0].sequence for packet in received] == list(range(9))


def test_forward__another_payload_type__does_not_reach_the_decoder() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    for sequence in range(3):
        packet = video(sequence, key=sequence == 0)
        sender.send(RtpPacket(35, 1, 0, 1, packet.payload) if sequence == 1 else packet)
    received = receiver.received()
    assert numbers(received) == [0, 2]
    assert received[1].sequence == received[0].sequence + 1


def test_send_rtcp__is_encrypted_and_sent_at_once() -> None:
    stage = Stage()
    party, waiting = stage.party(), stage.party(connected=False)
    packet = bytes(PictureLossIndication(1, 2))
    stage.engine.send_rtcp(party.transport, packet)
    stage.engine.send_rtcp(waiting.transport, packet)
    [(address, datagram)] = stage.wire.sent
    assert address == party.address
    assert parse_compound(party.keys.unprotect_rtcp(datagram)) == [PictureLossIndication(1, 2)]


def test_send_rtcp__too_long_for_srtp__is_counted() -> None:
    stage = Stage()
    party = stage.party()
    stage.engine.send_rtcp(party.transport, bytes(2000))
    assert (stage.wire.sent, stage.engine.refused_packets) == ([], 1)


def test_leg_time__is_what_goes_out() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    assert stage.engine.leg_time(leg, 3000) is None
    sender.send(video(1, key=True))
    assert stage.engine.leg_time(leg, 3000) == receiver.received()[0].timestamp


def test_levels__drained_once_without_the_voice_bit() -> None:
    stage = Stage()
    sender = stage.party()
    stream = sender.adds("audio", 2)
    for sequence, level in enumerate([0x80 | 20, 127, None]):
        sender.send(audio(sequence, level=level))
    assert stage.engine.drain_levels() == [(stream, 20), (stream, 127)]
    assert stage.engine.drain_levels() == []


def test_arrivals__drained_once_with_the_send_time() -> None:
    stage = Stage()
    sender = stage.party()
    sender.adds("audio", 2)
    sender.adds("video", 1)
    sizes = [len(sender.send(packet)) for packet in (audio(1), video(1))]
    assert stage.engine.drain_send_times(sender.transport) == [
        Arrival(START_NS, 2, sizes[0], 0x010203),
        Arrival(START_NS, 1, sizes[1], None),
    ]
    assert stage.engine.drain_send_times(sender.transport) == []


def test_counters__agree_with_the_wire() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    received_bytes = sum(len(sender.send(video(number, key=number == 0))) for number in range(9))
    stage.engine.send_rtcp(receiver.transport, bytes(ReceiverReport(1)))
    datagrams = receiver.datagrams()
    incoming = stage.engine.transport_counters(sender.transport)
    outgoing = stage.engine.transport_counters(receiver.transport)
    assert (incoming.received_packets, incoming.received_bytes) == (9, received_bytes)
    assert (outgoing.sent_packets, outgoing.rtp_sent_packets) == (10, 9)
    assert outgoing.sent_bytes == sum(map(len, datagrams))
    assert stage.engine.leg_counters(leg).packets == 9
    stage.engine.remove_leg(leg)
    assert stage.engine.transport_counters(receiver.transport) == outgoing
