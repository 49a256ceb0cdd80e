from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.forwarder.contract import Arrival, Codec, Forwarder, LegSpec, StreamSpec
from sfu.forwarder.engine import MAX_REPORTERS, REPEATS_AHEAD
from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import PictureLossIndication, ReceiverReport, parse_compound
from sfu.streams.nack import FIRST_ASK_NS
from tests.sfu.forwarding import (
    CM,
    GCM,
    LEVEL_OUT,
    MID_OUT,
    MS,
    START_NS,
    VP8_PT,
    Party,
    Stage,
    audio,
    numbers,
    video,
)


def test_engine__is_the_forwarder_of_the_contract() -> None:
    forwarder: Forwarder = Stage().engine
    assert forwarder.drain_levels() == []


# ------------------------------------------------------------ demultiplexing


def test_receive__stun__is_punted_from_any_address() -> None:
    stage = Stage()
    party = stage.party()
    for address in (party.address, ("198.51.100.7", 9)):
        stage.receive(b"\0\1stun", address)
    assert stage.heard.stun == [
        (b"\0\1stun", party.address, START_NS),
        (b"\0\1stun", ("198.51.100.7", 9), START_NS),
    ]


def test_receive__dtls__is_punted_only_from_a_known_address() -> None:
    stage = Stage()
    party = stage.party()
    stage.receive(b"\x16dtls", party.address)
    stage.receive(b"\x16dtls", ("198.51.100.7", 9))
    assert stage.heard.dtls == [(party.transport, b"\x16dtls")]
    assert stage.engine.stray_packets == 1


def test_receive__media_before_the_keys__is_dropped() -> None:
    stage = Stage()
    party = stage.party(connected=False)
    stage.engine.set_address(party.transport, party.address)
    party.send(video(1, key=True))
    stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(1))), party.address)
    assert stage.engine.transport_counters(party.transport).dropped_packets == 2
    assert (stage.heard.unknown, stage.heard.rtcp) == ([], [])


def test_receive__rtcp__is_punted_decrypted() -> None:
    stage = Stage()
    party = stage.party()
    report = bytes(ReceiverReport(7))
    datagram = party.keys.protect_rtcp(report)
    stage.receive(datagram, party.address)
    stage.receive(datagram, party.address)
    assert stage.heard.rtcp == [(party.transport, report, START_NS)]
    assert stage.engine.transport_counters(party.transport).dropped_packets == 1


def test_receive__unknown_ssrc__is_punted_and_goes_on_when_adopted() -> None:
    stage = Stage()
    party = stage.party()
    party.send(video(1))
    assert [RtpPacket.parse(packet) for packet in stage.heard.unknown] == [video(1)]
    assert stage.engine.transport_counters(party.transport).dropped_packets == 1
    stage.heard.adopt = StreamSpec(party.transport, 1, "video", "VP8", VP8_PT, 90_000)
    party.send(video(2))
    party.send(video(3))
    assert len(stage.heard.unknown) == 2
    assert stage.engine.transport_counters(party.transport).dropped_packets == 1


def test_unknown_ssrcs__leave_nothing_behind_in_srtp() -> None:
    stage = Stage()
    party = stage.party()
    party.adds("video", 1)
    known = party.send(video(1, key=True))
    refused = party.send(video(1, ssrc=77))
    for _ in range(3):
        # What SRTP has a record of it refuses as a replay, before anybody is asked.
        stage.receive(refused, party.address)
        stage.receive(known, party.address)
    assert len(stage.heard.unknown) == 4


def test_stream_that_was__is_not_forgotten_by_srtp() -> None:
    stage = Stage()
    party = stage.party()
    stream = party.adds("video", 1)
    old = party.send(video(1, key=True))
    stage.engine.remove_stream(stream)
    party.send(video(2))
    stage.receive(old, party.address)
    assert [RtpPacket.parse(packet) for packet in stage.heard.unknown] == [video(2)]


