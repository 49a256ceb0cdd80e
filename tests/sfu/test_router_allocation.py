from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.ids import SourceId
from sfu.router.allocation import (
    Allocation,
    Allocator,
    Ceiling,
    LayerRate,
    Priority,
    Wish,
)

MS = 1_000_000
S = 1_000_000_000
AUDIO_BPS = 40_000

#: Simulcast of a camera, each layer with and without its upper temporal half.
CAMERA = tuple(
    LayerRate(spatial, temporal, height, int(bps * share))
    for spatial, height, bps in [(0, 180, 150_000), (1, 360, 500_000), (2, 720, 1_500_000)]
    for temporal, share in [(0, 0.6), (1, 1.0)]
)
SCREEN = (LayerRate(0, 0, 1080, 900_000),)


def wish(
    seat: int = 0,
    height_px: int = 720,
    priority: Priority = "other",
    layers: tuple[LayerRate, ...] = CAMERA,
    source: str = "",
) -> Wish:
    return Wish(seat, SourceId(source or f"source{seat}"), height_px, priority, layers)


class Viewer:
    """An allocator and its time: each decision is 200 ms after the one before."""

    def __init__(self) -> None:
        self.allocator = Allocator()
        self.now_ns = 0

    def decide(
        self,
        *wishes: Wish,
        budget_bps: int,
        ceiling: Ceiling = Ceiling(),  # noqa: B008  frozen
        proved: bool = False,
    ) -> Allocation:
        self.now_ns += 200 * MS
        return self.allocator.decide(
            wishes,
            budget_bps=budget_bps,
            audio_bps=AUDIO_BPS,
            now_ns=self.now_ns,
            ceiling=ceiling,
            proved=proved,
        )

    def after(self, seconds: float, *wishes: Wish, budget_bps: int) -> Allocation:
        for _ in range(int(seconds * 5)):
            allocation = self.decide(*wishes, budget_bps=budget_bps)
        return allocation


def shown(allocation: Allocation) -> list[tuple[int, int] | str]:
    """Of each seat (spatial, temporal), or why there is no picture."""
    return [
        c.picture if c.layer is None else (c.layer.spatial, c.layer.temporal)
        for c in allocation.choices
    ]


def test_rich_path__what_is_drawn_and_no_more() -> None:
    seats = [wish(0, 720), wish(1, 400), wish(2, 200), wish(3, 1)]
    allocation = Viewer().decide(*seats, budget_bps=20_000_000)
    assert shown(allocation) == [(2, 1), (1, 1), (0, 1), (0, 1)]
    assert allocation.wanted_bps == allocation.used_bps == AUDIO_BPS + 2_300_000


def test_no_picture__each_reason() -> None:
    seats = [wish(0, 0), wish(1, layers=()), wish(2), wish(3, priority="pinned")]
    allocation = Viewer().decide(*seats, budget_bps=10**7, ceiling=Ceiling(voices=True))
    assert shown(allocation) == ["hidden", "off", "busy", (2, 1)]
    assert shown(Viewer().decide(wish(), budget_bps=60_000)) == ["network"]


def test_ceiling__lower_layers_only_but_never_none() -> None:
    seats = [wish(0), wish(1, layers=CAMERA[4:])]
    allocation = Viewer().decide(*seats, budget_bps=10**7, ceiling=Ceiling(spatial=0))
    assert shown(allocation) == [(0, 1), (2, 1)]


def test_poor_path__everybody_first_then_by_priority() -> None:
    seats = [wish(0), wish(1, priority="speaking"), wish(2, priority="pinned")]
    assert shown(Viewer().decide(*seats, budget_bps=320_000)) == [(0, 0), (0, 0), (0, 0)]
    assert shown(Viewer().decide(*seats, budget_bps=1_500_000)) == [(0, 1), (0, 1), (2, 0)]
    assert shown(Viewer().decide(*seats, budget_bps=250_000)) == ["network", (0, 0), (0, 0)]


