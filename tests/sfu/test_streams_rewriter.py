from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.payload import build_vp8, parse_vp8
from sfu.rtp.serial import unwrap_16
from sfu.streams.header import LegHeader
from sfu.streams.history import StreamPacket
from sfu.streams.layers import LayerFilter
from sfu.streams.reception import MAX_DROPOUT
from sfu.streams.rewriter import Rewriter

NOW_NS = 1_700_000_000_000_000_000
SSRC = 0xCAFE
FIRST_SEQUENCE, FIRST_TIME = 100, 0xFFFF_FF00
LEAD = 0x90E0
PT = 97
MS = 1_000_000


def rewriter(header: LegHeader | None = None) -> Rewriter:
    return Rewriter(header or LegHeader(SSRC), first_sequence=FIRST_SEQUENCE, first_time=FIRST_TIME)


def packet(
    index: int, time: int = 0, at_ns: int = NOW_NS, payload: bytes = b"media"
) -> StreamPacket:
    made = StreamPacket()
    made.index, made.timestamp, made.arrival_ns, made.payload = index, time, at_ns, payload
    return made


def vp8(index: int, picture_id: int, tl0: int, at_ns: int = NOW_NS) -> StreamPacket:
    made = packet(index, index * 3000 & 0xFFFF_FFFF, at_ns, b"\x20\1frame")
    made.descriptor, made.picture_id, made.tl0 = LEAD, picture_id, tl0
    return made


def written(leg: Rewriter, made: StreamPacket) -> RtpPacket:
    return RtpPacket.parse(leg.write(made, 0, 0))


def late(leg: Rewriter, made: StreamPacket) -> RtpPacket | None:
    data = leg.write_late(made, 0, 0)
    return None if data is None else RtpPacket.parse(data)


def started(made: StreamPacket) -> Rewriter:
    leg = rewriter()
    leg.start(made, "VP8", PT, 90_000)
    return leg


def test_write__first_packet__begins_at_the_given_numbers() -> None:
    made = packet(4000, 77)
    made.marker = 0x80
    sent = written(started(made), made)
    assert sent == RtpPacket(PT, FIRST_SEQUENCE, FIRST_TIME, SSRC, b"media", marker=True)


def test_write__holes_and_order__are_kept() -> None:
    leg = started(packet(10))
    sent = [written(leg, packet(10)), written(leg, packet(12)), late(leg, packet(11))]
    sent += [written(leg, packet(15)), late(leg, packet(13))]
    assert [made.sequence - FIRST_SEQUENCE for made in sent if made] == [0, 2, 1, 5, 3]


def test_write__mark__is_added_to_the_marker() -> None:
    assert RtpPacket.parse(started(packet(1)).write(packet(1), 0, 0x80)).marker


def test_write_late__before_the_start__nothing() -> None:
    assert late(started(packet(10)), packet(9)) is None


def test_start__after_a_switch__numbers_go_on_and_time_by_the_clock() -> None:
    leg = started(packet(10, 5000))
    written(leg, packet(10, 5000))
    newest = packet(11, 5960)
    before = written(leg, newest)
    leg.stop(newest, -1, -1)
    made = packet(60_000, 0xFFFF_FFF0, NOW_NS + 500 * MS)
    leg.start(made, "VP8", 98, 90_000)
    after = written(leg, made)
    assert after.payload_type == 98
    assert after.sequence == before.sequence + 1
    assert after.timestamp - before.timestamp & 0xFFFF_FFFF == 45_000
    assert late(leg, packet(12)) is None
    assert leg.time_of(made.timestamp + 7 & 0xFFFF_FFFF) == after.timestamp + 7


def test_start__shift_of_clocks_known__in_the_senders_time() -> None:
    leg = started(packet(10, 5000))
    newest = packet(11, 5960)
    before = written(leg, newest)
    leg.stop(newest, -1, -1)
    made = packet(7, 1000, NOW_NS + 50 * MS)
    leg.start(made, "VP8", PT, 90_000, 5960 + 3000 - 1000)
    assert written(leg, made).timestamp - before.timestamp & 0xFFFF_FFFF == 3000


