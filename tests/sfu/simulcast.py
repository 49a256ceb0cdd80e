"""A camera with three layers, as a browser sends it, and the way to who looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sfu.control.messages import Layers
from sfu.router import ticks
from sfu.rtp.extensions import extension_block, value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import PictureLossIndication, ReceiverReport
from sfu.streams.congestion.arrivals import FeedbackBuilder
from sfu.transport.description import REPAIRED_RID_URI, RID_URI, TRANSPORT_CC_URI
from tests.sfu.offers import Line
from tests.sfu.routing import MS, Stage, StagePeer, voice

RIDS = ("q", "h", "f")
SSRCS = (201, 202, 203)
REPAIR_SSRCS = (211, 212, 213)
MID_ID, CC_ID, RID_ID, REPAIRED_RID_ID = 4, 5, 10, 11

CAMERA = Line(
    "cam",
    extra=(
        f"a=extmap:{CC_ID} {TRANSPORT_CC_URI}",
        f"a=extmap:{RID_ID} {RID_URI}",
        f"a=extmap:{REPAIRED_RID_ID} {REPAIRED_RID_URI}",
        *(f"a=rid:{rid} send" for rid in RIDS),
        "a=simulcast:send " + ";".join(RIDS),
    ),
    without=("a=ssrc",),
)
#: A seat of a viewer who tells by number what arrives.
NUMBERED = (f"a=extmap:{CC_ID} {TRANSPORT_CC_URI}",)
HEAR = Line("hear", extra=(*NUMBERED, "a=rtcp-fb:111 transport-cc"))
SEE = Line("see", extra=NUMBERED)


@dataclass
class Camera:
    """Sends 30 frames a second on the layers that are `on`: some 130, 550 and 1400 kbit/s.

    A layer that begins, begins with a key frame. One that `obeys` sends none that it was told to
    stop.
    """

    peer: StagePeer
    mid: str = "1"
    talks: bool = False
    #: Two temporal layers of VP8 (RFC 7741 §4.2), every other frame in the upper one.
    temporal: bool = False
    #: Whether a request for a key frame is answered.
    answers: bool = True
    obeys: bool = False
    sizes_bytes: tuple[int, int, int] = (500, 1100, 1150)
    #: Packets of one frame.
    packets: tuple[int, int, int] = (1, 2, 5)
    on: set[int] = field(default_factory=lambda: {0, 1, 2})
    sent: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(3), 0))
    frames: int = 0
    _before: set[int] = field(default_factory=set)
    #: When key frames were asked for, by SSRC.
    asked_at: dict[int, list[int]] = field(default_factory=dict)

    def packet(self, layer: int, *, part: int = 0, key: bool = False) -> RtpPacket:
        """The next packet of a layer, `part` of the present frame."""
        self.sent[layer] += 1
        start, header = (0x10, 0x00 if key else 0x01) if part == 0 else (0x00, 0x01)
        upper = self.temporal and self.frames % 2 and not key
        layered = (start | 0x80, 0x20, 0x60 if upper else 0x00) if self.temporal else (start,)
        payload = bytes((*layered, header)) + bytes(self.sizes_bytes[layer])
        last = part == self.packets[layer] - 1
        sequence, time = self.sent[layer], self.frames * 3000
        return self._packet(96, sequence, SSRCS[layer], payload, RID_ID, RIDS[layer], time, last)

    def repair(self, layer: int, of: RtpPacket, sequence: int = 1) -> RtpPacket:
        """A retransmission of a packet (RFC 4588 §4)."""
        payload = of.sequence.to_bytes(2, "big") + of.payload
        return self._packet(
            97, sequence, REPAIR_SSRCS[layer], payload, REPAIRED_RID_ID, RIDS[layer], of.timestamp
        )

    def frame(self, *, key: bool = False) -> None:
        """A frame of each layer that is on; a key frame where one is asked for, or `key`."""
        self.frames += 1
        asked = {p.media_ssrc for p in self.peer.told(PictureLossIndication)}
        for ssrc in asked:
            self.asked_at.setdefault(ssrc, []).append(self.peer.stage.now_ns)
        if self.talks:
            self.peer.send(voice(self.frames))
        sending = self.on - self._stopped() if self.obeys else set(self.on)
        for layer in sorted(sending):
            for part in range(self.packets[layer]):
                answered = self.answers and SSRCS[layer] in asked
                keyed = key or answered or layer not in self._before
                self.peer.send(self.packet(layer, part=part, key=keyed))
        self._before = sending

    def _stopped(self) -> set[int]:
        """The layers that it was told to stop."""
        events = self.peer.stage.events
        told = [e for e in events if isinstance(e, Layers) and e.peer == self.peer.name]
        return {RIDS.index(layer.rid) for e in told[-1:] for layer in e.layers if not layer.active}

    def run(self, seconds: float, *, after: Callable[[], object] = lambda: None) -> None:
        """Send for so long, while the router ticks; `after` is called after each frame."""
        stage = self.peer.stage
        for number in range(round(seconds * 30)):
            self.frame()
            stage.now_ns += 33 * MS
            ticks.repair(stage.router, stage.now_ns)
            after()
            if number % 6 == 5:
                tick(stage)

    def _packet(
        self,
        payload_type: int,
        sequence: int,
        ssrc: int,
        payload: bytes,
        rid_id: int,
        rid: str,
        timestamp: int,
        last: bool = True,
    ) -> RtpPacket:
        block = extension_block([(MID_ID, self.mid.encode()), (rid_id, rid.encode())])
        return RtpPacket(
            payload_type, sequence, timestamp, ssrc, payload, last, (), 0xBEDE, block[4:]
        )


def tick(stage: Stage) -> None:
    """What the clock does each 200 ms."""
    ticks.pictures(stage.router, stage.now_ns)
    ticks.repair(stage.router, stage.now_ns)


@dataclass
class Downlink:
    """The way to a viewer, with a rate and a queue, and the viewer's feedback on what arrives."""

    viewer: StagePeer
    rate_bps: float
    queue_ms: int = 300
    _free_ns: int = 0
    _told_ns: int = 0
    _coming: list[tuple[int, int]] = field(default_factory=list)
    _builder: FeedbackBuilder = field(default_factory=FeedbackBuilder)

    def carry(self) -> None:
        """Take what was sent since the last call; tell what has arrived, each 100 ms."""
        now_ns = self.viewer.stage.now_ns
        for packet in self.viewer.received():
            found = value(bytes(packet), CC_ID)
            assert found is not None
            free_ns = max(now_ns, self._free_ns)
            if free_ns - now_ns > self.queue_ms * MS:
                continue
            self._free_ns = free_ns + int((len(bytes(packet)) + 44) * 8e9 / self.rate_bps)
            self._coming.append((int.from_bytes(found, "big"), self._free_ns + 20 * MS))
        if now_ns - self._told_ns < 100 * MS:
            return
        self._told_ns = now_ns
        self._builder.note([c for c in self._coming if c[1] <= now_ns])
        self._coming = [c for c in self._coming if c[1] > now_ns]
        for feedback in self._builder.take():
            self.viewer.report(ReceiverReport(1), feedback)
