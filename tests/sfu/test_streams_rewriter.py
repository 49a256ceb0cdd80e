from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import extension_block, value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.payload import build_vp8, parse_vp8
from sfu.rtp.serial import unwrap_16
from sfu.streams.history import StreamPacket
from sfu.streams.reception import MAX_DROPOUT
from sfu.streams.rewriter import Rewriter

NOW_NS = 1_700_000_000_000_000_000
SSRC = 0xCAFE
FIRST_SEQUENCE, FIRST_TIME = 100, 0xFFFF_FF00
LEAD = 0x90E0
PT = 97


def rewriter() -> Rewriter:
    return Rewriter(SSRC, first_sequence=FIRST_SEQUENCE, first_time=FIRST_TIME)


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
    data = leg.write(made)
    assert data is not None
    return RtpPacket.parse(data)


def started(made: StreamPacket) -> Rewriter:
    leg = rewriter()
    leg.start(made, PT, 90_000)
    return leg


def test_write__first_packet__begins_at_the_given_numbers() -> None:
    made = packet(4000, 77)
    made.marker = 0x80
    sent = written(started(made), made)
    assert sent == RtpPacket(PT, FIRST_SEQUENCE, FIRST_TIME, SSRC, b"media", marker=True)


def test_write__holes_and_order__are_kept() -> None:
    leg = started(packet(10))
    sent = [written(leg, packet(index, index)).sequence for index in (10, 12, 11, 15, 13)]
    assert [number - FIRST_SEQUENCE for number in sent] == [0, 2, 1, 5, 3]


def test_write__before_the_start__nothing() -> None:
    leg = started(packet(10))
    assert leg.write(packet(9)) is None


def test_start__after_a_switch__numbers_go_on_and_time_by_the_clock() -> None:
    leg = started(packet(10, 5000))
    written(leg, packet(10, 5000))
    before = written(leg, packet(11, 5960))
    made = packet(60_000, 0xFFFF_FFF0, NOW_NS + 500_000_000)
    leg.start(made, 98, 90_000)
    after = written(leg, made)
    assert after.payload_type == 98
    assert after.sequence == before.sequence + 1
    assert after.timestamp - before.timestamp & 0xFFFF_FFFF == 45_000
    assert leg.write(packet(12)) is None
    assert leg.time_of(made.timestamp + 7 & 0xFFFF_FFFF) == after.timestamp + 7


def test_start__at_the_same_instant__time_moves_on() -> None:
    leg = started(packet(10, 5000))
    before = written(leg, packet(10, 5000))
    made = packet(3, 3, NOW_NS - 1)
    leg.start(made, PT, 90_000)
    assert written(leg, made).timestamp - before.timestamp & 0xFFFF_FFFF == 1


def test_skip__padding__leaves_no_hole() -> None:
    leg = started(packet(10))
    sent = []
    for index in range(10, 30):
        if index % 3 == 2:
            assert leg.skip(index)
        else:
            sent.append(written(leg, packet(index)).sequence - FIRST_SEQUENCE)
    assert sent == list(range(len(sent)))


def test_skip__padding_that_comes_late__is_not_stepped_over() -> None:
    leg = started(packet(10))
    written(leg, packet(10))
    written(leg, packet(12))
    assert not leg.skip(11)
    assert written(leg, packet(11, payload=b"")).sequence == FIRST_SEQUENCE + 1


def test_skip__then_a_packet_from_before_it__falls_where_it_belongs() -> None:
    leg = started(packet(10))
    written(leg, packet(10))
    assert leg.skip(13)
    assert written(leg, packet(14)).sequence == FIRST_SEQUENCE + 3
    assert written(leg, packet(12)).sequence == FIRST_SEQUENCE + 2
    assert written(leg, packet(11)).sequence == FIRST_SEQUENCE + 1
    assert leg.write(packet(13)) is None


def test_skip__before_anything_was_written__the_next_packet_is_the_first() -> None:
    leg = started(packet(10))
    assert leg.skip(10)
    assert written(leg, packet(11)).sequence == FIRST_SEQUENCE


def test_write__sender_starts_anew__leaves_no_hole() -> None:
    leg = started(packet(10))
    written(leg, packet(10))
    far = 11 + MAX_DROPOUT
    assert written(leg, packet(far)).sequence == FIRST_SEQUENCE + 1
    assert leg.write(packet(far - 1)) is None
    assert leg.skip(far + MAX_DROPOUT + 5)
    assert written(leg, packet(far + MAX_DROPOUT + 6)).sequence == FIRST_SEQUENCE + 2


def test_index_of__knows_what_went_out() -> None:
    leg = started(packet(10))
    assert leg.index_of(FIRST_SEQUENCE) is None
    for index in (10, 11, 13):
        written(leg, packet(index))
    leg.skip(14)
    written(leg, packet(15))
    found = [leg.index_of(FIRST_SEQUENCE + number & 0xFFFF) for number in range(-1, 6)]
    assert found == [None, 10, 11, 12, 13, 15, None]


