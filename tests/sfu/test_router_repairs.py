"""What was lost and came again: the book-keeping, and a viewer on a path that loses."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sfu.router.repairs import KEEP_NS, MOST_UNASKED, Packet, Repairs
from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import Nack, ReceiverReport, TransportFeedback
from sfu.streams.congestion.arrivals import FeedbackBuilder
from tests.sfu.routing import MS, Stage, StagePeer, picture
from tests.sfu.simulcast import CC_ID, HEAR, SEE

NOW_NS = 1_700_000_000_000_000_000
LOST = Packet(900, 7)


def test_lost_and_not_asked_for__due_once() -> None:
    repairs = Repairs()
    repairs.told_lost(LOST, 1, NOW_NS)
    assert repairs.due(NOW_NS) == {900: [7]}
    assert repairs.due(NOW_NS) == {}
    assert (repairs.lost, repairs.repaired) == (1, 0)


def test_asked_for_before_it_is_told_to_be_lost__not_due() -> None:
    repairs = Repairs()
    repairs.repeated(900, [7], 5, NOW_NS)
    repairs.told_lost(LOST, 1, NOW_NS)
    assert repairs.due(NOW_NS) == {}
    repairs.arrived([4, 5, 6])
    assert (repairs.lost, repairs.repaired) == (1, 1)


def test_all_copies_are_lost__due_again_until_it_is_not_worth_it() -> None:
    repairs = Repairs()
    repairs.told_lost(LOST, 1, NOW_NS)
    for number in range(10, 10 + MOST_UNASKED):
        assert repairs.due(NOW_NS) == {900: [7]}
        repairs.repeated(900, [7, 7], 2 * number, NOW_NS)
        repairs.missed([2 * number])
        assert repairs.due(NOW_NS) == {}, "the other copy may come"
        repairs.missed([2 * number + 1])
    assert repairs.due(NOW_NS) == {}
    assert (repairs.lost, repairs.repaired) == (1, 0)


@pytest.mark.parametrize("came", [1, 20, 21])
def test_whichever_comes__late_or_again__repairs_it_once(came: int) -> None:
    repairs = Repairs()
    repairs.told_lost(LOST, 1, NOW_NS)
    repairs.repeated(900, [7, 7], 20, NOW_NS)
    repairs.missed({20, 21} - {came})
    repairs.arrived([came])
    repairs.arrived([1, 20, 21])
    assert (repairs.lost, repairs.repaired) == (1, 1)
    assert repairs.due(NOW_NS) == {}


def test_answer_that_is_told_of_before_the_loss__repairs_it() -> None:
    repairs = Repairs()
    repairs.repeated(900, [7], 5, NOW_NS)
    repairs.arrived([5])
    assert repairs.repaired == 0, "nothing was known to be lost"
    repairs.told_lost(LOST, 1, NOW_NS)
    assert (repairs.lost, repairs.repaired) == (1, 1)


def test_after_a_second__forgotten() -> None:
    repairs = Repairs()
    repairs.told_lost(LOST, 1, NOW_NS)
    repairs.repeated(900, [7], 5, NOW_NS)
    assert repairs
    assert repairs.due(NOW_NS + KEEP_NS + 1) == {}
    assert not repairs
    repairs.arrived([1, 5])
    assert repairs.repaired == 0


def test_asked_for_and_never_told_of__kept_no_longer() -> None:
    repairs = Repairs()
    for second in range(100):
        repairs.repeated(900, range(100), 100 * second, NOW_NS + second * 2 * KEEP_NS)
    assert len(repairs._open) == len(repairs._packets) == 100


class Books(RuleBasedStateMachine):
    """Anything in any order: what is counted and given out stays sane."""

    sequences = st.integers(0, 5)
    numbers = st.lists(st.integers(0, 40), max_size=4)

    def __init__(self) -> None:
        super().__init__()
        self.repairs = Repairs()
        self.now_ns = NOW_NS
        self.next = 20
        self.told: set[tuple[int, int]] = set()

    @rule(sequence=sequences)
    def lose(self, sequence: int) -> None:
        self.repairs.told_lost(Packet(900, sequence), sequence, self.now_ns)

    @rule(sequences=st.lists(sequences, max_size=3))
    def repeat(self, sequences: list[int]) -> None:
        self.repairs.repeated(900, sequences, self.next, self.now_ns)
        self.next += len(sequences)

    @rule(numbers=numbers)
    def miss(self, numbers: list[int]) -> None:
        self.repairs.missed(numbers)

    @rule(numbers=numbers)
    def arrive(self, numbers: list[int]) -> None:
        self.repairs.arrived(numbers)

    @rule()
    def take_due(self) -> None:
        for ssrc, sequences in self.repairs.due(self.now_ns).items():
            for sequence in sequences:
                repair = self.repairs._open[Packet(ssrc, sequence)]
                assert repair.lost
                assert not repair.came
                assert not repair.under_way

    @rule(share=st.floats(0, 2))
    def wait(self, share: float) -> None:
        self.now_ns += int(share * KEEP_NS)

    @invariant()
    def counts(self) -> None:
        assert 0 <= self.repairs.repaired <= self.repairs.lost

    @invariant()
    def numbers_lead_to_what_is_kept(self) -> None:
        kept = self.repairs._open
        assert set(self.repairs._packets.values()) <= kept.keys()
        assert sum(len(repair.numbers) for repair in kept.values()) == len(self.repairs._packets)


TestBooks = Books.TestCase


class Viewer:
    """A browser's way of taking pictures: it asks once for what it misses, and feeds back.

    Its path loses a share of the packets each way. `missed` are the packets that the path took,
    `got` those that came, by sequence number.
    """

    def __init__(self, peer: StagePeer, loss: float, seed: int, *, asks: bool = True) -> None:
        self.peer = peer
        self.loss = loss
        self.got: set[int] = set()
        self.missed: set[int] = set()
        self.repeats = 0
        self._asks = asks
        self._chance = random.Random(seed)
        self._builder = FeedbackBuilder()
        self._under_way: deque[tuple[int, RtpPacket]] = deque()
        self._highest: int | None = None
        self._told_ns = 0

    def carry(self) -> None:
        """Take what was sent since; it is 40 ms on its way. Feedback goes out each 60 ms."""
        now_ns = self.peer.stage.now_ns
        self._under_way += [(now_ns + 40 * MS, packet) for packet in self.peer.received()]
        while self._under_way and self._under_way[0][0] <= now_ns:
            self._take(self._under_way.popleft()[1], now_ns)
        if now_ns - self._told_ns >= 60 * MS:
            self._told_ns = now_ns
            for feedback in self._builder.take():
                if self._comes():
                    self.peer.report(ReceiverReport(1), feedback)

    def _take(self, packet: RtpPacket, now_ns: int) -> None:
        again = packet.ssrc != self.peer.ssrc(0, "video")
        came = self._comes()
        self.repeats += again
        if not again and not came:
            self.missed.add(packet.sequence)
        if not came:
            return
        number = value(bytes(packet), CC_ID)
        assert number is not None
        self._builder.note([(int.from_bytes(number, "big"), now_ns)])
        if again:
            self.got.add(int.from_bytes(packet.payload[:2], "big"))
            return
        self.got.add(packet.sequence)
        ahead = 1 if self._highest is None else packet.sequence - self._highest & 0xFFFF
        if ahead >= 0x8000:
            return
        self._highest = packet.sequence
        hole = tuple(packet.sequence - back & 0xFFFF for back in range(ahead - 1, 0, -1))
        if hole and self._asks and self._comes():
            self.peer.report(ReceiverReport(1), Nack(1, packet.ssrc, hole))

    def _comes(self) -> bool:
        return self._chance.random() >= self.loss


async def camera_and_viewer(stage: Stage) -> tuple[StagePeer, StagePeer]:
    an = await stage.peer("an", "mic", "cam").connected()
    return an, await stage.peer("binh", HEAR, SEE).connected()


def film(an: StagePeer, frames: int) -> None:
    """A frame of one packet each millisecond."""
    for number in range(frames):
        an.send(picture(number, key=number == 0))
        an.stage.now_ns += MS


async def watched(
    stage: Stage, loss: float, *, asks: bool = True, late: float = 0.0, frames: int = 4000
) -> Viewer:
    """A viewer of a camera whose path loses so much, after so many frames of one packet.

    A share of them comes to us `late`, by 60 ms.
    """
    an, binh = await camera_and_viewer(stage)
    viewer = Viewer(binh, loss, seed=7, asks=asks)
    chance = random.Random(8)
    held: deque[int] = deque()
    for number in range(frames):
        if number and chance.random() < late:
            held.append(number)
        else:
            an.send(picture(number, key=number == 0))
        if held and number - held[0] >= 6:
            an.send(picture(held.popleft()))
        stage.now_ns += 10 * MS
        viewer.carry()
    viewer.loss = 0.0
    for _ in range(50):
        stage.now_ns += 10 * MS
        viewer.carry()
    return viewer


@pytest.mark.parametrize("late", [0.0, 0.05])
async def test_path_that_loses_five_percent_each_way__nearly_all_comes_again(
    stage: Stage, late: float
) -> None:
    viewer = await watched(stage, 0.05, late=late)
    assert len(viewer.missed) > 150
    assert len(viewer.missed - viewer.got) <= 0.005 * len(viewer.missed)
    counters = stage.router.state.feedback
    assert 0.9 * len(viewer.missed) <= counters.video_lost <= len(viewer.missed)
    assert counters.video_repaired >= 0.99 * counters.video_lost
    assert viewer.repeats < 3 * len(viewer.missed), "two for each, and few more"


async def test_viewer_that_never_asks__is_sent_what_its_feedback_tells_to_be_lost(
    stage: Stage,
) -> None:
    viewer = await watched(stage, 0.05, asks=False)
    lost_and_told = stage.router.state.feedback.video_lost
    assert lost_and_told > 0.9 * len(viewer.missed)
    assert stage.router.state.feedback.video_repaired > 0.95 * lost_and_told


def tell(viewer: StagePeer, base: int, count: int, *arrived: int) -> None:
    """Feedback on so many numbers from `base` on, of which these arrived."""
    offsets = tuple(number - base for number in arrived)
    ticks = tuple(4 * number for number in arrived)
    viewer.report(ReceiverReport(1), TransportFeedback(1, 1, base, 0, 0, count, offsets, ticks))


def stamps(packets: list[RtpPacket]) -> list[int]:
    found = [value(bytes(packet), CC_ID) for packet in packets]
    return [int.from_bytes(stamp or b"", "big") for stamp in found]


async def test_repeat_gets_lost_too__another_and_it_counts_once_it_is_told_to_have_come(
    stage: Stage,
) -> None:
    an, binh = await camera_and_viewer(stage)
    counters = stage.router.state.feedback
    film(an, 20)
    sent = binh.received()
    assert stamps(sent) == list(range(20))
    tell(binh, 0, 20, *(number for number in range(20) if number != 5))
    assert (counters.video_lost, counters.video_repaired) == (1, 0)
    first = binh.received()
    assert {int.from_bytes(packet.payload[:2], "big") for packet in first} == {sent[5].sequence}
    an.send(picture(20))
    [newest] = stamps(binh.received())
    tell(binh, 20, newest - 19, newest)  # whatever was sent between did not come
    assert (counters.video_lost, counters.video_repaired) == (1, 0)
    second = binh.received()
    assert {int.from_bytes(packet.payload[:2], "big") for packet in second} == {sent[5].sequence}
    an.send(picture(21))
    came = stamps(second)[0]
    tell(binh, came, stamps(binh.received())[0] - came + 1, came)
    assert (counters.video_lost, counters.video_repaired) == (2, 1)  # the newest picture was lost


async def test_much_is_lost_at_once_and_nobody_asks__a_ration_comes_again(stage: Stage) -> None:
    an, binh = await camera_and_viewer(stage)
    film(an, 101)
    ssrc = binh.ssrc(0, "video")
    *_, last = [packet for packet in binh.received() if packet.ssrc == ssrc]
    stamp = value(bytes(last), CC_ID)
    assert stamp is not None
    told = TransportFeedback(1, 1, 0, 0, 0, int.from_bytes(stamp, "big") + 1, (100,), (400,))
    binh.report(ReceiverReport(1), told)
    assert stage.router.state.feedback.video_lost == 100
    again = [int.from_bytes(packet.payload[:2], "big") for packet in binh.received()]
    assert len(set(again)) == 30
    assert len(again) <= 60, "each once or twice"


async def test_hours_are_told_to_be_lost_at_once__the_newest_are_looked_at(stage: Stage) -> None:
    an, binh = await camera_and_viewer(stage)
    film(an, 1501)
    newest = stamps(binh.received())[-1]
    tell(binh, 0, newest + 1, newest)
    assert stage.router.state.feedback.video_lost == 1000
