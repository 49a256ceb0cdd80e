"""What one peer receives: its seats, each with an audio leg and, as a rule, a video leg."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sfu.control.messages import PictureState, SeatView
from sfu.forwarder.contract import (
    Codec,
    Forwarder,
    Kind,
    LegHandle,
    LegSpec,
    StreamHandle,
    TransportHandle,
)
from sfu.ids import SourceId
from sfu.router.stream import Stream
from sfu.transport.answer import SeatSsrcs
from sfu.transport.description import (
    AUDIO_LEVEL_URI,
    DEPENDENCY_URI,
    MID_URI,
    TRANSPORT_CC_URI,
    Offer,
    Section,
)

#: `Forwarder.limit` knows no higher layer.
ALL_LAYERS = (7, 7)
#: A seat of which the client has not said how it draws it is taken to be drawn whole.
UNKNOWN_HEIGHT_PX = 1080


class HeardLoss(NamedTuple):
    """What a listener told last of a voice: whose it was, the share that it lost, and when."""

    stream: StreamHandle
    share: float
    told_ns: int


@dataclass(slots=True, eq=False)
class Leg:
    """One outgoing stream; `handle` is None until the peer was first permitted to receive.

    `stream` is what it was told to show, `shown` what it shows: video goes on with the old one
    until the new one's key frame.
    """

    seat: int
    ssrc: int
    section: Section
    rtx_ssrc: int = 0
    handle: LegHandle | None = None
    stream: Stream | None = None
    shown: Stream | None = None
    paused: bool = False
    #: Whether what it shows is more than the path carries.
    hurries: bool = False
    limits: tuple[int, int] = ALL_LAYERS
    fraction_lost: float = 0.0
    heard_loss: HeardLoss | None = None

    @property
    def kind(self) -> Kind:
        return self.section.kind

    @property
    def is_numbered(self) -> bool:
        """Whether its packets have transport-wide numbers."""
        return TRANSPORT_CC_URI in self.section.extensions

    def payload_types(self) -> dict[Codec, int]:
        """What the receiver calls each codec."""
        return {codec.codec: codec.payload_type for codec in self.section.codecs}

    def rtx_payload_types(self) -> dict[Codec, int]:
        """What the receiver calls each codec's retransmissions."""
        return {c.codec: c.rtx_payload_type for c in self.section.codecs if c.rtx_payload_type}