def test_screen__before_pinned() -> None:
    seats = [wish(0, priority="pinned"), wish(1, 1080, "screen", SCREEN)]
    assert shown(Viewer().decide(*seats, budget_bps=1_000_000)) == ["network", (0, 0)]


def test_equals__rise_together() -> None:
    allocation = Viewer().decide(wish(0), wish(1), budget_bps=1_300_000)
    assert shown(allocation) == [(1, 1), (1, 1)]


def test_over_budget__down_at_once_up_after_a_while() -> None:
    viewer = Viewer()
    assert shown(viewer.decide(wish(), budget_bps=3_000_000)) == [(2, 1)]
    assert shown(viewer.decide(wish(), budget_bps=400_000)) == [(1, 0)]
    assert shown(viewer.after(1.4, wish(), budget_bps=3_000_000)) == [(1, 0)]
    assert shown(viewer.after(0.4, wish(), budget_bps=3_000_000)) == [(2, 1)]


def test_up__only_with_room_to_spare() -> None:
    viewer = Viewer()
    viewer.decide(wish(), budget_bps=600_000)
    viewer.decide(wish(), budget_bps=400_000)
    assert shown(viewer.after(10, wish(), budget_bps=550_000)) == [(1, 0)]
    assert shown(viewer.after(2, wish(), budget_bps=620_000)) == [(1, 1)]


def test_up__proved_by_a_probe__at_once() -> None:
    viewer = Viewer()
    viewer.decide(wish(), budget_bps=400_000)
    assert shown(viewer.decide(wish(), budget_bps=3_000_000)) == [(1, 0)]
    assert shown(viewer.decide(wish(), budget_bps=3_000_000, proved=True)) == [(2, 1)]


def test_stopped_picture__back_after_two_seconds_of_room() -> None:
    viewer = Viewer()
    assert shown(viewer.decide(wish(), budget_bps=100_000)) == ["network"]
    assert shown(viewer.after(10, wish(), budget_bps=130_000)) == ["network"]
    assert shown(viewer.after(1.9, wish(), budget_bps=200_000)) == ["network"]
    assert shown(viewer.after(0.4, wish(), budget_bps=200_000)) == [(0, 0)]


def test_new_picture__at_once_as_good_as_there_was_room_for() -> None:
    viewer = Viewer()
    viewer.after(3, wish(0, 180), budget_bps=1_000_000)
    seats = wish(0, 180), wish(1, 720, "pinned")
    assert shown(viewer.decide(*seats, budget_bps=1_000_000)) == [(0, 1), (1, 1)]


def test_pinned_picture__takes_from_the_others() -> None:
    viewer = Viewer()
    seats = wish(0), wish(1)
    assert shown(viewer.after(3, *seats, budget_bps=1_800_000))[0] == (2, 0)
    pinned = wish(0, 180), wish(1, 720, "pinned")
    assert shown(viewer.after(2, *pinned, budget_bps=1_800_000)) == [(0, 1), (2, 0)]


def test_step_up_that_failed__waits_longer_each_time() -> None:
    viewer = Viewer()
    waits = []
    viewer.decide(wish(), budget_bps=400_000)
    for _ in range(4):
        steps = 0
        while shown(viewer.decide(wish(), budget_bps=2_500_000)) != [(2, 1)]:
            steps += 1
        waits.append(steps)
        viewer.decide(wish(), budget_bps=400_000)
    assert waits == sorted(waits)
    assert waits[-1] >= 2 * waits[0]
    viewer.after(40, wish(), budget_bps=400_000)
    assert shown(viewer.after(2, wish(), budget_bps=2_500_000)) == [(2, 1)]


def test_noisy_estimate__no_flapping() -> None:
    chance = random.Random(1)
    viewer = Viewer()
    seen = []
    for _ in range(600):
        budget = int(1_100_000 * chance.uniform(0.85, 1.15))
        seen.append(shown(viewer.decide(wish(), budget_bps=budget)))
    assert sum(a != b for a, b in pairwise(seen)) <= 12