def test_rtcp__from_too_many_senders__is_dropped() -> None:
    stage = Stage()
    party = stage.party()
    party.adds("video", 1)
    for ssrc in range(1000, 1000 + MAX_REPORTERS + 10):
        stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(ssrc))), party.address)
    assert len(stage.heard.rtcp) == MAX_REPORTERS
    assert stage.engine.transport_counters(party.transport).dropped_packets == 10
    for ssrc in (1, 1000):
        stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(ssrc))), party.address)
    assert len(stage.heard.rtcp) == MAX_REPORTERS + 2


def test_rtcp__that_is_forged__takes_no_senders_place() -> None:
    stage = Stage()
    party = stage.party()
    for ssrc in range(1000, 1000 + MAX_REPORTERS):
        stage.receive(bytes(ReceiverReport(ssrc)) + bytes(20), party.address)
    stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(7))), party.address)
    assert len(stage.heard.rtcp) == 1


def test_set_address__none__sends_and_takes_nothing_but_stun() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    assert len(receiver.datagrams()) == 1
    stage.engine.set_address(receiver.transport, None)
    assert stage.engine.holder(receiver.address) is None
    sender.send(video(2, key=True))
    stage.receive(b"\x16dtls", receiver.address)
    stage.receive(b"\0\1stun", receiver.address)
    assert receiver.datagrams() == []
    assert (stage.heard.dtls, len(stage.heard.stun)) == ([], 1)
    stage.engine.set_address(receiver.transport, receiver.address)
    assert stage.engine.holder(receiver.address) == receiver.transport
    sender.send(video(3, key=True))
    assert len(receiver.datagrams()) == 1


def test_set_address__newest_wins_and_frees_the_old_one() -> None:
    stage = Stage()
    party = stage.party()
    party.adds("video", 1)
    old, new = party.address, ("203.0.113.5", 5)
    stage.engine.set_address(party.transport, new)
    datagram = party.keys.protect(bytes(video(1)))
    stage.receive(datagram, old)
    assert stage.engine.stray_packets == 1
    stage.receive(datagram, new)
    assert stage.engine.transport_counters(party.transport).received_packets == 1


def test_set_address__of_another_transport__silences_that_one() -> None:
    stage = Stage()
    sender, first, second = stage.party(), stage.party(), stage.party(connected=False)
    first.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    assert len(first.datagrams()) == 1
    stage.engine.set_address(second.transport, first.address)
    sender.send(video(2, key=True))
    assert stage.wire.sent == []
    stage.engine.remove_transport(first.transport)
    stage.receive(b"\x16dtls", first.address)
    assert stage.heard.dtls == [(second.transport, b"\x16dtls")]


# --------------------------------------------------------------- forwarding


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
    assert stage.engine.missing(stream, stage.now_ns + FIRST_ASK_NS) == [2]
    sender.send(video(2))
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


# -------------------------------------------------------- switches and pauses


def test_select__another_video__goes_on_with_the_old_until_its_key_frame() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("video", 1), sender.adds("video", 5)
    leg = receiver.sees(old)
    sender.send(video(10, key=True))
    stage.engine.select(leg, new)
    sender.send(video(11))
    sender.send(video(700, ssrc=5))
    assert stage.engine.leg_time(leg, 0) is not None
    stage.now_ns += 100 * MS
    sender.send(video(701, ssrc=5, key=True))
    sender.send(video(12))
    sender.send(video(702, ssrc=5))
    received = receiver.received()
    assert numbers(received) == [10, 11, 701, 702]
    first = received[0]
    assert [packet.sequence - first.sequence for packet in received] == [0, 1, 2, 3]
    steps = [packet.timestamp - first.timestamp & 0xFFFF_FFFF for packet in received]
    assert steps == [0, 3000, 12_000, 15_000]
    picture_ids = [int.from_bytes(packet.payload[2:4], "big") & 0x7FFF for packet in received]
    assert picture_ids == [10, 11, 12, 13]
    assert [packet.payload[4] for packet in received] == [10, 11, 12, 13]


