from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from sfu.forwarder.contract import SENDS, LegSpec, TransportHandle
from sfu.forwarder.repair import REPEATS_AHEAD
from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket
from sfu.streams.nack import FIRST_ASK_NS
from tests.sfu.forwarding import (
    MID_OUT,
    MS,
    RTX_IN,
    RTX_OUT,
    RTX_SSRC,
    TRANSPORT_CC_OUT,
    VIDEO_OUT,
    VP8_PT,
    Heard,
    Party,
    Stage,
    again,
    audio,
    layered,
    numbers,
    stamped,
    video,
)


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
    assert len(stage.engine.resend(leg, wanted, stage.now_ns)) == len(first_time)
    assert receiver.datagrams() == first_time
    counters = stage.engine.leg_counters(leg)
    assert (counters.packets, counters.resent) == (16, 16)


def test_repair__old_packets_after_the_ring_grew__never_other_bytes_under_a_used_number() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees_modern(sender.adds_modern(1))
    for sequence in range(1000, 1700):
        # Slow pictures, then a burst for which the ring has to grow.
        stage.now_ns += 20 * MS if sequence < 1400 else MS
        sender.send(stamped(video(sequence, key=sequence == 1000), sequence))
    sent = {packet.sequence for packet in receiver.received()}
    assert len(sent) == 700
    for sequence in range(1000, 1600):
        packet = video(sequence)
        other = dataclasses.replace(packet, payload=packet.payload[:-1] + b"x")
        sender.send(again(other, sequence, sequence + 700))
    assert receiver.received() == []


def test_resend__what_was_never_sent__nothing() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    sender.send(video(3))
    first = receiver.received()[0].sequence
    assert stage.engine.resend(leg, [first - 1, first + 1, first + 3], stage.now_ns) == []
    assert stage.wire.sent == []


def test_resend__two_copies__all_first_ones_before_the_second() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    sender.send(stamped(video(1, key=True), 1))
    sender.send(stamped(video(2), 2))
    sequences = [packet.sequence for packet in receiver.received()]
    assert stage.engine.resend(leg, sequences, stage.now_ns, copies=2) == sequences * 2
    repeated = receiver.received()
    originals = [int.from_bytes(packet.payload[:2], "big") for packet in repeated]
    assert originals == sequences * 2
    assert len({packet.sequence for packet in repeated}) == 4, "each is a packet of its own"


def repairable(stage: Stage, receiver: Party, numbers: Iterable[int]) -> list[tuple[int, int]]:
    found = stage.engine.repairable(receiver.transport, numbers)
    assert {sent.ssrc for sent in found} <= {900}
    return [(sent.number, sent.sequence) for sent in found]


def numbered(packets: list[RtpPacket]) -> list[tuple[int, int]]:
    """Transport-wide and own sequence numbers."""
    stamps = [value(bytes(packet), TRANSPORT_CC_OUT) or b"" for packet in packets]
    return [
        (int.from_bytes(stamp, "big"), packet.sequence)
        for stamp, packet in zip(stamps, packets, strict=True)
    ]


def test_repairable__what_was_sent_first__and_no_repeat_and_no_probe() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    for sequence in (65534, 65535, 1, 0):  # one comes late, and all at one time
        sender.send(stamped(video(sequence, key=sequence == 65534), sequence & 7))
    first = numbered(receiver.received())
    assert [number for number, _ in first] == [0, 1, 2, 3]
    assert len(stage.engine.resend(leg, [first[1][1]], stage.now_ns)) == 1
    assert stage.engine.probe(leg, 3_000, stage.now_ns)
    again = stage.engine.sends(receiver.transport).next_sequence
    sender.send(stamped(video(2), 2))
    [last] = numbered(receiver.received()[-1:])
    assert last[0] == again > 5
    assert repairable(stage, receiver, range(-5, again + 5)) == [*first, last]


def test_repairable__numbers_whose_place_another_took__nothing() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees_modern(sender.adds_modern(1))
    for sequence in range(SENDS + 3):
        sender.send(stamped(video(sequence, key=sequence == 0), sequence & 7))
    newest = SENDS + 2
    asked = [2, 3, newest, newest + 1, newest + SENDS]
    assert [number for number, _ in repairable(stage, receiver, asked)] == [3, newest]


def test_repairable__key_frame_whose_beginning_came_late__each_packet_as_it_was_sent() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds_modern(1)
    receiver.sees_modern(stream)
    for sequence in (11, 12, 10):
        stage.now_ns += MS
        sender.send(stamped(video(sequence, key=sequence == 10), sequence))
    sent = receiver.received()
    assert numbers(sent) == [10, 11, 12]
    assert repairable(stage, receiver, range(9)) == numbered(sent)