def test_vp8__switch__picture_id_and_tl0_go_on_across_their_wraps() -> None:
    leg = started(vp8(10, 0x7FFE, 254))
    sent = [written(leg, vp8(10, 0x7FFE, 254)), written(leg, vp8(11, 0x7FFF, 255))]
    other = vp8(500, 40, 7, NOW_NS + 1)
    leg.start(other, PT, 90_000)
    sent += [written(leg, other), written(leg, vp8(501, 41, 8, NOW_NS + 2))]
    found = [parse_vp8(bytes(made.payload), 0, len(made.payload)) for made in sent]
    assert [descriptor.picture_id for descriptor in found] == [0x7FFE, 0x7FFF, 0, 1]
    assert [descriptor.tl0 for descriptor in found] == [254, 255, 0, 1]
    assert all(descriptor.lead == LEAD for descriptor in found)


def test_vp8__no_tl0__only_the_picture_id_is_written() -> None:
    made = packet(1, payload=b"\1frame")
    made.descriptor, made.picture_id = 0x9080, 9
    assert written(started(made), made).payload == build_vp8(0x9080, 9, -1) + b"\1frame"


def test_extensions__mid_and_level__as_the_leg_says() -> None:
    both = extension_block([(4, b"0"), (1, b"\0")])
    leg = Rewriter(
        SSRC,
        first_sequence=1,
        first_time=1,
        extension=extension_block([(4, b"0")]),
        level_extension=both[:-1],
    )
    loud, unknown = packet(1), packet(2)
    loud.level = 0x95
    leg.start(loud, PT, 48_000)
    first, second = leg.write(loud), leg.write(unknown)
    assert first is not None
    assert second is not None
    assert (value(first, 4), value(first, 1)) == (b"0", b"\x95")
    assert (value(second, 4), value(second, 1)) == (b"0", None)
    assert RtpPacket.parse(first).payload == RtpPacket.parse(second).payload == b"media"


# ---------------------------------------------------------------- properties


@dataclass
class Sent:
    """Everything a leg sent, by outgoing sequence number, unwrapped."""

    packets: dict[int, bytes] = field(default_factory=dict)
    newest: int = FIRST_SEQUENCE - 1

    def note(self, data: bytes) -> None:
        sequence = unwrap_16(RtpPacket.parse(data).sequence, self.newest)
        assert self.packets.setdefault(sequence, data) == data, "one number, two packets"
        self.newest = max(self.newest, sequence)


#: What the network and the slow path do with the next packet of the shown stream.
actions = st.lists(
    st.sampled_from(["next", "next", "next", "lose", "late", "padding", "leap", "switch", "pause"]),
    max_size=120,
)


@given(actions, st.integers(0, 70_000))
def test_rewriter__whatever_happens__one_packet_for_each_number(
    steps: list[str], first: int
) -> None:
    leg, sent, index, now_ns = started(packet(first)), Sent(), first, NOW_NS
    source, held_back, seen = 0, list[StreamPacket](), dict[int, StreamPacket]()
    for step in steps:
        now_ns += 1_000_000
        made = vp8(index, index * 7 & 0x7FFF, index & 0xFF, now_ns)
        made.payload = b"%d/%d" % (source, index)
        index += 1
        if step == "lose":
            held_back.append(made)
            continue
        if step in ("switch", "pause"):
            if step == "switch":
                source += 1
                index = (index * 31 + 5) % 70_000
                held_back.clear()
                seen.clear()
                made.index, made.payload = index, b"%d/%d" % (source, index)
                index += 1
            leg.start(made, PT, 90_000)
        elif step == "leap":
            index += MAX_DROPOUT
            made.index = index
            index += 1
        elif step == "padding":
            assert leg.skip(made.index)
            continue
        elif step == "late" and held_back:
            made = held_back.pop(0)
            index -= 1
        seen[made.index] = made
        data = leg.write(made)
        if data is not None:
            sent.note(data)
    for sequence, data in sent.packets.items():
        found = leg.index_of(sequence & 0xFFFF)
        if found is not None and found in seen:
            assert leg.write(seen[found]) == data


@given(st.lists(st.sampled_from(["next", "padding", "leap", "switch", "pause"]), max_size=100))
def test_rewriter__no_loss__numbers_without_a_gap_and_time_forward(steps: list[str]) -> None:
    leg, index, now_ns, time = started(packet(6)), 5, NOW_NS, 0
    sequences, times = [], []
    for step in steps:
        now_ns += 33_000_000
        time += 2970
        index += 1 + (MAX_DROPOUT if step == "leap" else 0)
        if step == "padding":
            leg.skip(index)
            continue
        if step == "switch":
            index, time = index * 7 % 60_000, time * 11
        made = packet(index, time & 0xFFFF_FFFF, now_ns)
        if step in ("switch", "pause"):
            leg.start(made, PT, 90_000)
        sent = written(leg, made)
        sequences.append(sent.sequence)
        times.append(sent.timestamp)
    assert sequences == [FIRST_SEQUENCE + number & 0xFFFF for number in range(len(sequences))]
    steps_forward = [b - a & 0xFFFF_FFFF for a, b in itertools.pairwise(times)]
    assert all(0 < forward < 90_000 * 10 for forward in steps_forward)
