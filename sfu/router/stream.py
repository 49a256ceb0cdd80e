"""One incoming stream, and what the slow path remembers of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sfu.control.messages import SendKind
from sfu.forwarder.contract import Codec, Kind, StreamHandle
from sfu.ids import PeerId, SourceId
from sfu.router.meter import Meter
from sfu.streams.keyframes import KeyFrameThrottle
from sfu.streams.reception import ReportInterval
from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import Section

PERMISSION: dict[str, SendKind] = {"microphone": "audio", "camera": "video", "screen": "screen"}


@dataclass(slots=True, eq=False)
class Stream:
    """One SSRC of a peer: its voice, or one layer of its camera or screen.

    `layer` is its place among the section's encodings, 0 the lowest, and `rid` its name there.
    `report` is the last sender report as (NTP time, RTP time, arrival in ns), `told_loss` the share
    of loss that the sender of a voice is told at least.
    """

    handle: StreamHandle
    peer: PeerId
    source: SourceId
    section: Section
    format: OfferedCodec
    ssrc: int
    permitted: bool
    rid: str = ""
    layer: int = 0
    meter: Meter = field(default_factory=Meter)
    throttle: KeyFrameThrottle = field(default_factory=KeyFrameThrottle)
    interval: ReportInterval = field(default_factory=ReportInterval)
    report: tuple[int, int, int] | None = None
    told_loss: float = 0.0
    #: Key frames counted when somebody last began to wait for one; None when nobody does.
    awaits_key_frame_after: int | None = None
    #: Key frames counted when one was last asked for.
    asked_key_frame_after: int | None = None
    packets_seen: int = 0
    is_silent: bool = False
    #: Reports in a row since which nothing came.
    silent_reports: int = 0
    pli_sent: int = 0
    nack_sent: int = 0

    @property
    def kind(self) -> Kind:
        return self.section.kind

    @property
    def codec(self) -> Codec:
        return self.format.codec

    @property
    def key_frame_is_coming(self) -> bool:
        """Whether one was asked for that serves those who wait."""
        awaited = self.awaits_key_frame_after
        return awaited is not None and awaited == self.asked_key_frame_after

    @property
    def screen(self) -> bool:
        return self.section.role == "screen"


def camera_of(peer: PeerId) -> SourceId:
    """The source that is a peer's microphone and camera."""
    return SourceId(f"{peer}/camera")


def screen_of(peer: PeerId) -> SourceId:
    """The source that is a peer's screen."""
    return SourceId(f"{peer}/screen")


def source_of(peer: PeerId, section: Section) -> SourceId:
    """The source that a section is of."""
    return screen_of(peer) if section.role == "screen" else camera_of(peer)
