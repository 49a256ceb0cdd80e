"""What one peer sends: its sections, the streams that appear on them, and whether it may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sfu.control.messages import SendKind
from sfu.control.tap import TrackOpened
from sfu.forwarder.contract import Codec, Forwarder, Kind, StreamHandle, StreamSpec, TransportHandle
from sfu.ids import PeerId, SourceId
from sfu.router.allowance import Allowance
from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpFormatError
from sfu.streams.keyframes import KeyFrameThrottle
from sfu.streams.reception import ReportInterval
from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import ABS_SEND_TIME_URI, AUDIO_LEVEL_URI, MID_URI, Offer, Section

#: Microphone, camera and screen need three; a browser that restarts a camera changes its SSRC.
_NEW_STREAMS_PER_S = 2.0
_NEW_STREAMS_BURST = 8.0

_PERMISSION: dict[str, SendKind] = {"microphone": "audio", "camera": "video", "screen": "screen"}


@dataclass(slots=True)
class Stream:
    """One incoming stream and what the slow path remembers of it.

    `report` is the last sender report as (NTP time, RTP time, arrival in ns).
    """

    handle: StreamHandle
    peer: PeerId
    source: SourceId
    section: Section
    format: OfferedCodec
    ssrc: int
    permitted: bool
    throttle: KeyFrameThrottle = field(default_factory=KeyFrameThrottle)
    interval: ReportInterval = field(default_factory=ReportInterval)
    report: tuple[int, int, int] | None = None
    #: Key frames counted when one was last asked for; None when nobody waits for one.
    awaits_key_frame_after: int | None = None
    packets_seen: int = 0
    is_silent: bool = False
    pli_sent: int = 0
    nack_sent: int = 0
    taps: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return self.section.kind

    @property
    def codec(self) -> Codec:
        return self.format.codec

    @property
    def screen(self) -> bool:
        return self.section.role == "screen"

    def track(self) -> TrackOpened:
        """What a tap is told of it."""
        return TrackOpened(
            peer=self.peer,
            source=self.source,
            kind=self.kind,
            screen=self.screen,
            codec=self.codec,
            clock_rate=self.format.clock_rate,
            channels=self.format.channels,
        )


def camera_of(peer: PeerId) -> SourceId:
    """The source that is a peer's microphone and camera."""
    return SourceId(f"{peer}/camera")


def screen_of(peer: PeerId) -> SourceId:
    """The source that is a peer's screen."""
    return SourceId(f"{peer}/screen")


class Publisher:
    """The sending side of one peer on one transport."""

    def __init__(self, peer: PeerId, transport: TransportHandle, forwarder: Forwarder) -> None:
        self._peer = peer
        self._transport = transport
        self._forwarder = forwarder
        self._sections: dict[str, Section] = {}
        self._permitted: frozenset[SendKind] = frozenset()
        self._streams: dict[int, Stream] = {}
        self._allowance = Allowance(_NEW_STREAMS_PER_S, _NEW_STREAMS_BURST)

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams.values()))

    def offers(self, role: str) -> bool:
        """Whether the peer offered a section of that role."""
        return any(section.role == role for section in self._sections.values())

    def by_ssrc(self, ssrc: int) -> Stream | None:
        """The stream of an SSRC."""
        return self._streams.get(ssrc)

    def update(self, offer: Offer) -> list[Stream]:
        """Take over a (new) offer; the streams that no longer fit it, for the owner to remove."""
        self._sections = {s.mid: s for s in offer.sections if s.role in _PERMISSION}
        gone = []
        for stream in self:
            section = self._sections.get(stream.section.mid)
            if section is None or not _same_form(section, stream.section):
                gone.append(stream)
            else:
                stream.section, stream.format = section, section.codecs[0]
        return gone

    def permit(self, send: frozenset[SendKind]) -> None:
        """What is not permitted is discarded by the fast path from the next packet on."""
        self._permitted = send
        for stream in self._streams.values():
            permitted = self._may(stream.section)
            if permitted != stream.permitted:
                stream.permitted = permitted
                self._forwarder.set_discard(stream.handle, not permitted)

    def appear(self, packet: bytes, now_ns: int) -> tuple[Stream, list[Stream]] | None:
        """A packet of an unknown SSRC: the new stream, and those that it takes the place of.

        The section is found by MID, else by the SSRCs that the offer named, else by a payload type
        that one section only could have (RFC 8843 §9.2). None when there is none, or when new
        streams come too fast.
        """
        ssrc = int.from_bytes(packet[8:12], "big")
        payload_type = packet[1] & 0x7F
        section = self._section_of(packet, ssrc, payload_type)
        if section is None:
            return None
        form = next((c for c in section.codecs if c.payload_type == payload_type), None)
        if form is None or not self._allowance.take(1, now_ns):
            return None
        # One stream a section: a new SSRC is the same camera or microphone started anew.
        replaced = [s for s in self if s.section.mid == section.mid]
        return self._add(section, form, ssrc), replaced

    def remove(self, stream: Stream) -> None:
        """The stream is over."""
        if self._streams.get(stream.ssrc) is stream:
            del self._streams[stream.ssrc]
        self._forwarder.remove_stream(stream.handle)

    def _add(self, section: Section, form: OfferedCodec, ssrc: int) -> Stream:
        handle = self._forwarder.add_stream(
            StreamSpec(
                transport=self._transport,
                ssrc=ssrc,
                kind=section.kind,
                codec=form.codec,
                payload_type=form.payload_type,
                clock_rate=form.clock_rate,
                audio_level_id=section.extensions.get(AUDIO_LEVEL_URI, 0),
                abs_send_time_id=section.extensions.get(ABS_SEND_TIME_URI, 0),
            )
        )
        permitted = self._may(section)
        if not permitted:
            self._forwarder.set_discard(handle, True)
        source = screen_of(self._peer) if section.role == "screen" else camera_of(self._peer)
        stream = Stream(handle, self._peer, source, section, form, ssrc, permitted)
        self._streams[ssrc] = stream
        return stream

    def _may(self, section: Section) -> bool:
        return _PERMISSION[section.role] in self._permitted

    def _section_of(self, packet: bytes, ssrc: int, payload_type: int) -> Section | None:
        mid = self._mid_of(packet)
        if mid is not None:
            return self._sections.get(mid)
        sections = self._sections.values()
        named = [section for section in sections if ssrc in section.ssrcs]
        if named:
            return named[0]
        possible = [
            section
            for section in sections
            if any(codec.payload_type == payload_type for codec in section.codecs)
        ]
        return possible[0] if len(possible) == 1 else None

    def _mid_of(self, packet: bytes) -> str | None:
        for wanted in {
            s.extensions[MID_URI] for s in self._sections.values() if MID_URI in s.extensions
        }:
            try:
                found = value(packet, wanted)
            except RtpFormatError:
                return None
            if found is not None:
                return found.decode("ascii", "replace")
        return None


def _same_form(new: Section, old: Section) -> bool:
    """Whether a stream can go on under a new offer's section: it is read in the same way."""
    return _reading(new) == _reading(old)


def _reading(section: Section) -> tuple[object, ...]:
    codecs = [(codec.codec, codec.payload_type) for codec in section.codecs]
    ids = section.extensions
    return section.role, codecs, ids.get(AUDIO_LEVEL_URI), ids.get(ABS_SEND_TIME_URI)
