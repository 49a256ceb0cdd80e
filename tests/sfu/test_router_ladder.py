"""One picture's layers by themselves: what flows, what it costs, what its sender is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from sfu.forwarder.contract import StreamHandle
from sfu.ids import PeerId, SourceId
from sfu.router.ladder import Ladder
from sfu.router.stream import Stream
from sfu.transport.description import parse_offer
from tests.sfu.offers import offer
from tests.sfu.simulcast import CAMERA, RIDS

MS = 1_000_000
SECOND = 1000 * MS
START = 1_700_000_000 * SECOND


class Sender:
    """A ladder and the counters of its streams, which grow as the test says."""

    def __init__(self, rids: tuple[str, ...] = RIDS) -> None:
        self.ladder = Ladder(SourceId("an/camera"), PeerId("an"), rids, screen=False)
        self.now_ns = START
        self.packets: dict[StreamHandle, int] = {}
        self.bytes: dict[StreamHandle, list[int]] = {}

    def begin(self, layer: int) -> Stream:
        section = parse_offer(offer("mic", CAMERA)).sections[1]
        handle = StreamHandle(layer + 1)
        self.packets[handle], self.bytes[handle] = 0, [0] * 16
        source = SourceId("an/camera")
        form = section.codecs[0]
        stream = Stream(handle, PeerId("an"), source, section, form, layer, True, "", layer)
        self.ladder.find(stream)
        return stream

    def run(self, seconds: float, rates: Mapping[int, Sequence[int]], *wanted: int) -> None:
        """Send so many bytes a second on each layer, by temporal layer; take the `wanted`."""
        for _ in range(round(seconds * 5)):
            self.now_ns += 200 * MS
            for layer, sizes in rates.items():
                handle = StreamHandle(layer + 1)
                self.packets[handle] += 5
                for temporal, size in enumerate(sizes):
                    self.bytes[handle][temporal] += size // 5
            for layer in wanted:
                self.ladder.want(layer, self.now_ns)
            self.ladder.measure(lambda s: (self.packets[s], self.bytes[s]), self.now_ns)
            self.ladder.stop_idle(self.now_ns)

    def told(self) -> list[bool]:
        return [layer.told for layer in self.ladder.layers]


@pytest.fixture
def sender() -> Sender:
    sender = Sender()
    for layer in range(3):
        sender.begin(layer)
    return sender


ALL = {0: [15_000], 1: [60_000], 2: [180_000]}


def test_rungs__before_anything_came__are_guesses() -> None:
    rungs = Sender().ladder.rungs
    assert [rung.spatial for rung in rungs] == [0, 1, 2]
    assert [rung.height_px for rung in rungs] == [180, 360, 720]


def test_rungs__cost_what_was_measured(sender: Sender) -> None:
    sender.run(3, ALL, 0, 1, 2)
    costs = [rung.bps for rung in sender.ladder.rungs]
    assert costs == pytest.approx([128_000, 488_000, 1_448_000], rel=0.01)


def test_rungs__of_the_lowest_layer__go_down_by_frames(sender: Sender) -> None:
    sender.run(3, {**ALL, 0: [8_000, 4_000, 3_000]}, 0, 1, 2)
    rungs = sender.ladder.rungs
    assert [(rung.spatial, rung.temporal) for rung in rungs] == [
        (0, 0), (0, 1), (0, 7), (1, 7), (2, 7),
    ]  # fmt: skip
    assert rungs[0].bps < rungs[1].bps < rungs[2].bps


def test_rungs__of_one_stream_with_spatial_layers() -> None:
    sender = Sender(("",))
    stream = sender.begin(0)
    rates = [0] * 16
    rates[0], rates[1], rates[4], rates[8] = 8_000, 4_000, 40_000, 100_000
    sender.run(2, {0: rates}, 0)
    rungs = sender.ladder.rungs
    assert [(r.spatial, r.temporal, r.height_px) for r in rungs] == [
        (0, 0, 180), (0, 7, 180), (1, 7, 360), (2, 7, 720),
    ]  # fmt: skip
    assert rungs[-1].bps == stream.meter.total_bps()


def test_unwanted__two_seconds__is_stopped_and_starts_at_once(sender: Sender) -> None:
    sender.run(1.8, ALL, 0)
    assert sender.told() == [True, True, True]
    sender.run(1, ALL, 0)
    assert sender.told() == [True, False, False]
    sender.ladder.changed = False
    sender.ladder.want(2, sender.now_ns)
    assert sender.ladder.changed
    assert sender.told() == [True, False, True]


def test_unwanted__that_never_came__is_stopped_two_seconds_after_it_does() -> None:
    sender = Sender()
    sender.run(1, {}, 0)
    sender.run(10, {})
    assert sender.told() == [True, True, True]
    sender.begin(0)
    sender.run(1.8, {0: ALL[0]})
    assert sender.told() == [True, True, True]
    sender.run(0.6, {0: ALL[0]})
    assert sender.told() == [False, False, False], "those that did not come, too"


def test_flows__a_layer_without_packets_for_half_a_second__does_not(sender: Sender) -> None:
    sender.run(1, ALL, 0, 1, 2)
    sender.run(0.4, {0: ALL[0], 1: ALL[1]}, 0, 1, 2)
    assert sender.ladder.flows(2)
    sender.run(0.4, {0: ALL[0], 1: ALL[1]}, 0, 1, 2)
    assert not sender.ladder.flows(2)
    best = sender.ladder.best_flowing(2)
    assert best is not None
    assert best.layer == 1


def test_all_silent__is_no_reason_to_step_down(sender: Sender) -> None:
    sender.run(1, ALL, 0, 1, 2)
    sender.run(3, {}, 0, 1, 2)
    assert all(sender.ladder.flows(layer) for layer in range(3))


def is_still(sender: Sender) -> bool:
    return sender.ladder.is_still(sender.now_ns)


@pytest.mark.parametrize("layers", [(0,), (0, 1, 2)])
def test_still__five_seconds_without_a_packet__and_no_more_with_the_next(
    layers: tuple[int, ...],
) -> None:
    sender = Sender(RIDS if len(layers) > 1 else ("",))
    for layer in layers:
        sender.begin(layer)
    coming = {layer: ALL[layer] for layer in layers}
    sender.run(7, coming, *layers)
    sender.run(4.8, {}, *layers)
    assert not is_still(sender)
    sender.run(0.6, {}, *layers)
    assert is_still(sender)
    sender.run(0.2, coming, *layers)
    assert not is_still(sender)


def test_still__counts_from_when_somebody_asked(sender: Sender) -> None:
    sender.run(1, ALL, 2)
    sender.run(60, {})
    assert not is_still(sender), "nobody asked for it"
    sender.run(4.8, {}, 2)
    assert not is_still(sender)
    sender.run(0.6, {}, 2)
    assert is_still(sender)
    sender.run(60, {})
    sender.run(1, {}, 2)
    assert not is_still(sender), "who asked before has gone"


def test_still__the_lower_layers_are_asked_for_too_and_stay_so(sender: Sender) -> None:
    sender.run(4, ALL, 1)
    assert sender.told() == [False, True, False]
    sender.run(4.8, {}, 1)
    assert sender.told() == [False, True, False]
    sender.run(0.6, {}, 1)
    assert sender.told() == [True, True, False]
    sender.ladder.changed = False
    sender.run(20, {}, 1)
    assert (sender.told(), sender.ladder.changed) == ([True, True, False], False)
    sender.run(4, {0: ALL[0]}, 0, 1)
    best = sender.ladder.best_flowing(1)
    assert best is not None
    assert best.layer == 0


def test_wanted__that_does_not_come__rests_and_is_tried_again(sender: Sender) -> None:
    sender.run(1, ALL, 0, 1, 2)
    low = {0: ALL[0], 1: ALL[1]}
    sender.run(4, low, 1, 2)
    assert [rung.spatial for rung in sender.ladder.rungs] == [0, 1]
    sender.run(10, low, 1)
    assert sender.told()[2]  # it was asked for and stays so
    assert [rung.spatial for rung in sender.ladder.rungs] == [0, 1]
    sender.run(11, low, 1)
    assert [rung.spatial for rung in sender.ladder.rungs] == [0, 1, 2]


def test_rest__ends_when_the_layer_comes(sender: Sender) -> None:
    sender.run(1, ALL, 0, 1, 2)
    sender.run(4, {0: ALL[0], 1: ALL[1]}, 1, 2)
    sender.run(0.4, ALL, 1)
    assert [rung.spatial for rung in sender.ladder.rungs] == [0, 1, 2]


def test_fitting__is_the_most_frames_that_cost_so_little(sender: Sender) -> None:
    sender.begin(1)
    sender.run(3, {1: (30_000, 15_000, 15_000)}, 1)
    ladder = sender.ladder
    whole_bps = ladder.cost_bps(1)
    found = [ladder.fitting(1, most) for most in (whole_bps, whole_bps - 1, whole_bps * 2 // 3)]
    assert [(rung.temporal, rung.bps) for rung in found if rung is not None] == [
        (7, whole_bps), (1, whole_bps * 3 // 4), (0, whole_bps // 2),
    ]  # fmt: skip
    assert ladder.fitting(1, whole_bps // 3) is None
