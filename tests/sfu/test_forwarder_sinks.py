from __future__ import annotations

from sfu.forwarder.contract import LegHandle
from sfu.rtp.packet import RtpPacket
from sfu.streams.nack import FIRST_ASK_NS
from tests.sfu.forwarding import MS, START_NS, VP8_PT, Stage, audio, layered, numbers, video


class Recorder:
    """What a sink delivered, as packets."""

    def __init__(self) -> None:
        self.packets: list[RtpPacket] = []
        self.times_ns: list[int] = []

    def deliver(self, packet: bytes, now_ns: int) -> None:
        self.packets.append(RtpPacket.parse(packet))
        self.times_ns.append(now_ns)


def test_sink__gets_each_packet_in_order_of_arrival_with_numbers_of_its_own() -> None:
    stage, recorder = Stage(), Recorder()
    sender = stage.party()
    sink = stage.engine.add_sink("video", ["VP8"], recorder.deliver)
    stage.engine.select(sink, sender.adds("video", 1))
    for sequence in (1, 3, 2):
        stage.now_ns += MS
        sender.send(video(sequence, key=sequence == 1))
    sender.send(RtpPacket(VP8_PT, 4, 0, 1, b"", padding_bytes=9))
    sender.send(video(5))
    assert numbers(recorder.packets) == [1, 3, 2, 5]
    first = recorder.packets[0].sequence
    assert [packet.sequence - first for packet in recorder.packets] == [0, 2, 1, 3]
    assert recorder.times_ns[:3] == [START_NS + number * MS for number in (1, 2, 3)]
    assert {packet.payload_type for packet in recorder.packets} == {96}
    assert all(packet.extension_profile is None for packet in recorder.packets)
    counters = stage.engine.leg_counters(sink)
    assert (counters.packets, counters.resent) == (4, 0)
    stage.engine.remove_leg(sink)
    sender.send(video(6, key=True))
    assert len(recorder.packets) == 4


def test_sink__audio__begins_at_once_and_tells_its_time() -> None:
    stage, recorder = Stage(), Recorder()
    sender = stage.party()
    sink = stage.engine.add_sink("audio", ["opus"], recorder.deliver)
    stage.engine.select(sink, sender.adds("audio", 2))
    sender.send(audio(7))
    [packet] = recorder.packets
    assert (packet.payload, packet.payload_type) == (b"opus 7", 111)
    assert stage.engine.leg_time(sink, 7 * 960) == packet.timestamp


def test_sink__a_packet_overtaken_by_others__brings_none_from_before_it_was_to_take_them() -> None:
    stage, heard, seen = Stage(), Recorder(), Recorder()
    sender = stage.party()
    voice, picture = sender.adds("audio", 2), sender.adds("video", 1)
    for sequence in (0, 2, 3):
        sender.send(audio(sequence))
        sender.send(video(sequence))
    stage.engine.select(stage.engine.add_sink("audio", ["opus"], heard.deliver), voice)
    stage.engine.select(stage.engine.add_sink("video", ["VP8"], seen.deliver), picture)
    sender.send(audio(1))
    sender.send(video(1, key=True))
    assert heard.packets == seen.packets == []
    sender.send(audio(4))
    sender.send(video(5))
    sender.send(video(4, key=True))
    assert [packet.payload for packet in heard.packets] == [b"opus 4"]
    assert numbers(seen.packets) == [4, 5]


def test_sink__switch_between_layers__leaves_no_mark() -> None:
    stage, recorder = Stage(), Recorder()
    sender = stage.party()
    low, high = sender.adds("video", 1), sender.adds("video", 5)
    sink = stage.engine.add_sink("video", ["VP8"], recorder.deliver)
    stage.engine.select(sink, low)
    sender.send(video(10, key=True))
    stage.engine.select(sink, high)
    sender.send(video(11))
    stage.now_ns += 33 * MS
    sender.send(video(900, ssrc=5, key=True))
    assert numbers(recorder.packets) == [10, 11, 900]
    first = recorder.packets[0]
    assert [packet.sequence - first.sequence for packet in recorder.packets] == [0, 1, 2]
    assert {packet.ssrc for packet in recorder.packets} == {first.ssrc}


def test_sink__limited__gets_the_lower_layers() -> None:
    stage, recorder = Stage(), Recorder()
    sender = stage.party()
    sink = stage.engine.add_sink("video", ["VP8"], recorder.deliver)
    stage.engine.limit(sink, 0, 0)
    stage.engine.select(sink, sender.adds("video", 1))
    for sequence in range(6):
        sender.send(layered(sequence, sequence % 2, key=sequence == 0))
    assert numbers(recorder.packets) == [0, 2, 4]


def test_sink__removed_while_another_delivers__gets_nothing_more() -> None:
    stage, recorder = Stage(), Recorder()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    sinks: list[LegHandle] = []

    def end_all(packet: bytes, now_ns: int) -> None:
        for sink in sinks:
            stage.engine.remove_leg(sink)

    sinks.append(stage.engine.add_sink("video", ["VP8"], end_all))
    sinks.append(stage.engine.add_sink("video", ["VP8"], recorder.deliver))
    for sink in sinks:
        stage.engine.select(sink, stream)
    sender.send(video(1, key=True))
    sender.send(video(2))
    assert recorder.packets == []
    assert numbers(receiver.received()) == [1, 2]


def test_discard__is_counted_and_goes_nowhere() -> None:
    stage, recorder = Stage(), Recorder()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("audio", 2)
    leg = receiver.sees(stream, "audio")
    stage.engine.select(stage.engine.add_sink("audio", ["opus"], recorder.deliver), stream)
    sender.send(audio(1))
    first = receiver.received()[0]
    stage.engine.drain_levels()
    stage.engine.set_discard(stream, True)
    for sequence in (2, 3, 5):
        sender.send(audio(sequence))
    assert (receiver.received(), stage.engine.drain_levels()) == ([], [])
    assert len(recorder.packets) == 1
    assert stage.engine.resend(leg, [first.sequence], stage.now_ns) == []
    assert stage.engine.missing(stream, stage.now_ns + FIRST_ASK_NS, 0) == []
    counters = stage.engine.stream_counters(stream)
    assert (counters.packets, counters.lost) == (4, 1)
    stage.engine.set_discard(stream, False)
    sender.send(audio(6))
    [again] = receiver.received()
    assert (again.payload, again.sequence) == (b"opus 6", first.sequence + 1)
    assert [packet.payload for packet in recorder.packets] == [b"opus 1", b"opus 6"]
    assert stage.engine.resend(leg, [first.sequence], stage.now_ns) == []
