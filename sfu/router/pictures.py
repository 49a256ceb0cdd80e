"""Which layer each of a viewer's seats shows: what was decided for it, and what there is to show.

`sfu.router.allocation` decides by the view and the network. A layer that it chose may not come
now: its sender has just been asked for it, or cannot send it. Then the next lower one is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sfu.control.messages import PictureState
from sfu.ids import PeerId, SourceId
from sfu.router.allocation import Allocation, Ceiling, LayerRate, Priority, Wish
from sfu.router.downlink import Downlink
from sfu.router.ladder import Ladder
from sfu.router.stream import Stream
from sfu.router.subscriber import ALL_LAYERS, Leg, Seat, Subscriber

#: How long a leg that shows nothing yet may wait for its key frame request before another layer
#: is asked instead.
_PATIENCE_NS = 200_000_000


@dataclass(frozen=True, slots=True)
class Scene:
    """What a viewer could see: the video of each source that is permitted, and who matters."""

    ladders: Mapping[SourceId, Ladder]
    pinned: Collection[SourceId]
    speaking: Collection[PeerId]
    ceiling: Ceiling


def settle_pictures(subscriber: Subscriber, downlink: Downlink, scene: Scene, now_ns: int) -> bool:
    """Decide and carry out; whether the viewer is to be told of another state of a seat."""
    seats = [seat for seat in subscriber if seat.video is not None and seat.source is not None]
    wishes = [_wish(seat, scene) for seat in seats]
    audio_bps = _audio_bps(subscriber)
    pictures_bps = max(_least_bps(wishes), _held_bps(seats, wishes, downlink.allocation))
    budget_bps = downlink.budget_bps(audio_bps + pictures_bps)
    allocation = downlink.allocator.decide(
        wishes,
        budget_bps=budget_bps,
        audio_bps=audio_bps,
        now_ns=now_ns,
        ceiling=scene.ceiling,
        proved=downlink.proved(now_ns),
    )
    downlink.decided(allocation)
    return _carry_out(subscriber, seats, scene, allocation, budget_bps, now_ns)


def _carry_out(
    subscriber: Subscriber,
    seats: list[Seat],
    scene: Scene,
    allocation: Allocation,
    budget_bps: int,
    now_ns: int,
) -> bool:
    """Show what was decided for `seats`, and nothing on those that are empty; whether the viewer
    is to be told.
    """
    spare_bps = budget_bps - allocation.used_bps
    short = allocation.used_bps < allocation.wanted_bps
    changed = False
    for seat in subscriber:
        if seat.video is not None and seat.source is None:
            subscriber.show(seat.video, None)
            changed |= _tell(seat, "off")
    for seat, choice in zip(seats, allocation.choices, strict=True):
        ladder = scene.ladders.get(seat.source) if seat.source is not None else None
        picture: PictureState = choice.picture
        if seat.video is None:
            continue
        if ladder is None:
            subscriber.show(seat.video, None)
        elif choice.layer is None:
            subscriber.pause(seat.video)
        else:
            shown = seat.video.shown
            seat.video.hurries = short and shown is not None and shown.layer > choice.layer.spatial
            beyond_bps = _show(subscriber, seat.video, ladder, choice.layer, spare_bps, now_ns)
            if ladder.is_still(now_ns):
                picture = "off"
            elif beyond_bps is None:
                # Who has seen nothing of it yet does not miss it.
                picture = "network" if seat.picture == "shown" else seat.picture
            spare_bps -= beyond_bps or 0
        changed |= _tell(seat, picture)
    return changed


def _wish(seat: Seat, scene: Scene) -> Wish:
    assert seat.source is not None
    ladder = scene.ladders.get(seat.source)
    priority: Priority = "other"
    if ladder is not None and ladder.screen:
        priority = "screen"
    elif seat.source in scene.pinned:
        priority = "pinned"
    elif ladder is not None and ladder.peer in scene.speaking:
        priority = "speaking"
    decodable = seat.video is not None and ladder is not None and _decodes(seat.video, ladder)
    layers = ladder.rungs if ladder is not None and decodable and ladder.is_there else ()
    return Wish(seat.audio.seat, seat.source, seat.height_px, priority, layers)


def _decodes(leg: Leg, ladder: Ladder) -> bool:
    codecs = leg.payload_types()
    return all(stream.codec in codecs for stream in ladder.streams())


def _least_bps(wishes: list[Wish]) -> int:
    """What the first picture costs at least."""
    seen = [wish for wish in wishes if wish.height_px and wish.layers]
    return min((min(layer.bps for layer in wish.layers) for wish in seen), default=0)


def _held_bps(seats: list[Seat], wishes: list[Wish], before: Allocation | None) -> int:
    """What the pictures cost by now that were decided before, and are wished for still."""
    decided = {} if before is None else {choice.seat: choice.layer for choice in before.choices}
    held_bps = 0
    for seat, wish in zip(seats, wishes, strict=True):
        layer, leg = decided.get(wish.seat), seat.video
        if layer is None or leg is None or leg.stream is None or not wish.height_px:
            continue
        if leg.stream.source == wish.source:
            same = (x.bps for x in wish.layers if _is_same(x, layer))
            held_bps += next(same, 0)
    return held_bps


def _is_same(layer: LayerRate, other: LayerRate) -> bool:
    return (layer.spatial, layer.temporal) == (other.spatial, other.temporal)


def _audio_bps(subscriber: Subscriber) -> int:
    """What the voices take."""
    streams = (seat.audio.stream for seat in subscriber)
    return sum(stream.meter.total_bps() for stream in streams if stream is not None)


def _show(
    subscriber: Subscriber,
    leg: Leg,
    ladder: Ladder,
    rung: LayerRate,
    spare_bps: int,
    now_ns: int,
) -> int | None:
    """How much more what is shown costs until the rung comes; None when it does not fit."""
    if ladder.top == 0:
        ladder.want(0, now_ns)
        subscriber.show(leg, ladder.layers[0].stream, (rung.spatial, rung.temporal))
        return 0
    ladder.want(rung.spatial, now_ns)
    stream = _choose(leg, ladder, rung.spatial, now_ns)
    if stream is None:
        subscriber.pause(leg)
        return 0
    temporal, beyond_bps = ALL_LAYERS[1], 0
    if stream.layer == rung.spatial:
        temporal = rung.temporal
    elif stream.layer > rung.spatial:
        fitting = ladder.fitting(stream.layer, spare_bps + rung.bps)
        if fitting is None:
            subscriber.pause(leg)
            return None
        temporal, beyond_bps = fitting.temporal, max(0, fitting.bps - rung.bps)
    for now in (stream, leg.shown):
        # What is shown must go on until the other comes.
        if now is not None and now.source == ladder.source:
            ladder.want(now.layer, now_ns)
    subscriber.show(leg, stream, (ALL_LAYERS[0], temporal))
    return beyond_bps


def _choose(leg: Leg, ladder: Ladder, index: int, now_ns: int) -> Stream | None:
    """The stream for a layer: itself, or what stands in for it until it comes."""
    wanted = ladder.layers[index].stream
    lower = ladder.best_flowing(index - 1)
    if wanted is not None and ladder.flows(index):
        return _first(leg, ladder, index, now_ns) if leg.shown is None else wanted
    if lower is not None:
        # What is shown goes on while the leg waits for the first key frame of the other.
        return wanted if wanted is not None and leg.shown is lower else lower
    return ladder.least_flowing(index) or wanted


def _first(leg: Leg, ladder: Ladder, index: int, now_ns: int) -> Stream | None:
    """What a leg that shows nothing yet begins with: what it already waits for, else the best
    layer whose sender may be asked for a key frame soon.
    """
    flowing = [
        layer.stream
        for place, layer in enumerate(ladder.layers[: index + 1])
        if layer.stream is not None and ladder.flows(place)
    ]
    if leg.stream in flowing and not leg.paused:
        return leg.stream
    for stream in reversed(flowing):
        if stream.key_frame_is_coming:
            return stream
        if stream.throttle.wait_ns(now_ns) <= _PATIENCE_NS:
            return stream
    return flowing[-1]


def _tell(seat: Seat, picture: PictureState) -> bool:
    changed, seat.picture = seat.picture != picture, picture
    return changed


def pictures(subscriber: Subscriber) -> Iterator[PictureState]:
    """The state of each seat as it was last decided."""
    return (seat.picture for seat in subscriber)
