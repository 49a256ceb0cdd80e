"""What one peer sends: its sections, the streams that appear on them, and whether it may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sfu.control.messages import SendKind
from sfu.forwarder.contract import Forwarder, StreamSpec, TransportHandle
from sfu.ids import PeerId, SourceId
from sfu.router.allowance import Allowance
from sfu.router.identify import Identity, identify, layers_of, rid_of
from sfu.router.ladder import Ladder
from sfu.router.stream import PERMISSION, Stream, source_of
from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import (
    ABS_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    DEPENDENCY_URI,
    TRANSPORT_CC_URI,
    Offer,
    Section,
)

#: Microphone, three layers of a camera, a screen, and the repairs of four are nine at once; a
#: browser that restarts a camera changes all SSRCs of it.
_NEW_STREAMS_PER_S = 4.0
_NEW_STREAMS_BURST = 20.0
#: Streams and repairs of one connection in all: SRTP keeps a record of each SSRC to its end. A
#: client that is really so restless connects anew.
_MAX_STREAMS_EVER = 500


@dataclass(frozen=True, slots=True)
class Appeared:
    """What a packet of an unknown SSRC was: a new `stream` that takes the place of `replaced`,
    or a repair of one that was there, when `stream` is None.
    """

    stream: Stream | None
    replaced: Stream | None


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
        self._streams_left = _MAX_STREAMS_EVER
        #: The codec agreed for each section, by MID.
        self.formats: dict[str, OfferedCodec] = {}
        #: The video that was offered, by source.
        self.ladders: dict[SourceId, Ladder] = {}

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams.values()))

    @property
    def number_id(self) -> int:
        """The extension id of transport-wide sequence numbers, 0 where nothing sent has them.

        It is the same in all sections of a bundle (RFC 8843 §9.1).
        """
        found = (s.extensions.get(TRANSPORT_CC_URI, 0) for s in self._sections.values())
        return next((number for number in found if number), 0)

    def offers(self, role: str) -> bool:
        """Whether the peer offered a section of that role."""
        return any(section.role == role for section in self._sections.values())

    def video_sections(self) -> Iterator[Section]:
        """Camera and screen, as far as they were offered."""
        return (section for section in self._sections.values() if section.kind == "video")

    def by_ssrc(self, ssrc: int) -> Stream | None:
        """The stream of an SSRC."""
        return self._streams.get(ssrc)

    def may(self, section: Section) -> bool:
        """Whether what comes on a section goes anywhere."""
        return PERMISSION[section.role] in self._permitted

    def update(self, offer: Offer, formats: Mapping[str, OfferedCodec]) -> list[Stream]:
        """Take over a (new) offer and the codecs agreed for it.

        Returns the streams that no longer fit it, for the owner to remove.
        """
        sections = {s.mid: s for s in offer.sections if s.role in PERMISSION}
        formats = {mid: formats[mid] for mid in sections}
        gone = []
        for stream in self:
            mid = stream.section.mid
            section = sections.get(mid)
            fits = section is not None and (
                _reading(section, formats[mid]) == _reading(stream.section, stream.format)
            )
            if not fits or section is None:
                gone.append(stream)
            else:
                stream.section, stream.format = section, formats[mid]
        self._sections, self.formats = sections, formats
        self._update_ladders()
        return gone

    def permit(self, send: frozenset[SendKind]) -> None:
        """What is not permitted is discarded by the fast path from the next packet on."""
        self._permitted = send
        for stream in self._streams.values():
            permitted = self.may(stream.section)
            if permitted != stream.permitted:
                stream.permitted = permitted
                self._forwarder.set_discard(stream.handle, not permitted)

    def appear(self, packet: bytes, now_ns: int) -> Appeared | None:
        """A packet of an unknown SSRC; None when it is nobody's, or too many new ones came."""
        known = {stream.ssrc: stream.layer for stream in self._streams.values()}
        identity = identify(packet, self._sections.values(), self.formats, known)
        if identity is None:
            return None
        ssrc = int.from_bytes(packet[8:12], "big")
        there = self._there(identity)
        if identity.repair:
            return self._repair(there, ssrc, now_ns)
        if not self._may_appear(now_ns):
            return None
        # A new SSRC is the same camera, layer or microphone started anew.
        return Appeared(self._add(identity, ssrc), there)

    def remove(self, stream: Stream) -> None:
        """The stream is over."""
        if self._streams.get(stream.ssrc) is stream:
            del self._streams[stream.ssrc]
        ladder = self.ladders.get(stream.source) if stream.kind == "video" else None
        # A new offer may have brought another ladder, with fewer layers.
        if ladder is not None and stream in ladder.streams():
            ladder.lose(stream)
        self._forwarder.remove_stream(stream.handle)

    def _there(self, identity: Identity) -> Stream | None:
        place = identity.section.mid, identity.layer
        return next((s for s in self if (s.section.mid, s.layer) == place), None)

    def _repair(self, stream: Stream | None, ssrc: int, now_ns: int) -> Appeared | None:
        if stream is None or not self._may_appear(now_ns):
            return None
        form = stream.format
        self._forwarder.add_repair(stream.handle, ssrc, form.rtx_payload_type)
        return Appeared(None, None)

    def _may_appear(self, now_ns: int) -> bool:
        if not self._streams_left or not self._allowance.take(1, now_ns):
            return False
        self._streams_left -= 1
        return True

    def _add(self, identity: Identity, ssrc: int) -> Stream:
        section = identity.section
        form = self.formats[section.mid]
        handle = self._forwarder.add_stream(self._spec(section, form, ssrc))
        permitted = self.may(section)
        if not permitted:
            self._forwarder.set_discard(handle, True)
        stream = Stream(
            handle,
            self._peer,
            source_of(self._peer, section),
            section,
            form,
            ssrc,
            permitted,
            rid_of(section, identity.layer),
            identity.layer,
        )
        self._streams[ssrc] = stream
        if stream.kind == "video":
            self.ladders[stream.source].find(stream)
        return stream

    def _spec(self, section: Section, form: OfferedCodec, ssrc: int) -> StreamSpec:
        ids = section.extensions
        numbered = ids.get(TRANSPORT_CC_URI, 0)
        return StreamSpec(
            transport=self._transport,
            ssrc=ssrc,
            kind=section.kind,
            codec=form.codec,
            payload_type=form.payload_type,
            clock_rate=form.clock_rate,
            audio_level_id=ids.get(AUDIO_LEVEL_URI, 0),
            abs_send_time_id=0 if numbered else ids.get(ABS_SEND_TIME_URI, 0),
            transport_cc_id=numbered,
            dependency_id=ids.get(DEPENDENCY_URI, 0) if form.codec == "AV1" else 0,
        )

    def _update_ladders(self) -> None:
        before, self.ladders = self.ladders, {}
        for section in self.video_sections():
            source = source_of(self._peer, section)
            rids = tuple(rid_of(section, layer) for layer in range(layers_of(section)))
            ladder = before.get(source)
            if ladder is None or ladder.rids != rids:
                ladder = Ladder(source, self._peer, rids, screen=section.role == "screen")
            self.ladders[source] = ladder


def _reading(section: Section, form: OfferedCodec) -> tuple[object, ...]:
    """How a stream of a section is read: it can go on under a new offer when that is the same."""
    ids = section.extensions
    read = [ids.get(uri, 0) for uri in (AUDIO_LEVEL_URI, TRANSPORT_CC_URI)]
    # What is not read does not count: a browser's next offer leaves out what our answer did.
    read.append(0 if ids.get(TRANSPORT_CC_URI) else ids.get(ABS_SEND_TIME_URI, 0))
    read.append(ids.get(DEPENDENCY_URI, 0) if form.codec == "AV1" else 0)
    return (
        section.role,
        (form.codec, form.payload_type, form.rtx_payload_type),
        read,
        section.rids,
        layers_of(section),
    )
