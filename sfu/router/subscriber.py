"""What one peer receives: its seats, each with an audio leg and, as a rule, a video leg."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sfu.control.messages import SeatView
from sfu.forwarder.contract import Codec, Forwarder, Kind, LegHandle, LegSpec, TransportHandle
from sfu.ids import SourceId
from sfu.router.publisher import Stream
from sfu.transport.answer import SeatSsrcs
from sfu.transport.description import AUDIO_LEVEL_URI, MID_URI, Offer, Section


@dataclass(slots=True)
class Leg:
    """One outgoing stream; `handle` is None until the peer was first permitted to receive."""

    seat: int
    ssrc: int
    section: Section
    handle: LegHandle | None = None
    stream: Stream | None = None
    paused: bool = False
    fraction_lost: float = 0.0

    @property
    def kind(self) -> Kind:
        return self.section.kind

    def payload_types(self) -> dict[Codec, int]:
        """What the receiver calls each codec."""
        return {codec.codec: codec.payload_type for codec in self.section.codecs}


@dataclass(slots=True)
class Seat:
    """A seat; `source` is who sits there, `hidden` whether the viewer does not draw it."""

    audio: Leg
    video: Leg | None
    source: SourceId | None = None
    hidden: bool = False
    legs: tuple[Leg, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.legs = (self.audio,) if self.video is None else (self.audio, self.video)


#: The permitted stream of a source, None when there is none (yet).
FindStream = Callable[[SourceId, Kind], Stream | None]


class Subscriber:
    """The receiving side of one peer on one transport.

    `need_key_frame(stream)` is called for each video stream that a leg begins to wait for.
    """

    def __init__(
        self,
        transport: TransportHandle,
        forwarder: Forwarder,
        need_key_frame: Callable[[Stream], None],
    ) -> None:
        self._transport = transport
        self._forwarder = forwarder
        self._need_key_frame = need_key_frame
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
        """The SSRCs for the answer, a video one also where the seat has no video."""
        return tuple(
            SeatSsrcs(seat.audio.ssrc, seat.video.ssrc if seat.video is not None else 0)
            for seat in self._seats
        )

    def with_video(self) -> list[bool]:
        """Which seats have a picture."""
        return [seat.video is not None for seat in self._seats]

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

    def show(self, sources: Sequence[SourceId | None], find: FindStream) -> None:
        """Seat `sources`; called again when their streams come and go.

        A leg that shows nothing any more keeps its numbers, so that it can go on later.
        """
        for seat, source in zip(self._seats, sources, strict=True):
            seat.source = source
            for leg in seat.legs:
                stream = find(source, leg.kind) if source is not None else None
                self._select(leg, stream)

    def view(self, views: Sequence[SeatView]) -> None:
        """How the seats are drawn now; a hidden seat gets no video."""
        for view in views:
            if 0 <= view.seat < len(self._seats):
                seat = self._seats[view.seat]
                seat.hidden = view.height_px <= 0
                if seat.video is not None and seat.video.handle is not None:
                    self._pause(seat.video, seat.hidden)

    def _seat(self, index: int, audio: Section, video: Section | None) -> Seat:
        return Seat(self._leg(index, audio), None if video is None else self._leg(index, video))

    def _leg(self, index: int, section: Section) -> Leg:
        ssrc = 0
        while ssrc == 0 or ssrc in self._by_ssrc:
            ssrc = secrets.randbits(32)
        leg = self._by_ssrc[ssrc] = Leg(index, ssrc, section)
        return leg

    def _select(self, leg: Leg, stream: Stream | None) -> None:
        if stream is not None and stream.codec not in leg.payload_types():
            stream = None
        if stream is leg.stream:
            return
        leg.stream = stream
        if leg.handle is None:
            if stream is None:
                return
            leg.handle = self._add(leg)
        self._forwarder.select(leg.handle, stream.handle if stream is not None else None)
        if stream is not None and leg.kind == "video" and not leg.paused:
            self._need_key_frame(stream)

    def _add(self, leg: Leg) -> LegHandle:
        handle = self._forwarder.add_leg(
            LegSpec(
                transport=self._transport,
                ssrc=leg.ssrc,
                kind=leg.kind,
                payload_types=leg.payload_types(),
                mid=leg.section.mid,
                mid_id=leg.section.extensions.get(MID_URI, 0),
                audio_level_id=leg.section.extensions.get(AUDIO_LEVEL_URI, 0),
            )
        )
        leg.handle = handle
        if leg.kind == "video" and self._seats[leg.seat].hidden:
            self._pause(leg, True)
        return handle

    def _pause(self, leg: Leg, paused: bool) -> None:
        if leg.handle is None or leg.paused == paused:
            return
        leg.paused = paused
        self._forwarder.pause(leg.handle, paused)
        if not paused and leg.stream is not None:
            self._need_key_frame(leg.stream)


def _same_leg(leg: Leg | None, section: Section | None) -> bool:
    """Whether a leg can go on under a new offer's section.

    Only what the leg stamps on its packets counts: a browser's next offer leaves out what our
    answer did, such as feedback that we do not act on.
    """
    if leg is None or section is None:
        return leg is None and section is None
    return _stamps(leg.section) == _stamps(section)


def _stamps(section: Section) -> tuple[object, ...]:
    codecs = [(codec.codec, codec.payload_type) for codec in section.codecs]
    ids = section.extensions
    return section.mid, codecs, ids.get(MID_URI), ids.get(AUDIO_LEVEL_URI)