def test_start__many_switches_to_an_earlier_picture__time_does_not_run_away() -> None:
    """Layer B is a picture behind layer A, so half of the switches would step back."""
    leg, now_ns, first = rewriter(), NOW_NS, None
    for number in range(100):
        captured = 3000 * (number // 2)
        origin, before = ((0, 50_000), (50_000, 0))[number % 2]
        made = packet(number, captured + origin, now_ns)
        leg.start(made, "VP8", PT, 90_000, before - origin if number else None)
        sent = written(leg, made)
        first = sent if first is None else first
        leg.stop(made, -1, -1)
        now_ns += 16 * MS
    assert first is not None
    assert sent.timestamp - first.timestamp & 0xFFFF_FFFF == 3000 * 49 + 1


def test_start__at_the_same_instant__time_moves_on() -> None:
    newest = packet(10, 5000)
    leg = started(newest)
    before = written(leg, newest)
    leg.stop(newest, -1, -1)
    made = packet(3, 3, NOW_NS - 1)
    leg.start(made, "VP8", PT, 90_000)
    assert written(leg, made).timestamp - before.timestamp & 0xFFFF_FFFF == 1


def test_stop__tells_the_newest_time() -> None:
    fresh = rewriter()
    assert fresh.stopped_time == FIRST_TIME
    leg = started(packet(10, 5000))
    newest = packet(12, 8000)
    time = written(leg, newest).timestamp
    leg.stop(newest, -1, -1)
    assert leg.stopped_time == time


def test_skip__padding__leaves_no_hole() -> None:
    leg = started(packet(10))
    sent = []
    for index in range(10, 30):
        if index % 3 == 2:
            leg.skip(index)
        else:
            sent.append(written(leg, packet(index)).sequence - FIRST_SEQUENCE)
    assert sent == list(range(len(sent)))


def test_skip__then_a_packet_from_before_it__falls_where_it_belongs() -> None:
    leg = started(packet(10))
    written(leg, packet(10))
    leg.skip(13)
    assert written(leg, packet(14)).sequence == FIRST_SEQUENCE + 3
    found = [late(leg, packet(index)) for index in (12, 11, 13)]
    assert [made.sequence if made else None for made in found] == [
        FIRST_SEQUENCE + 2,
        FIRST_SEQUENCE + 1,
        None,
    ]


def test_skip__several_at_once__leaves_no_hole() -> None:
    leg = started(packet(10))
    written(leg, packet(10))
    leg.skip(14, 12)
    assert written(leg, packet(15)).sequence == FIRST_SEQUENCE + 2
    assert late(leg, packet(13)) is None
    filled = late(leg, packet(11))
    assert filled is not None
    assert filled.sequence == FIRST_SEQUENCE + 1


def test_skip__from_before_what_was_stepped_over_already__only_once() -> None:
    leg = started(packet(10))
    written(leg, packet(10))
    leg.skip(14, 12)
    leg.skip(16, 13)
    assert written(leg, packet(17)).sequence == FIRST_SEQUENCE + 2


def test_skip__before_anything_was_written__the_next_packet_is_the_first() -> None:
    leg = started(packet(10))
    leg.skip(10)
    assert written(leg, packet(11)).sequence == FIRST_SEQUENCE


def test_leap__sender_starts_anew__leaves_no_hole() -> None:
    leg = started(packet(10))
    written(leg, packet(10))
    step = MAX_DROPOUT + 1
    leg.leap(step, 10 + step)
    assert written(leg, packet(10 + step)).sequence == FIRST_SEQUENCE + 1
    assert late(leg, packet(9 + step)) is None
    again = late(leg, packet(10))
    assert again is not None
    assert again.sequence == FIRST_SEQUENCE


def test_index_of__knows_what_went_out() -> None:
    leg = started(packet(10))
    assert leg.index_of(FIRST_SEQUENCE, 9) is None
    for index in (10, 11, 13):
        written(leg, packet(index))
    leg.skip(14)
    written(leg, packet(15))
    found = [leg.index_of(FIRST_SEQUENCE + number & 0xFFFF, 15) for number in range(-1, 6)]
    assert found == [None, 10, 11, 12, 13, 15, None]


def test_sequence_of__is_what_went_out() -> None:
    leg = started(packet(10))
    sent = {index: written(leg, packet(index)).sequence for index in (10, 11, 13)}
    leg.skip(14)
    sent[15] = written(leg, packet(15)).sequence
    assert {index: leg.sequence_of(index) for index in sent} == sent
    assert [leg.sequence_of(index) for index in (9, 14)] == [None, None]


def test_vp8__switch__picture_id_and_tl0_go_on_across_their_wraps() -> None:
    leg = started(vp8(10, 0x7FFE, 254))
    newest = vp8(11, 0x7FFF, 255)
    sent = [written(leg, vp8(10, 0x7FFE, 254)), written(leg, newest)]
    leg.stop(newest, 0x7FFF, 255)
    other = vp8(500, 40, 7, NOW_NS + 1)
    leg.start(other, "VP8", PT, 90_000)
    sent += [written(leg, other), written(leg, vp8(501, 41, 8, NOW_NS + 2))]
    found = [parse_vp8(bytes(made.payload), 0, len(made.payload)) for made in sent]
    assert [descriptor.picture_id for descriptor in found] == [0x7FFE, 0x7FFF, 0, 1]
    assert [descriptor.tl0 for descriptor in found] == [254, 255, 0, 1]
    assert all(descriptor.lead == LEAD for descriptor in found)


def test_vp8__no_tl0__only_the_picture_id_is_written() -> None:
    made = packet(1, payload=b"\1frame")
    made.descriptor, made.picture_id = 0x9080, 9
    assert written(started(made), made).payload == build_vp8(0x9080, 9, -1) + b"\1frame"


def test_vp8__dropped_pictures__are_not_counted() -> None:
    leg = started(vp8(0, 10, 1))
    written(leg, vp8(0, 10, 1))
    for index in (1, 2):
        leg.drop(vp8(index, 11, 1), index)
    leg.drop(vp8(3, 12, 1), 3)
    newest = vp8(4, 13, 2)
    assert written(leg, newest).payload[:5] == build_vp8(LEAD, 11, 2)
    leg.stop(newest, 13, 2)
    other = vp8(50, 0, 0)
    leg.start(other, "VP8", PT, 90_000)
    assert written(leg, other).payload[:5] == build_vp8(LEAD, 12, 3)


def test_extensions__mid_level_and_stamp__as_the_leg_says() -> None:
    leg = rewriter(LegHeader(SSRC, mid="0", mid_id=4, audio_level_id=1, transport_cc_id=9))
    loud, unknown = packet(1), packet(2)
    loud.level = 0x95
    leg.start(loud, "opus", PT, 48_000)
    first, second = leg.write(loud, 0x1234, 0), leg.write(unknown, 0xFFFF, 0)
    assert (value(first, 4), value(first, 1), value(first, 9)) == (b"0", b"\x95", b"\x12\x34")
    assert (value(second, 4), value(second, 1), value(second, 9)) == (b"0", None, b"\xff\xff")
    assert RtpPacket.parse(first).payload == RtpPacket.parse(second).payload == b"media"


# ---------------------------------------------------------------- properties


@dataclass
class Picture:
    """One VP8 picture of a source: its packets, in order."""

    temporal: int
    packets: list[StreamPacket]


def pictures(
    source: int, first_index: int, first_picture: int, sizes: list[tuple[int, int]]
) -> Iterator[Picture]:
    """Pictures of (temporal layer, packets) each; the first is a key frame."""
    index, tl0 = first_index, 0
    for number, (temporal, count) in enumerate(sizes):
        temporal = 0 if number == 0 else temporal
        tl0 += temporal == 0
        made = []
        for at in range(count):
            each = vp8(index, first_picture + number & 0x7FFF, tl0 & 0xFF)
            each.timestamp = (first_picture + number) * 3000 & 0xFFFF_FFFF
            each.payload = b"%d/%d" % (source, index)
            each.temporal, each.begins, each.key_frame = temporal, at == 0, number == at == 0
            each.marker = 0x80 if at == count - 1 else 0
            each.switch_from, each.switch_to = temporal - 1, temporal
            made.append(each)
            index += 1
        yield Picture(temporal, made)


@dataclass
class Leg:
    """A leg that is driven as the engine does; everything that it sent, by its own number."""

    limits: LayerFilter = field(default_factory=LayerFilter)
    out: Rewriter = field(default_factory=rewriter)
    sent: dict[int, bytes] = field(default_factory=dict)
    seen: dict[int, StreamPacket] = field(default_factory=dict)
    newest: StreamPacket | None = None
    highest: int = FIRST_SEQUENCE - 1

    def begin(self, first: StreamPacket) -> None:
        if self.newest is not None:
            self.out.stop(self.newest, self.newest.picture_id, self.newest.tl0)
        self.limits.start()
        self.seen.clear()
        self.out.start(first, "VP8", PT, 90_000)
        self.newest = None

    def take(self, made: StreamPacket) -> None:
        self.seen[made.index] = made
        if self.newest is not None and made.index < self.newest.index:
            if self.limits.admits_late(made):
                self.note(self.out.write_late(made, 0, 0))
            return
        step = 1 if self.newest is None else made.index - self.newest.index
        self.newest = made
        if self.limits.admits(made):
            self.limits.forwards()
            self.note(self.out.write(made, 0, 0))
        else:
            self.out.drop(made, self.limits.drops(made, step))

    def note(self, data: bytes | None) -> None:
        if data is None:
            return
        sequence = unwrap_16(RtpPacket.parse(data).sequence, self.highest)
        assert self.sent.setdefault(sequence, data) == data, "one number, two packets"
        self.highest = max(self.highest, sequence)

    def check_repeats(self) -> None:
        """What is asked for again is the same bytes."""
        assert self.newest is not None
        for sequence, data in self.sent.items():
            index = self.out.index_of(sequence & 0xFFFF, self.newest.index)
            if index is not None and index in self.seen:
                assert self.out.sequence_of(index) == sequence & 0xFFFF
                assert self.out.write_late(self.seen[index], 0, 0) == data


#: Sources that follow each other: (first index, first picture id, limit, pictures).
sources = st.lists(
    st.tuples(
        st.integers(0, 70_000),
        st.integers(0, 0x7FFF),
        st.lists(st.integers(0, 2), min_size=1, max_size=4),
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=20),
    ),
    min_size=1,
    max_size=4,
)


