"""Which layer each seat of one viewer gets, within what the path carries. Pure.

Voices are paid first and always. Then screens, what is pinned, who speaks, the others: each in
this order gets its lowest layer, then in this order its better ones, up to what is drawn; equals
rise together. Down at once, up only into what was there for a while, so that layers don't flap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from sfu.control.messages import PictureState
from sfu.ids import SourceId

#: First come, first served by this order.
Priority = Literal["screen", "pinned", "speaking", "other"]
_ORDER: dict[Priority, int] = {"screen": 0, "pinned": 1, "speaking": 2, "other": 3}

#: A picture may be drawn so many times as tall as it is before a taller one is worth it.
_SHARP = 1.2
#: What is added must fit with this much to spare: rates are not steady.
_MARGIN = 1.15
#: For so long must there have been room for a better layer; for a picture that was stopped.
_UP_NS = 1_500_000_000
_BACK_NS = 2_000_000_000
#: What had to be given up so soon was raised too early: the next time waits twice as long.
_FAILED_NS = 5_000_000_000
_MAX_UP_NS = 4_000_000_000
_FORGIVEN_NS = 30_000_000_000


@dataclass(frozen=True, slots=True)
class LayerRate:
    """One choice for a picture: `spatial` is the simulcast or SVC layer, `height_px` its height.

    `bps` is the rate of all that this choice forwards, lower layers that it needs included.
    """

    spatial: int
    temporal: int
    height_px: int
    bps: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What one seat would show, drawn `height_px` tall (0: hidden).

    `layers` are all choices, in any order; none when the source sends no picture.
    """

    seat: int
    source: SourceId
    height_px: int
    priority: Priority
    layers: tuple[LayerRate, ...]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What a busy node still does: layers up to `spatial`; `voices`: screens and pinned only."""

    spatial: int = 7
    voices: bool = False


NO_CEILING = Ceiling()


@dataclass(frozen=True, slots=True)
class Choice:
    """A seat's layer, or None with the reason in `picture`."""

    seat: int
    layer: LayerRate | None
    picture: PictureState


@dataclass(frozen=True, slots=True)
class Allocation:
    """`choices` are in the order of the wishes.

    `wanted_bps` is what all wishes would cost, `used_bps` what the choices cost; voices included.
    """

    choices: tuple[Choice, ...]
    wanted_bps: int
    used_bps: int


@dataclass(slots=True)
class _Need:
    """A seat that has something to show: its choices, cheapest first, and places among them.

    Place -1 is no picture. `held` is where it was, `cap` how high it may go now.
    """

    wish: Wish
    ladder: tuple[LayerRate, ...]
    held: int
    stopped: bool
    cap: int = -1
    place: int = -1