def test_repairable__from_before_a_leg_showed_the_stream__nothing() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    sender.send(stamped(video(5, key=True), 5))
    sender.send(stamped(video(6), 6))
    stage.engine.select(leg, sender.adds_modern(2))
    sender.send(stamped(video(5, ssrc=2, key=True), 5))
    sender.send(stamped(video(6, ssrc=2), 6))
    sent = numbered(receiver.received())
    assert repairable(stage, receiver, range(9)) == sent[2:]
    stage.engine.pause(leg, True)
    assert repairable(stage, receiver, range(9)) == []
    stage.engine.remove_leg(leg)
    assert repairable(stage, receiver, range(9)) == []


def test_repairable__voices_and_pictures_without_rtx__nothing() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    spec = LegSpec(receiver.transport, 900, "video", VIDEO_OUT, transport_cc_id=TRANSPORT_CC_OUT)
    leg = stage.engine.add_leg(spec)
    stage.engine.select(leg, sender.adds_modern(1))
    sender.send(stamped(video(0, key=True), 0))
    assert len(receiver.received()) == 1
    assert repairable(stage, receiver, range(9)) == []


def test_resend__over_and_over__an_outage_more_than_was_sent() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    sender.send(video(2))
    sequences = [packet.sequence for packet in receiver.received()]
    assert len(stage.engine.resend(leg, sequences[:1] * 50, stage.now_ns)) == 1
    repeated = sum(
        len(stage.engine.resend(leg, sequences, stage.now_ns)) for _ in range(2 * REPEATS_AHEAD)
    )
    assert repeated == 2 + REPEATS_AHEAD - 1


def test_resend__older_than_two_seconds__gives_up() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    for sequence in range(600):
        sender.send(video(sequence, key=sequence == 0))
        stage.now_ns += 5 * MS
    sequences = [packet.sequence for packet in receiver.received()]
    assert stage.engine.resend(leg, sequences[:200], stage.now_ns) == []
    assert len(stage.engine.resend(leg, sequences[-400:], stage.now_ns)) == 400


def test_resend__srtp_refuses__gives_up_and_counts() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(0, key=True))
    sender.send(video(1))
    # Far ahead, but no restart of the sender: SRTP's window moves on, the ring's slot does not.
    sender.send(video(2501))
    first = receiver.received()[0].sequence
    assert stage.engine.resend(leg, [first], stage.now_ns) == []
    assert stage.engine.refused_packets == 1


def test_missing__late_by_repair__reaches_legs_and_sinks() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    tapped: list[bytes] = []
    sink = stage.engine.add_sink("video", ["VP8"], lambda packet, now_ns: tapped.append(packet))
    stage.engine.select(sink, stream)
    for sequence in (65534, 65537):
        sender.send(video(sequence, key=sequence == 65534))
    stage.now_ns += FIRST_ASK_NS
    assert stage.engine.missing(stream, stage.now_ns, 0) == [65535, 0]
    sender.send(video(65535))
    assert numbers(receiver.received()) == [65534, 65537, 65535]
    assert len(tapped) == 3


# ------------------------------------------------------------------------- RTX


def test_resend__rtx__is_the_packet_behind_its_number_with_a_new_stamp() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    for sequence in range(3):
        sender.send(stamped(video(sequence, key=sequence == 0), sequence))
    originals = receiver.received()
    assert len(stage.engine.resend(leg, [originals[1].sequence] * 2, stage.now_ns)) == 1
    assert len(stage.engine.resend(leg, [originals[1].sequence], stage.now_ns)) == 1
    first, second = receiver.received()
    for packet in (first, second):
        assert (packet.ssrc, packet.payload_type) == (RTX_SSRC, RTX_OUT["VP8"])
        assert packet.payload == originals[1].sequence.to_bytes(2, "big") + originals[1].payload
        assert (packet.timestamp, packet.marker) == (originals[1].timestamp, True)
        assert value(bytes(packet), MID_OUT) == b"seat0"
    assert second.sequence == first.sequence + 1
    stamps = [value(bytes(packet), TRANSPORT_CC_OUT) for packet in (*originals, first, second)]
    assert stamps == [bytes((0, number)) for number in range(5)]
    counters = stage.engine.leg_counters(leg)
    assert (counters.packets, counters.resent) == (3, 2)
    assert counters.resent_bytes == len(first.payload) + len(second.payload)