@given(sources)
def test_rewriter__drops_and_switches_without_loss__no_gap_anywhere(
    shown: list[tuple[int, int, list[int], list[tuple[int, int]]]],
) -> None:
    leg = Leg()
    for source, (index, picture_id, limits, sizes) in enumerate(shown):
        for number, picture in enumerate(pictures(source, index, picture_id, sizes)):
            leg.limits.want(7, limits[number % len(limits)])
            if number == 0:
                leg.begin(picture.packets[0])
            for made in picture.packets:
                leg.take(made)
        leg.check_repeats()
    assert sorted(leg.sent) == list(range(FIRST_SEQUENCE, FIRST_SEQUENCE + len(leg.sent)))
    found = [RtpPacket.parse(leg.sent[sequence]) for sequence in sorted(leg.sent)]
    ids = [int.from_bytes(made.payload[2:4], "big") & 0x7FFF for made in found]
    ends = [made.marker for made in found]
    for (one, ended), other in zip(zip(ids, ends, strict=True), ids[1:], strict=False):
        assert other - one & 0x7FFF == ended
    times = [made.timestamp for made in found]
    assert all(b - a & 0xFFFF_FFFF < 1 << 31 for a, b in itertools.pairwise(times))


@given(sources, st.randoms(use_true_random=False))
def test_rewriter__loss_and_late_packets__one_packet_for_a_number_one_picture_for_an_id(
    shown: list[tuple[int, int, list[int], list[tuple[int, int]]]], chance: Random
) -> None:
    leg = Leg()
    for source, (index, picture_id, limits, sizes) in enumerate(shown):
        held_back: list[StreamPacket] = []
        for number, picture in enumerate(pictures(source, index, picture_id, sizes)):
            leg.limits.want(7, limits[number % len(limits)])
            if number == 0:
                leg.begin(picture.packets[0])
            for made in picture.packets:
                if made.key_frame or chance.random() < 0.7:
                    leg.take(made)
                else:
                    held_back.append(made)
                while held_back and chance.random() < 0.3:
                    leg.take(held_back.pop(chance.randrange(len(held_back))))
        leg.check_repeats()
        one_picture_for_an_id(leg, source)


def one_picture_for_an_id(leg: Leg, source: int) -> None:
    times: dict[int, int] = {}
    for data in leg.sent.values():
        made = RtpPacket.parse(data)
        if made.payload[5:].startswith(b"%d/" % source):
            picture_id = int.from_bytes(made.payload[2:4], "big")
            assert times.setdefault(picture_id, made.timestamp) == made.timestamp