@dataclass(slots=True)
class Seat:
    """A seat; `source` is who sits there, `height_px` how tall the viewer draws it, 0 if hidden.

    `picture` is what the viewer was last told of it.
    """

    audio: Leg
    video: Leg | None
    source: SourceId | None = None
    height_px: int = UNKNOWN_HEIGHT_PX
    picture: PictureState = "off"
    legs: tuple[Leg, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.legs = (self.audio,) if self.video is None else (self.audio, self.video)


class Subscriber:
    """The receiving side of one peer on one transport.

    `wait(leg, stream)` is called for each video leg that begins to wait for a stream's key frame,
    and with None for one that waits no more.
    """

    def __init__(
        self,
        transport: TransportHandle,
        forwarder: Forwarder,
        wait: Callable[[Leg, Stream | None], None],
    ) -> None:
        self._transport = transport
        self._forwarder = forwarder
        self._wait = wait
        self._seats: list[Seat] = []
        self._by_ssrc: dict[int, Leg] = {}

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._seats)

    def __len__(self) -> int:
        return len(self._seats)

    def legs(self) -> Iterator[Leg]:
        """All legs that the fast path has."""
        for seat in self._seats:
            for leg in seat.legs:
                if leg.handle is not None:
                    yield leg

    def leg(self, ssrc: int) -> Leg | None:
        """The leg that sends with an SSRC."""
        return self._by_ssrc.get(ssrc)

    def ssrcs(self) -> tuple[SeatSsrcs, ...]:
        """The SSRCs for the answer; those of video are 0 where the seat has none."""
        return tuple(
            SeatSsrcs(
                seat.audio.ssrc,
                seat.video.ssrc if seat.video is not None else 0,
                seat.video.rtx_ssrc if seat.video is not None else 0,
            )
            for seat in self._seats
        )

    def with_video(self) -> list[bool]:
        """Which seats have a picture."""
        return [seat.video is not None for seat in self._seats]

    def decodes(self) -> frozenset[Codec] | None:
        """The video codecs that every seat with a picture takes; None when there is no such."""
        video = [seat.video.payload_types() for seat in self._seats if seat.video is not None]
        return frozenset.intersection(*map(frozenset, video)) if video else None

    def numbered(self) -> bool:
        """Whether the peer tells by transport-wide numbers what arrived."""
        return any(
            TRANSPORT_CC_URI in leg.section.extensions for seat in self._seats for leg in seat.legs
        )

    def update(self, offer: Offer) -> list[Leg]:
        """Take over a (new) offer. Seats stay; the legs of those that changed, to be removed."""
        gone: list[Leg] = []
        for index, (audio, video) in enumerate(offer.seats()):
            if index == len(self._seats):
                self._seats.append(self._seat(index, audio, video))
                continue
            seat = self._seats[index]
            if not (_same_leg(seat.audio, audio) and _same_leg(seat.video, video)):
                gone += seat.legs
                self._seats[index] = self._seat(index, audio, video)
                self._seats[index].height_px = seat.height_px
        for seat in self._seats[len(offer.seats()) :]:
            gone += seat.legs
        del self._seats[len(offer.seats()) :]
        for leg in gone:
            del self._by_ssrc[leg.ssrc]
        return gone

    def remove(self, leg: Leg) -> None:
        """Take a leg that `update` gave up out of the fast path."""
        if leg.handle is not None:
            self._forwarder.remove_leg(leg.handle)
            leg.handle = None

    def seat(self, sources: Sequence[SourceId | None]) -> bool:
        """Who sits where now; whether anybody's place changed."""
        changed = False
        for seat, source in zip(self._seats, sources, strict=True):
            changed |= seat.source != source
            seat.source = source
        return changed

    def view(self, views: Sequence[SeatView]) -> None:
        """How the seats are drawn now."""
        for view in views:
            if 0 <= view.seat < len(self._seats):
                self._seats[view.seat].height_px = max(0, view.height_px)

    def show(self, leg: Leg, stream: Stream | None, limits: tuple[int, int] = ALL_LAYERS) -> None:
        """Select a stream on a leg, with its layers up to `limits` (spatial, temporal).

        A leg that shows nothing any more keeps its numbers, so that it can go on later.
        """
        if stream is not None and stream.codec not in leg.payload_types():
            stream = None
        if leg.handle is None:
            if stream is None:
                return
            leg.handle = self._add(leg)
        changed, leg.stream = stream is not leg.stream, stream
        if changed:
            self._forwarder.select(leg.handle, stream.handle if stream is not None else None)
        if leg.kind == "audio":
            leg.shown = stream
            return
        if stream is None:
            leg.shown = None
            self._wait(leg, None)
            return
        raised = self._limit(leg, leg.handle, limits)
        resumed = self._pause(leg, leg.handle, False)
        if resumed or (raised and not changed) or (changed and stream is not leg.shown):
            self._wait(leg, stream)
        elif changed:
            self._wait(leg, None)

    def pause(self, leg: Leg) -> None:
        """Send nothing on a video leg until `show`; what it shows stays selected.

        The fast path has it from here on, so that probes can be sent on it.
        """
        if leg.handle is None:
            leg.handle = self._add(leg)
        if self._pause(leg, leg.handle, True):
            self._wait(leg, None)

    def _seat(self, index: int, audio: Section, video: Section | None) -> Seat:
        return Seat(self._leg(index, audio), None if video is None else self._leg(index, video))

    def _leg(self, index: int, section: Section) -> Leg:
        leg = Leg(index, self._ssrc(), section)
        self._by_ssrc[leg.ssrc] = leg
        if leg.rtx_payload_types():
            leg.rtx_ssrc = self._ssrc()
        return leg

    def _ssrc(self) -> int:
        taken = {leg.rtx_ssrc for leg in self._by_ssrc.values()} | self._by_ssrc.keys() | {0}
        ssrc = 0
        while ssrc in taken:
            ssrc = secrets.randbits(32)
        return ssrc

    def _add(self, leg: Leg) -> LegHandle:
        ids = leg.section.extensions
        return self._forwarder.add_leg(
            LegSpec(
                transport=self._transport,
                ssrc=leg.ssrc,
                kind=leg.kind,
                payload_types=leg.payload_types(),
                mid=leg.section.mid,
                mid_id=ids.get(MID_URI, 0),
                audio_level_id=ids.get(AUDIO_LEVEL_URI, 0),
                transport_cc_id=ids.get(TRANSPORT_CC_URI, 0),
                dependency_id=ids.get(DEPENDENCY_URI, 0),
                rtx_ssrc=leg.rtx_ssrc,
                rtx_payload_types=leg.rtx_payload_types(),
            )
        )

    def _limit(self, leg: Leg, handle: LegHandle, limits: tuple[int, int]) -> bool:
        """Whether more spatial layers are to be shown, for which a key frame is needed."""
        if leg.limits == limits:
            return False
        raised = limits[0] > leg.limits[0]
        leg.limits = limits
        self._forwarder.limit(handle, *limits)
        return raised

    def _pause(self, leg: Leg, handle: LegHandle, paused: bool) -> bool:
        """Whether it was otherwise before."""
        if leg.paused == paused:
            return False
        leg.paused = paused
        leg.shown = None
        self._forwarder.pause(handle, paused)
        return True


def _same_leg(leg: Leg | None, section: Section | None) -> bool:
    """Whether a leg can go on under a new offer's section.

    Only what the leg stamps on its packets counts: a browser's next offer leaves out what our
    answer did, such as feedback that we do not act on.
    """
    if leg is None or section is None:
        return leg is None and section is None
    return _stamps(leg.section) == _stamps(section)


def _stamps(section: Section) -> tuple[object, ...]:
    codecs = [(c.codec, c.payload_type, c.rtx_payload_type) for c in section.codecs]
    uris = (MID_URI, AUDIO_LEVEL_URI, TRANSPORT_CC_URI, DEPENDENCY_URI)
    return section.mid, codecs, [section.extensions.get(uri) for uri in uris]