def test_select__another_audio__switches_with_the_next_packet() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("audio", 2), sender.adds("audio", 6)
    leg = receiver.sees(old, "audio")
    sender.send(audio(1))
    stage.engine.select(leg, new)
    sender.send(audio(2))
    sender.send(audio(50, ssrc=6))
    received = receiver.received()
    assert [packet.payload for packet in received] == [b"opus 1", b"opus 50"]
    assert received[1].sequence == received[0].sequence + 1
    assert stage.heard.key_frames == []


def test_select__back_to_the_old_one__never_leaves_it() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("video", 1), sender.adds("video", 5)
    leg = receiver.sees(old)
    sender.send(video(1, key=True))
    stage.engine.select(leg, new)
    stage.engine.select(leg, old)
    sender.send(video(70, ssrc=5, key=True))
    sender.send(video(2))
    assert numbers(receiver.received()) == [1, 2]


def test_select__none__stops_at_once() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    stage.engine.select(leg, None)
    sender.send(video(2, key=True))
    assert numbers(receiver.received()) == [1]
    assert stage.engine.leg_time(leg, 0) is None
    assert stage.engine.resend(leg, range(1 << 16)) == 0


def test_select__what_the_leg_cannot_carry__value_error() -> None:
    stage = Stage()
    party = stage.party()
    sound, h264 = party.adds("audio", 2), party.adds("video", 3, "H264")
    leg = party.sees(None)
    for stream in (sound, h264):
        with pytest.raises(ValueError, match="cannot carry"):
            stage.engine.select(leg, stream)


def test_pause__video__goes_on_at_the_next_key_frame_without_a_gap() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    stage.engine.pause(leg, True)
    sender.send(video(2))
    sender.send(video(3, key=True))
    assert stage.engine.resend(leg, range(1 << 16)) == 0
    stage.engine.pause(leg, False)
    stage.engine.pause(leg, False)
    sender.send(video(4))
    stage.now_ns += 1000 * MS
    sender.send(video(5, key=True))
    received = receiver.received()
    assert numbers(received) == [1, 5]
    assert received[1].sequence == received[0].sequence + 1
    assert received[1].timestamp - received[0].timestamp & 0xFFFF_FFFF == 90_000


def test_leg_before_its_keys__begins_when_they_are_there() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party(connected=False)
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    sender.send(video(1, key=True))
    assert stage.heard.key_frames == []
    receiver.connect()
    sender.send(video(2))
    sender.send(video(3, key=True))
    assert numbers(receiver.received()) == [3]
    assert stage.heard.key_frames == [stream]


def test_remove_stream__legs_fall_silent_and_can_show_another() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("video", 1), sender.adds("video", 5)
    leg = receiver.sees(old)
    sender.send(video(1, key=True))
    stage.engine.select(leg, new)
    stage.engine.remove_stream(new)
    sender.send(video(2))
    assert numbers(receiver.received()) == [1]
    stage.engine.remove_stream(old)
    stage.engine.remove_stream(old)
    stage.engine.select(leg, sender.adds("video", 1))
    sender.send(video(3, key=True))
    assert numbers(receiver.received()) == [3]


def test_remove_transport__takes_its_streams_and_legs_along() -> None:
    stage = Stage()
    both, other = stage.party(), stage.party()
    shown, seen = both.adds("video", 1), other.adds("video", 5)
    other.sees(shown)
    leg = both.sees(seen)
    both.send(video(1, key=True))
    other.send(video(1, ssrc=5, key=True))
    stage.wire.sent.clear()
    stage.engine.remove_transport(both.transport)
    stage.engine.remove_transport(both.transport)
    both.send(video(2, key=True))
    other.send(video(2, ssrc=5, key=True))
    assert stage.wire.sent == []
    for stale in (lambda: stage.engine.leg_counters(leg), lambda: stage.engine.missing(shown, 0)):
        with pytest.raises(KeyError):
            stale()


def test_add_stream__same_ssrc_twice__value_error() -> None:
    stage = Stage()
    first, second = stage.party(), stage.party()
    first.adds("video", 1)
    second.adds("video", 1)
    with pytest.raises(ValueError, match="SSRC"):
        first.adds("video", 1)


# ------------------------------------------------------------ tap and discard