def test_rates_that_wander__satisfied_viewer_keeps_its_layers() -> None:
    chance = random.Random(2)
    viewer = Viewer()
    for _ in range(200):
        share = chance.uniform(0.7, 1.2)
        layers = tuple(
            LayerRate(x.spatial, x.temporal, x.height_px, int(x.bps * share)) for x in CAMERA
        )
        assert shown(viewer.decide(wish(layers=layers), budget_bps=2_500_000)) == [(2, 1)]


rates = st.builds(
    LayerRate,
    st.integers(0, 2),
    st.integers(0, 3),
    st.sampled_from([90, 180, 360, 720, 1080]),
    st.integers(1, 3_000_000),
)
priorities: st.SearchStrategy[Priority] = st.sampled_from(["screen", "pinned", "speaking", "other"])
rooms = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([0, 90, 180, 360, 720]),
        priorities,
        st.lists(rates, max_size=6, unique_by=lambda x: (x.spatial, x.temporal)).map(tuple),
    ),
    max_size=5,
).map(
    lambda rows: tuple(
        Wish(seat, SourceId(source), height, priority, layers)
        for seat, (source, height, priority, layers) in enumerate(rows)
    )
)
moments = st.lists(
    st.tuples(rooms, st.integers(0, 6_000_000), st.integers(0, 3 * S), st.booleans()), max_size=8
)


@settings(max_examples=200, deadline=None)
@given(moments)
def test_anything__within_budget_complete_and_by_priority(
    history: list[tuple[tuple[Wish, ...], int, int, bool]],
) -> None:
    allocator = Allocator()
    now_ns = 0
    for wishes, budget_bps, later_ns, proved in history:
        now_ns += later_ns
        allocation = allocator.decide(
            wishes, budget_bps=budget_bps, audio_bps=AUDIO_BPS, now_ns=now_ns, proved=proved
        )
        layers = [c.layer for c in allocation.choices if c.layer is not None]
        assert allocation.used_bps == AUDIO_BPS + sum(layer.bps for layer in layers)
        assert allocation.used_bps <= max(AUDIO_BPS, budget_bps)
        assert allocation.used_bps <= allocation.wanted_bps
        assert [c.seat for c in allocation.choices] == [w.seat for w in wishes]
        for choice, wished in zip(allocation.choices, wishes, strict=True):
            assert (choice.layer is None) == (choice.picture != "shown")
            assert choice.layer is None or choice.layer in wished.layers
            assert (choice.picture == "hidden") == (wished.height_px == 0)


@settings(max_examples=200, deadline=None)
@given(rooms, st.integers(0, 6_000_000))
def test_first_decision__nobody_is_left_out_for_a_lesser_one(
    wishes: tuple[Wish, ...], budget_bps: int
) -> None:
    order = ["screen", "pinned", "speaking", "other"]
    allocation = Allocator().decide(wishes, budget_bps=budget_bps, audio_bps=0, now_ns=0)
    for choice, wished in zip(allocation.choices, wishes, strict=True):
        if choice.picture != "network":
            continue
        greater = [
            c.layer.bps
            for c, w in zip(allocation.choices, wishes, strict=True)
            if c.layer is not None and order.index(w.priority) <= order.index(wished.priority)
        ]
        # What was given to its betters and equals leaves no room for its lowest layer.
        lowest = min(layer.spatial for layer in wished.layers)
        cheapest = min(layer.bps for layer in wished.layers if layer.spatial == lowest)
        assert sum(greater) + cheapest > budget_bps


@settings(max_examples=50, deadline=None)
@given(rooms, st.integers(0, 6_000_000), st.integers(2, 20))
def test_nothing_changes__settles(wishes: tuple[Wish, ...], budget_bps: int, often: int) -> None:
    allocator = Allocator()
    seen = [
        allocator.decide(wishes, budget_bps=budget_bps, audio_bps=0, now_ns=n * 500 * MS)
        for n in range(often + 20)
    ]
    assert all(allocation == seen[-1] for allocation in seen[20:])