def test_resend__stamped_and_no_rtx__nothing() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    spec = LegSpec(receiver.transport, 900, "video", VIDEO_OUT, transport_cc_id=TRANSPORT_CC_OUT)
    leg = stage.engine.add_leg(spec)
    stage.engine.select(leg, sender.adds_modern(1))
    sender.send(video(0, key=True))
    [sent] = receiver.received()
    assert stage.engine.resend(leg, [sent.sequence], stage.now_ns) == []


def test_repair__lost_packet_comes_by_rtx__goes_where_it_belongs() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds_modern(1)
    receiver.sees_modern(stream)
    for sequence in (65534, 65537):
        sender.send(stamped(video(sequence, key=sequence == 65534), sequence & 7))
    stage.now_ns += FIRST_ASK_NS
    assert stage.engine.missing(stream, stage.now_ns, 50 * MS) == [65535, 0]
    for number, sequence in enumerate((65536, 65535, 65535)):
        sender.send(again(video(sequence), 500 + number, 100 + number))
    received = receiver.received()
    assert numbers(received) == [65534, 65537, 65536, 65535]
    assert [packet.sequence - received[0].sequence & 0xFFFF for packet in received] == [0, 3, 2, 1]
    assert stage.engine.missing(stream, stage.now_ns + 1000 * MS, 50 * MS) == []
    counters = stage.engine.stream_counters(stream)
    assert (counters.repaired, counters.duplicates, counters.lost) == (2, 1, 0)
    assert counters.repair_bytes == 3 * (2 + len(video(65535).payload))
    arrivals = [number for number, _ in stage.engine.drain_arrivals(sender.transport)]
    assert arrivals == [6, 1, 100, 101, 102]
    assert stage.engine.transport_counters(sender.transport).dropped_packets == 0


def test_repair__only_padding__is_nothing_but_an_arrival() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds_modern(1)
    receiver.sees_modern(stream)
    sender.send(stamped(video(1, key=True), 1))
    receiver.datagrams()
    probe = stamped(RtpPacket(RTX_IN, 7, 3000, 1001, b"", padding_bytes=200), 2)
    sender.send(probe)
    sender.send(dataclasses.replace(probe, sequence=8, payload=b"\0", padding_bytes=0))
    sender.send(dataclasses.replace(again(video(2), 9), payload_type=35))
    assert receiver.datagrams() == []
    assert len(stage.engine.drain_arrivals(sender.transport)) == 4
    assert stage.engine.stream_counters(stream).packets == 1


def test_repair__of_a_discarded_stream__goes_nowhere() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds_modern(1)
    receiver.sees_modern(stream)
    delivered: list[bytes] = []
    sink = stage.engine.add_sink("video", ["VP8"], lambda packet, now_ns: delivered.append(packet))
    stage.engine.select(sink, stream)
    sender.send(video(1, key=True))
    sender.send(video(3))
    receiver.datagrams()
    stage.engine.set_discard(stream, True)
    sender.send(again(video(2), 1))
    sender.send(again(video(4, key=True), 2))
    assert (receiver.datagrams(), len(delivered)) == ([], 2)


def test_repair__ssrc_that_is_taken__value_error() -> None:
    stage = Stage()
    party = stage.party()
    first, second = party.adds_modern(1), party.adds_modern(2)
    for stream, ssrc in ((first, 2), (second, 1001), (second, 1002)):
        with pytest.raises(ValueError, match="SSRC"):
            stage.engine.add_repair(stream, ssrc, RTX_IN)
    stage.engine.remove_stream(first)
    stage.engine.add_repair(second, 1001, RTX_IN)
    party.send(again(video(5), 1))
    assert stage.engine.stream_counters(second).packets == 1


def test_repair__a_newer_takes_its_place__bytes_are_counted_on() -> None:
    stage = Stage()
    sender = stage.party()
    stream = sender.adds_modern(1)
    sender.send(again(video(0, key=True), 5, 1))
    before = stage.engine.stream_counters(stream).repair_bytes
    stage.engine.add_repair(stream, 4_444, RTX_IN)
    assert stage.engine.stream_counters(stream).repair_bytes == before > 0


def test_repair__is_adopted_by_the_slow_path_when_it_first_comes() -> None:
    class Adopting(Heard):
        def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool:
            assert self.engine is not None
            self.engine.add_repair(stream, 77, RTX_IN)
            return True

    stage = Stage(Adopting())
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    for sequence in (1, 3):
        sender.send(video(sequence, key=sequence == 1))
    sender.send(dataclasses.replace(again(video(2), 1), ssrc=77))
    assert numbers(receiver.received()) == [1, 3, 2]


# ---------------------------------------------------------------- late key frames