def test_tap__gets_each_packet_in_order_of_arrival() -> None:
    stage = Stage()
    sender = stage.party()
    stream = sender.adds("video", 1)
    tapped: list[tuple[bytes, int]] = []
    stage.engine.set_tap(stream, lambda packet, now_ns: tapped.append((packet, now_ns)))
    for sequence in (1, 3, 2):
        stage.now_ns += MS
        sender.send(video(sequence))
    stage.engine.set_tap(stream, None)
    sender.send(video(4))
    assert [RtpPacket.parse(packet) for packet, _ in tapped] == [video(1), video(3), video(2)]
    assert [now_ns for _, now_ns in tapped] == [START_NS + number * MS for number in (1, 2, 3)]


def test_discard__is_counted_and_goes_nowhere() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("audio", 2)
    leg = receiver.sees(stream, "audio")
    tapped: list[bytes] = []
    stage.engine.set_tap(stream, lambda packet, now_ns: tapped.append(packet))
    sender.send(audio(1))
    first = receiver.received()[0]
    stage.engine.drain_levels()
    stage.engine.set_discard(stream, True)
    for sequence in (2, 3, 5):
        sender.send(audio(sequence))
    assert (receiver.received(), len(tapped), stage.engine.drain_levels()) == ([], 1, [])
    assert stage.engine.resend(leg, [first.sequence]) == 0
    assert stage.engine.missing(stream, stage.now_ns + FIRST_ASK_NS) == []
    counters = stage.engine.stream_counters(stream)
    assert (counters.packets, counters.lost) == (4, 1)
    stage.engine.set_discard(stream, False)
    sender.send(audio(6))
    [again] = receiver.received()
    assert (again.payload, again.sequence) == (b"opus 6", first.sequence + 1)
    assert stage.engine.resend(leg, [first.sequence]) == 0


# ------------------------------------------------------------------- repair


def test_resend__is_the_same_datagram_again() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    for sequence in range(20):
        if sequence % 5 == 4:
            sender.send(RtpPacket(VP8_PT, sequence, 0, 1, b"", padding_bytes=9))
        else:
            sender.send(video(sequence, key=sequence == 0))
    first_time = receiver.datagrams()
    wanted = [int.from_bytes(data[2:4], "big") for data in first_time]
    assert stage.engine.resend(leg, wanted) == len(first_time)
    assert receiver.datagrams() == first_time
    counters = stage.engine.leg_counters(leg)
    assert (counters.packets, counters.resent) == (16, 16)


def test_resend__what_was_never_sent__nothing() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    sender.send(video(3))
    first = receiver.received()[0].sequence
    assert stage.engine.resend(leg, [first - 1, first + 1, first + 3, first + 4000]) == 0
    assert stage.wire.sent == []


def test_resend__over_and_over__an_outage_more_than_was_sent() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    sender.send(video(2))
    sequences = [packet.sequence for packet in receiver.received()]
    assert stage.engine.resend(leg, sequences[:1] * 50) == 1
    repeated = sum(stage.engine.resend(leg, sequences) for _ in range(2 * REPEATS_AHEAD))
    assert repeated == 2 + REPEATS_AHEAD - 1


def test_resend__longer_ago_than_the_ring_or_srtp__gives_up() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    for sequence in range(1500):
        sender.send(video(sequence, key=sequence == 0))
    sequences = [packet.sequence for packet in receiver.received()]
    assert stage.engine.resend(leg, sequences[:900]) == 0
    assert stage.engine.resend(leg, sequences[-512:]) == 512


def test_resend__srtp_refuses__gives_up_and_counts() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(0, key=True))
    sender.send(video(1))
    # Far ahead, but no restart of the sender: SRTP's window moves on, the ring's slot does not.
    sender.send(video(2501))
    first = receiver.received()[0].sequence
    assert stage.engine.resend(leg, [first]) == 0
    assert stage.engine.refused_packets == 1


