"""The layers of one source's video: which flow, what each costs, and which its sender may stop.

A *rung* is what a viewer can be given of it, from the least to the whole. A simulcast layer is a
stream of its own; the layers of VP8 time, VP9 and AV1 are in one stream. Pure: the forwarder's
counters and the time are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sfu.forwarder.contract import StreamHandle
from sfu.ids import PeerId, SourceId
from sfu.router.allocation import LayerRate
from sfu.router.stream import Stream

ALL_TEMPORAL = 7
#: A layer that was not heard for so long, while another one was, is not sent now. Half a second is
#: seven frames of a camera in the dark.
_SILENT_NS = 500_000_000
#: A picture that nothing came of for so long is off; a still screen is sent once a second.
_STILL_NS = 5_000_000_000
#: A layer that nobody takes is stopped after so long: views change while somebody drags a window.
_UNWANTED_NS = 2_000_000_000
#: A layer that was asked for and does not come is one that its sender cannot send now (its network
#: or its processor is too weak); it is not counted on for a while.
_START_NS = 3_000_000_000
_REST_NS = 20_000_000_000
#: What layers cost and how tall they are until they were seen: a browser's 720p camera.
_NOMINAL_BPS = {1: (500_000,), 2: (200_000, 900_000), 3: (150_000, 500_000, 1_500_000)}
_HEIGHTS_PX = {1: (720,), 2: (360, 720), 3: (180, 360, 720)}
_SCREEN_HEIGHTS_PX = {1: (1080,), 2: (540, 1080), 3: (270, 540, 1080)}


@dataclass(slots=True)
class Layer:
    """One encoding. `told` is what its sender was last told: whether to send it."""

    rid: str
    height_px: int
    nominal_bps: int
    stream: Stream | None = None
    told: bool = True
    #: When somebody last took it, and since when somebody has been taking it; 0 for nobody.
    taken_ns: int = 0
    wanted_since_ns: int = 0
    #: Not counted on until then.
    rests_until_ns: int = 0
    #: What it cost when it last flowed; 0 for never.
    bps: int = 0


class Ladder:
    """One camera or screen. `find` and `lose` its streams; call `measure` often, then `stop_idle`.

    `want` is called by each viewer that takes a layer, each time that it is decided.
    """

    def __init__(self, source: SourceId, peer: PeerId, rids: tuple[str, ...], *, screen: bool):
        count = len(rids)
        heights = (_SCREEN_HEIGHTS_PX if screen else _HEIGHTS_PX)[count]
        self.source = source
        self.peer = peer
        self.rids = rids
        self.screen = screen
        self.layers = [
            Layer(rid, height, nominal)
            for rid, height, nominal in zip(rids, heights, _NOMINAL_BPS[count], strict=True)
        ]
        self.rungs: tuple[LayerRate, ...] = ()
        #: Whether what the sender is to send has changed since it was last read. It begins so: a
        #: sender that came anew may still go by what was told of its last connection.
        self.changed = True
        self._heard_ns = 0
        #: When the first of those wants was that nothing was heard since; 0 when nobody wants any.
        self._asked_ns = 0
        self._now_ns = 0
        self._climb()

    @property
    def top(self) -> int:
        """The index of the best layer."""
        return len(self.layers) - 1

    @property
    def is_there(self) -> bool:
        """Whether there is a picture, or one that its sender was told to stop."""
        return any(layer.stream is not None or not layer.told for layer in self.layers)

    def is_still(self, now_ns: int) -> bool:
        """Whether nothing has come of it for long, though it was asked for."""
        return bool(self._asked_ns) and now_ns - max(self._asked_ns, self._heard_ns) > _STILL_NS

    def streams(self) -> list[Stream]:
        """Those that are there, the lowest layer first."""
        return [layer.stream for layer in self.layers if layer.stream is not None]

    def find(self, stream: Stream) -> None:
        """A stream of this source appeared."""
        self.layers[stream.layer].stream = stream

    def lose(self, stream: Stream) -> None:
        """A stream is over."""
        if self.layers[stream.layer].stream is stream:
            self.layers[stream.layer].stream = None

    def measure(
        self, read: Callable[[StreamHandle], tuple[int, Sequence[int]]], now_ns: int
    ) -> None:
        """Read packets, and bytes by layer, of each stream."""
        self._now_ns = now_ns
        for layer in self.layers:
            if layer.stream is None:
                continue
            meter = layer.stream.meter
            meter.note(*read(layer.stream.handle), now_ns)
            self._heard_ns = max(self._heard_ns, meter.heard_ns)
            layer.bps = meter.total_bps() or layer.bps
        alive = self._heard_ns > now_ns - _SILENT_NS
        for index, layer in enumerate(self.layers):
            stream = layer.stream
            if stream is not None and (self.top or stream.meter.heard_ns == now_ns):
                stream.is_silent = not self.flows(index)
            self._judge(layer, now_ns, alive=alive, flows=self.flows(index))
        self._climb()

    def flows(self, index: int) -> bool:
        """Whether a layer comes now. The only one there is counts as coming, also when still."""
        stream = self.layers[index].stream
        if stream is None:
            return False
        if self.top == 0 or stream.meter.heard_ns == 0:
            return True  # a stream begins with its first packet
        return stream.meter.heard_ns > self._heard_ns - _SILENT_NS

    def best_flowing(self, most: int) -> Stream | None:
        """The best layer that comes now, not above `most`."""
        for index in range(min(most, self.top), -1, -1):
            if self.flows(index):
                return self.layers[index].stream
        return None

    def least_flowing(self, above: int) -> Stream | None:
        """The lowest layer above `above` that comes now."""
        for index in range(above + 1, self.top + 1):
            if self.flows(index):
                return self.layers[index].stream
        return None

    def cost_bps(self, index: int) -> int:
        """What a whole layer costs, by its last measure or else by guess."""
        layer = self.layers[index]
        return layer.bps or layer.nominal_bps

    def fitting(self, index: int, most_bps: int) -> LayerRate | None:
        """The most frames of a layer that cost at most so much; None when all cost more."""
        layer, whole = self.layers[index], self.cost_bps(index)
        rungs = [LayerRate(index, ALL_TEMPORAL, layer.height_px, whole)]
        if layer.stream is not None:
            rungs += _slower(layer.stream, 0, index, layer.height_px, whole)
        fitting = (rung for rung in rungs if rung.bps <= most_bps)
        return max(fitting, key=lambda rung: rung.temporal, default=None)

    def want(self, index: int, now_ns: int) -> None:
        """Somebody takes a layer. One that its sender had stopped is asked for at once.

        While nothing comes, those below it are asked for too: its sender may be able to send them.
        """
        if self._asked_ns <= self._heard_ns:
            self._asked_ns = now_ns
        for layer in self.layers[0 if self.is_still(now_ns) else index : index + 1]:
            layer.taken_ns = now_ns
            layer.wanted_since_ns = layer.wanted_since_ns or now_ns
            if not layer.told:
                layer.told = self.changed = True
                layer.wanted_since_ns = now_ns

    def stop_idle(self, now_ns: int) -> None:
        """Stop what nobody has taken for a while; what rests stays as it was told.

        While none has come yet their time does not run: told to stop, a camera that is off would
        look like a picture that only has to be asked for.
        """
        has_come = any(layer.stream is not None for layer in self.layers)
        if now_ns - max(layer.taken_ns for layer in self.layers) > _UNWANTED_NS:
            self._asked_ns = 0
        for layer in self.layers:
            if now_ns - layer.taken_ns > _UNWANTED_NS and layer.rests_until_ns <= now_ns:
                layer.wanted_since_ns = 0
                if not has_come:
                    layer.taken_ns = 0
                elif not layer.taken_ns:
                    layer.taken_ns = now_ns  # it has just begun: its time runs from now
                elif layer.told:
                    layer.told, self.changed = False, True

    def _judge(self, layer: Layer, now_ns: int, *, alive: bool, flows: bool) -> None:
        """Whether a layer that was asked for is to be counted on."""
        if flows:
            layer.rests_until_ns = 0
            layer.wanted_since_ns = now_ns if layer.wanted_since_ns else 0
        elif layer.rests_until_ns:
            if now_ns >= layer.rests_until_ns:
                layer.rests_until_ns, layer.wanted_since_ns, layer.taken_ns = 0, 0, now_ns
        elif alive and layer.wanted_since_ns and now_ns - layer.wanted_since_ns > _START_NS:
            layer.rests_until_ns = now_ns + _REST_NS

    def _climb(self) -> None:
        """Work the rungs out anew."""
        rungs = self._of_one(self.layers[0]) if self.top == 0 else self._of_many()
        self.rungs = tuple(_rising(rungs))

    def _of_many(self) -> list[LayerRate]:
        rungs: list[LayerRate] = []
        for index, layer in enumerate(self.layers):
            if layer.rests_until_ns > self._now_ns:
                continue
            cost = self.cost_bps(index)
            if not rungs and layer.stream is not None:
                rungs += _slower(layer.stream, 0, index, layer.height_px, cost)
            rungs.append(LayerRate(index, ALL_TEMPORAL, layer.height_px, cost))
        return rungs

    def _of_one(self, layer: Layer) -> list[LayerRate]:
        whole = self.cost_bps(0)
        stream = layer.stream
        spatials = stream.meter.spatials() if stream is not None else 0
        if stream is None or not spatials:
            return [LayerRate(0, ALL_TEMPORAL, layer.height_px, whole)]
        rungs: list[LayerRate] = []
        for spatial in range(spatials):
            height = layer.height_px >> (spatials - 1 - spatial)
            cost = stream.meter.up_to_bps(spatial, ALL_TEMPORAL)
            if not rungs:
                rungs += _slower(stream, spatial, 0, height, cost)
            rungs.append(LayerRate(spatial, ALL_TEMPORAL, height, cost))
        return rungs


def _slower(
    stream: Stream, spatial: int, index: int, height_px: int, whole_bps: int
) -> list[LayerRate]:
    """The rungs below a layer's whole that leave frames out."""
    meter = stream.meter
    total = meter.up_to_bps(spatial, ALL_TEMPORAL)
    if not total:
        return []
    return [
        LayerRate(
            index, temporal, height_px, whole_bps * meter.up_to_bps(spatial, temporal) // total
        )
        for temporal in range(meter.temporals(spatial) - 1)
    ]


def _rising(rungs: list[LayerRate]) -> list[LayerRate]:
    """A higher rung that costs no more than a lower one makes the lower one useless."""
    kept: list[LayerRate] = []
    for rung in rungs:
        while kept and kept[-1].bps >= rung.bps:
            kept.pop()
        kept.append(rung)
    return kept