def test_key_frame__its_first_packet_comes_last__goes_on_from_the_ring() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    for sequence in (1, 2):
        sender.send(video(sequence))
    for sequence in (4, 5):
        sender.send(layered(sequence, picture_id=3))
    sender.send(RtpPacket(VP8_PT, 6, 0, 1, b"", padding_bytes=20))
    sender.send(video(7))
    assert receiver.datagrams() == []
    sender.send(layered(3, key=True))
    sender.send(video(8))
    received = receiver.received()
    assert numbers(received) == [3, 4, 5, 7, 8]
    assert [packet.sequence - received[0].sequence for packet in received] == [0, 1, 2, 3, 4]


def test_key_frame__its_first_packet_comes_too_late__was_none() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds_modern(1)
    sender.send(video(0, key=True))
    receiver.sees_modern(stream)
    for sequence in range(2, 140):
        stage.now_ns += 3 * MS
        sender.send(video(sequence))
    sender.send(again(video(1, key=True), 500))
    assert stage.engine.stream_counters(stream).key_frames == 1
    assert (receiver.datagrams(), stage.heard.key_frames) == ([], [])
    sender.send(video(140, key=True))
    assert stage.engine.stream_counters(stream).key_frames == 2
    assert numbers(receiver.received()) == [140]


def test_key_frame__from_before_a_leg_was_to_show_the_stream__begins_nobody() -> None:
    stage = Stage()
    sender, early, late = stage.party(), stage.party(), stage.party()
    stream = sender.adds_modern(1)
    sender.send(video(0))
    early.sees_modern(stream)
    for sequence in (2, 3):
        sender.send(video(sequence))
    late.sees_modern(stream)
    sender.send(again(video(1, key=True), 500))
    sender.send(video(4))
    assert early.datagrams() == late.datagrams() == []
    assert stage.heard.key_frames == []
    sender.send(video(6))
    sender.send(again(video(5, key=True), 501))
    assert numbers(early.received()) == numbers(late.received()) == [5, 6]
    assert stage.heard.key_frames == [stream]


def test_holed__a_voice__nobody_asks_for_its_packets() -> None:
    stage = Stage()
    sender = stage.party()
    voice, picture = sender.adds("audio", 2), sender.adds("video", 1)
    for sequence in (0, 1, 3):
        sender.send(audio(sequence))
    assert stage.engine.holed() == []
    for sequence in (0, 1, 3):
        sender.send(video(sequence))
    assert stage.engine.holed() == [picture]
    assert stage.engine.missing(voice, stage.now_ns + 1000 * MS, 0) == []


# ----------------------------------------------------------------------- probing


def test_probe__newest_packets_again__then_padding() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    for sequence in range(3):
        sender.send(video(sequence, key=sequence == 0))
    originals = receiver.received()
    sent_bytes = stage.engine.probe(leg, 1000, stage.now_ns)
    datagrams = receiver.datagrams()
    assert sum(map(len, datagrams)) == sent_bytes
    assert 1000 <= sent_bytes <= 1300
    received = [RtpPacket.parse(receiver.keys.unprotect(data)) for data in datagrams]
    assert [packet.payload[2:] for packet in received[:3]] == [
        packet.payload for packet in reversed(originals)
    ]
    assert all(packet.padding_bytes and not packet.payload for packet in received[3:])
    assert {packet.ssrc for packet in received} == {RTX_SSRC}
    assert [packet.sequence - received[0].sequence for packet in received] == list(
        range(len(received))
    )
    assert stage.engine.sends(receiver.transport).next_sequence == 3 + len(received)


def test_probe__leg_has_shown_nothing_yet__padding_before_the_first_picture() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    assert stage.engine.probe(leg, 1000, stage.now_ns) >= 1000
    padding = receiver.received()
    assert all(packet.padding_bytes and not packet.payload for packet in padding)
    sender.send(video(0, key=True))
    [first] = receiver.received()
    assert {packet.timestamp for packet in padding} == {first.timestamp}


def test_probe__leg_shows_nothing_any_more__padding_in_its_time() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees_modern(sender.adds_modern(1))
    sender.send(video(0, key=True))
    [sent] = receiver.received()
    stage.engine.select(leg, None)
    assert stage.engine.probe(leg, 200, stage.now_ns) >= 200
    [padding] = receiver.received()
    assert (padding.payload, padding.timestamp) == (b"", sent.timestamp)


def test_probe__without_rtx__nothing() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(0, key=True))
    receiver.datagrams()
    assert stage.engine.probe(leg, 500, stage.now_ns) == 0
    assert receiver.datagrams() == []