class Allocator:
    """Decides for one viewer. Call `decide` when something changed, and every 100 to 500 ms."""

    def __init__(self) -> None:
        self._shown: dict[int, tuple[SourceId, LayerRate | None]] = {}
        self._budgets: deque[tuple[int, int]] = deque()
        self._raised_ns: int | None = None
        self._failed_ns: int | None = None
        self._proved_ns: int | None = None
        self._failures = 0
        self._last: tuple[tuple[Wish, ...], int, Ceiling, Allocation] | None = None

    def decide(
        self,
        wishes: Sequence[Wish],
        *,
        budget_bps: int,
        audio_bps: int,
        now_ns: int,
        ceiling: Ceiling = NO_CEILING,
        proved: bool = False,
    ) -> Allocation:
        """A layer for each wish; all together, with the voices, cost no more than `budget_bps`.

        `audio_bps` is what the voices take. `proved` says that a probe has just shown the budget
        to be there: better layers need not wait for time to show it.
        """
        budget = max(0, budget_bps - audio_bps)
        self._note(budget, now_ns, proved=proved)
        if self._last is not None:
            before, audio, limit, allocation = self._last
            satisfied = allocation.used_bps == allocation.wanted_bps <= budget_bps
            if satisfied and before == tuple(wishes) and audio == audio_bps and limit == ceiling:
                return allocation
        needs = self._needs(wishes, ceiling)
        order = sorted(needs, key=lambda need: _ORDER[need.wish.priority])
        self._place(order, budget, now_ns)
        self._judge(order, budget, now_ns)
        allocation = self._allocation(wishes, needs, ceiling, audio_bps)
        self._last = tuple(wishes), audio_bps, ceiling, allocation
        return allocation

    def _needs(self, wishes: Sequence[Wish], ceiling: Ceiling) -> list[_Need]:
        needs = []
        for wish in wishes:
            if _reason(wish, ceiling) is not None:
                continue
            ladder = _ladder(wish, ceiling)
            source, layer = self._shown.get(wish.seat, (None, None))
            if source != wish.source:
                needs.append(_Need(wish, ladder, held=-1, stopped=False))
                continue
            held = -1 if layer is None else _place_of(layer, ladder)
            needs.append(_Need(wish, ladder, held=held, stopped=layer is None))
        return needs

    def _place(self, order: Sequence[_Need], budget: int, now_ns: int) -> None:
        """Give each need its place."""
        for need in order:
            need.cap = len(need.ladder) - 1
        _fill(order, int(self._lowest(self._wait_ns(now_ns), now_ns) / _MARGIN))
        back = self._lowest(_BACK_NS, now_ns) / _MARGIN
        for need in order:
            if need.stopped:
                # Below the margin nothing is left to the stopped: what goes on comes first.
                rises = need.place >= 0 and need.ladder[0].bps <= back
                need.cap = need.place if rises else -1
            else:
                need.cap = max(need.place, need.held, 0)
        _fill(order, budget)

    def _judge(self, order: Sequence[_Need], budget: int, now_ns: int) -> None:
        """Learn from what had to be taken back."""
        held = sum(need.ladder[need.held].bps for need in order if need.held >= 0)
        raised_ns = self._raised_ns
        if held > budget and raised_ns is not None and now_ns - raised_ns < _FAILED_NS:
            self._failures += 1
            self._failed_ns = now_ns
            self._raised_ns = None
        elif any(need.place > need.held and (need.held >= 0 or need.stopped) for need in order):
            self._raised_ns = now_ns

    def _allocation(
        self, wishes: Sequence[Wish], needs: Sequence[_Need], ceiling: Ceiling, audio_bps: int
    ) -> Allocation:
        by_seat = {need.wish.seat: need for need in needs}
        self._shown.clear()
        choices = []
        for wish in wishes:
            reason = _reason(wish, ceiling)
            layer = None
            if reason is None:
                need = by_seat[wish.seat]
                layer = need.ladder[need.place] if need.place >= 0 else None
                self._shown[wish.seat] = wish.source, layer
                reason = "network" if layer is None else "shown"
            choices.append(Choice(wish.seat, layer, reason))
        used = sum(choice.layer.bps for choice in choices if choice.layer is not None)
        wanted = sum(need.ladder[-1].bps for need in needs)
        return Allocation(tuple(choices), audio_bps + wanted, audio_bps + used)

    def _note(self, budget: int, now_ns: int, *, proved: bool) -> None:
        budgets = self._budgets
        if proved and not self._failures:
            self._proved_ns = now_ns
        budgets.append((now_ns, budget))
        # Only the budget that was in force when the longest wait began matters of what is older.
        while len(budgets) > 1 and budgets[1][0] <= now_ns - _MAX_UP_NS:
            budgets.popleft()

    def _lowest(self, wait_ns: int, now_ns: int) -> int:
        """The least that there was in the last `wait_ns`."""
        lowest = self._budgets[-1][1]
        for noted_ns, budget in reversed(self._budgets):
            lowest = min(lowest, budget)
            if noted_ns <= now_ns - wait_ns:
                break
        return lowest

    def _wait_ns(self, now_ns: int) -> int:
        if self._failed_ns is not None and now_ns - self._failed_ns >= _FORGIVEN_NS:
            self._failed_ns = None
            self._failures = 0
        wait_ns = min(_UP_NS << min(self._failures, 4), _MAX_UP_NS)
        if self._proved_ns is not None and not self._failures:
            return min(wait_ns, now_ns - self._proved_ns)
        return wait_ns


def _reason(wish: Wish, ceiling: Ceiling) -> PictureState | None:
    """Why there can be no picture, whatever the path carries; None when there can."""
    if wish.height_px <= 0:
        return "hidden"
    if not wish.layers:
        return "off"
    if ceiling.voices and wish.priority not in ("screen", "pinned"):
        return "busy"
    return None


def _ladder(wish: Wish, ceiling: Ceiling) -> tuple[LayerRate, ...]:
    """The choices that make sense, each better and dearer than the one before; at least one."""
    layers = sorted(wish.layers, key=lambda layer: (layer.spatial, layer.temporal))
    tall_enough = [x.spatial for x in layers if x.height_px * _SHARP >= wish.height_px]
    top = min(tall_enough[0] if tall_enough else layers[-1].spatial, ceiling.spatial)
    top = max(top, layers[0].spatial)
    ladder: list[LayerRate] = []
    for layer in reversed(layers):
        if layer.spatial <= top and (not ladder or layer.bps < ladder[-1].bps):
            ladder.append(layer)
    return tuple(reversed(ladder))


def _place_of(layer: LayerRate, ladder: Sequence[LayerRate]) -> int:
    """The place of the best choice that is no better than `layer`."""
    at_most = (layer.spatial, layer.temporal)
    fitting = [i for i, x in enumerate(ladder) if (x.spatial, x.temporal) <= at_most]
    return fitting[-1] if fitting else 0


def _fill(order: Sequence[_Need], budget: int) -> None:
    """Place the needs, in order of priority, as high as their caps and the budget allow."""
    left = budget
    for need in order:
        need.place = -1
        if need.cap >= 0 and need.ladder[0].bps <= left:
            need.place = 0
            left -= need.ladder[0].bps
    for _, group in groupby(order, key=lambda need: need.wish.priority):
        rising = [need for need in group if 0 <= need.place < need.cap]
        while rising:
            still = []
            for need in rising:
                cost = need.ladder[need.place + 1].bps - need.ladder[need.place].bps
                if cost > left:
                    continue
                left -= cost
                need.place += 1
                if need.place < need.cap:
                    still.append(need)
            rising = still