def test_missing__late_by_repair__reaches_legs_and_tap() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    tapped: list[bytes] = []
    stage.engine.set_tap(stream, lambda packet, now_ns: tapped.append(packet))
    for sequence in (65534, 65537):
        sender.send(video(sequence, key=sequence == 65534))
    stage.now_ns += FIRST_ASK_NS
    assert stage.engine.missing(stream, stage.now_ns) == [65535, 0]
    sender.send(video(65535))
    assert numbers(receiver.received()) == [65534, 65537, 65535]
    assert len(tapped) == 3


# ----------------------------------------------------------------- reporting


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
    assert stage.engine.drain_arrivals(sender.transport) == [
        Arrival(START_NS, 2, sizes[0], 0x010203),
        Arrival(START_NS, 1, sizes[1], None),
    ]
    assert stage.engine.drain_arrivals(sender.transport) == []


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


# ----------------------------------------------------------- hostile senders


def unharmed(stage: Stage, sender: Party, receiver: Party, sequence: int) -> bool:
    """Whether a good packet still goes through."""
    receiver.datagrams()
    sender.send(video(sequence, key=True))
    return numbers(receiver.received()) == [sequence]


def test_receive__replayed__is_dropped() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    datagram = sender.send(video(1, key=True))
    for _ in range(5):
        stage.receive(datagram, sender.address)
    assert numbers(receiver.received()) == [1]
    assert stage.engine.transport_counters(sender.transport).dropped_packets == 5


@given(st.data())
def test_receive__truncated_or_flipped__is_dropped(data: st.DataObject) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    good = sender.keys.protect(bytes(video(1, key=True)))
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        at, bit = data.draw(st.integers(2, len(good) - 1)), 1 << data.draw(st.integers(0, 7))
        bad = good[:at] + bytes((good[at] ^ bit,)) + good[at + 1 :]
    stage.receive(bad, sender.address)
    assert receiver.datagrams() == []
    assert unharmed(stage, sender, receiver, 2)


@given(st.lists(st.binary(max_size=1600), max_size=10))
def test_receive__garbage__no_crash_and_no_effect(garbage: list[bytes]) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    for data in garbage:
        stage.receive(data, sender.address)
        stage.receive(data, ("198.51.100.7", 9))
    assert unharmed(stage, sender, receiver, 1)


@pytest.mark.parametrize("lead", [b"\x80\x60", b"\x80\xc8", b"\xbf\x60", b"\xbf\xc8"])
@pytest.mark.parametrize("profile", [GCM, CM])
def test_receive__shorter_than_any_packet__is_dropped(lead: bytes, profile: int) -> None:
    stage = Stage()
    sender = stage.party(profile=profile)
    for size in range(1, 40):
        stage.receive((lead + bytes(40))[:size], sender.address)
    assert stage.engine.transport_counters(sender.transport).dropped_packets == 39
    assert (stage.heard.rtcp, stage.heard.unknown) == ([], [])


@given(
    st.sampled_from(["opus", "VP8", "H264"]),
    st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 0xFFFF)), max_size=20),
)
def test_receive__authentic_nonsense__no_crash_and_no_effect(
    codec: Codec, bodies: list[tuple[bytes, int]]
) -> None:
    stage = Stage()
    hostile, sender, receiver = stage.party(), stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    spec = StreamSpec(hostile.transport, 3, "video", codec, 96, 90_000, 1, 2)
    leg = stage.engine.add_leg(LegSpec(receiver.transport, 901, "video", {codec: 99}))
    stage.engine.select(leg, stage.engine.add_stream(spec))
    for body, sequence in bodies:
        first = bytes((0x80 | body[0] & 0x3F if body else 0x80, 96))
        packet = first + sequence.to_bytes(2, "big") + bytes(7) + b"\3" + body[1:]
        try:
            datagram = hostile.keys.protect(packet)
        except Exception:  # not even SRTP takes it
            continue
        stage.receive(datagram, hostile.address)
    assert unharmed(stage, sender, receiver, 1)


def test_forward__too_long_for_srtp__is_counted_and_not_sent() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    long = video(1, key=True)
    sender.send(RtpPacket(VP8_PT, 1, 3000, 1, long.payload + bytes(1334)))
    assert stage.engine.refused_packets == 1
    assert unharmed(stage, sender, receiver, 2)
