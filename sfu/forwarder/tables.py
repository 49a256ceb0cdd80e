"""The rows of the engine's tables: transports, streams and legs, and how they hang together."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable

from sfu.forwarder.contract import (
    Address,
    Codec,
    Kind,
    LegCounters,
    LegHandle,
    LegSpec,
    StreamCounters,
    StreamHandle,
    StreamSpec,
    TransportCounters,
    TransportHandle,
)
from sfu.forwarder.sends import SendRing
from sfu.streams.clock import Clock
from sfu.streams.element import Element
from sfu.streams.header import LegHeader
from sfu.streams.history import StreamPacket
from sfu.streams.inbound import InboundStream
from sfu.streams.layers import HIGHEST, LayerFilter
from sfu.streams.rewriter import Rewriter, Write
from sfu.streams.rtx import RtxWriter

#: Arrivals kept between two drains: more than a second of the busiest sender.
MAX_ARRIVALS = 4096

_TRANSPORT_CC_BYTES = 2
_SEND_TIME_BYTES = 3

Transform = Callable[[bytes], bytes]
Deliver = Callable[[bytes, int], None]


class Transport:
    """One remote party: its address, its keys, and its rows in the other tables.

    The four transforms are those of its cipher, None before the handshake. `publishers` are the
    SSRCs that are or were a stream's or a repair's, `reporters` those that sent RTCP and no stream:
    what SRTP keeps of these stays. `rtp_sent_packets` does not count those of its present legs.
    """

    __slots__ = (
        "address",
        "arrivals",
        "dropped_packets",
        "elsewhere",
        "elsewhere_packets",
        "handle",
        "legs",
        "protect",
        "protect_rtcp",
        "publishers",
        "received_bytes",
        "received_packets",
        "remove_srtp_stream",
        "repairs",
        "reporters",
        "rtcp_sent_packets",
        "rtp_sent_packets",
        "send_times",
        "sends",
        "sent_bytes",
        "streams",
        "unprotect",
        "unprotect_rtcp",
    )

    def __init__(self, handle: TransportHandle) -> None:
        self.handle = handle
        self.address: Address | None = None
        #: Other addresses that packets are taken from, oldest first.
        self.elsewhere: list[Address] = []
        self.elsewhere_packets = 0
        self.protect: Transform | None = None
        self.protect_rtcp: Transform | None = None
        self.unprotect: Transform | None = None
        self.unprotect_rtcp: Transform | None = None
        self.remove_srtp_stream: Callable[[int], None] | None = None
        self.streams: dict[int, Stream] = {}
        self.repairs: dict[int, Repair] = {}
        self.publishers: set[int] = set()
        self.reporters: set[int] = set()
        self.legs: list[Leg] = []
        self.sends = SendRing()
        #: (transport-wide sequence number, now_ns) of the newest RTP packets that had one.
        self.arrivals: deque[tuple[int, int]] = deque(maxlen=MAX_ARRIVALS)
        #: (now_ns, ssrc, size_bytes, abs_send_time) of the newest RTP packets of other streams.
        self.send_times: deque[tuple[int, int, int, int | None]] = deque(maxlen=MAX_ARRIVALS)
        self.received_packets = 0
        self.received_bytes = 0
        self.rtp_sent_packets = 0
        self.rtcp_sent_packets = 0
        self.sent_bytes = 0
        self.dropped_packets = 0

    @property
    def ready(self) -> bool:
        """Whether a packet could be encrypted and sent."""
        return self.address is not None and self.protect is not None

    def counters(self) -> TransportCounters:
        """What crossed the wire so far."""
        rtp_sent = self.rtp_sent_packets + sum(leg.sent_packets for leg in self.legs)
        return TransportCounters(
            received_packets=self.received_packets,
            received_bytes=self.received_bytes,
            sent_packets=rtp_sent + self.rtcp_sent_packets,
            sent_bytes=self.sent_bytes,
            rtp_sent_packets=rtp_sent,
            dropped_packets=self.dropped_packets,
            elsewhere_packets=self.elsewhere_packets,
        )


#: The transport of sinks: no stream and no leg is in its tables, and nothing is sent on it.
_NOWHERE = Transport(TransportHandle(0))


class Stream:
    """One incoming SSRC.

    `legs` show it now, all of it, on a transport; `filtered` show it too, but have limits or are
    sinks; `waiting` begin with its next (key) frame, which is beyond `waits_beyond`, the newest
    packet that there was when the last of them came; `chosen` are all that were told to show it.
    """

    __slots__ = (
        "chosen",
        "clock",
        "discard",
        "filtered",
        "handle",
        "inbound",
        "legs",
        "repair",
        "send_time",
        "spec",
        "transport",
        "transport_cc",
        "waiting",
        "waits_beyond",
    )

    def __init__(self, handle: StreamHandle, spec: StreamSpec, transport: Transport) -> None:
        self.handle = handle
        self.spec = spec
        self.transport = transport
        self.inbound = InboundStream(
            spec.codec,
            spec.payload_type,
            spec.clock_rate,
            spec.audio_level_id,
            spec.dependency_id,
        )
        self.clock = Clock(spec.transport, spec.clock_rate)
        self.transport_cc = _element(spec.transport_cc_id, _TRANSPORT_CC_BYTES)
        self.send_time = _element(spec.abs_send_time_id, _SEND_TIME_BYTES)
        self.repair: Repair | None = None
        self.legs: list[Leg] = []
        self.filtered: list[Leg] = []
        self.waiting: list[Leg] = []
        self.waits_beyond = -1
        self.chosen: set[Leg] = set()
        self.discard = False

    def counters(self) -> StreamCounters:
        """Reception so far."""
        reception = self.inbound.reception
        return StreamCounters(
            packets=reception.packets,
            bytes=reception.payload_bytes,
            lost=reception.lost,
            jitter=reception.jitter,
            highest_sequence=max(0, reception.highest),
            key_frames=self.inbound.key_frames,
            frames=self.inbound.frames,
            duplicates=reception.duplicates,
            repaired=reception.repaired,
            repair_bytes=0 if self.repair is None else self.repair.payload_bytes,
        )


class Repair:
    """The SSRC on which a stream's lost packets come again (RFC 4588)."""

    __slots__ = ("payload_bytes", "payload_type", "ssrc", "stream", "transport_cc")

    def __init__(self, stream: Stream, ssrc: int, payload_type: int) -> None:
        self.stream = stream
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.payload_bytes = 0
        self.transport_cc = _element(stream.spec.transport_cc_id, _TRANSPORT_CC_BYTES)


class Leg:
    """One outgoing SSRC: `target` is what it was told to show, `shown` what it shows.

    Packets of a sink go to `deliver` and its transport leads nowhere. `place` is the list of its
    stream that it is in.
    """

    __slots__ = (
        "answered",
        "clock",
        "codec",
        "deliver",
        "filter",
        "handle",
        "kind",
        "packets",
        "paused",
        "payload_bytes",
        "payload_types",
        "place",
        "resent",
        "resent_bytes",
        "rewriter",
        "rtx",
        "rtx_payload_types",
        "shown",
        "shown_from",
        "ssrc",
        "stamped",
        "target",
        "transport",
        "write",
    )

    def __init__(
        self,
        handle: LegHandle,
        kind: Kind,
        payload_types: dict[Codec, int],
        header: LegHeader,
        transport: Transport,
        *,
        deliver: Deliver | None = None,
        rtx: RtxWriter | None = None,
        rtx_payload_types: dict[Codec, int] | None = None,
    ) -> None:
        self.handle = handle
        self.kind = kind
        self.payload_types = payload_types
        self.transport = transport
        self.deliver = deliver
        self.rtx = rtx
        self.rtx_payload_types = rtx_payload_types or {}
        self.stamped = header.stamped
        self.ssrc = int.from_bytes(header.ssrc, "big")
        self.rewriter = Rewriter(
            header, first_sequence=_first_sequence(), first_time=secrets.randbits(32)
        )
        self.write: Write = self.rewriter.write
        self.filter = LayerFilter()
        self.target: Stream | None = None
        self.shown: Stream | None = None
        #: The transport-wide number of the first packet of it.
        self.shown_from = 0
        self.place: list[Leg] = []
        #: The codec and clock that were shown last.
        self.codec: Codec | None = None
        self.clock: Clock | None = None
        self.paused = False
        self.packets = 0
        self.payload_bytes = 0
        #: Packets that a NACK asked for; `resent` counts probing, too.
        self.answered = 0
        self.resent = 0
        self.resent_bytes = 0

    @property
    def sent_packets(self) -> int:
        """All that went out, repeats and padding included."""
        return self.packets + self.resent

    def counters(self) -> LegCounters:
        """What was sent so far."""
        return LegCounters(
            packets=self.packets,
            bytes=self.payload_bytes,
            resent=self.resent,
            resent_bytes=self.resent_bytes,
        )

    def rtx_payload_type(self) -> int | None:
        """That of repeats in the codec that is shown, or was last; None without RTX for it.

        Before the first it is any codec's: padding says nothing of one.
        """
        if self.rtx is None:
            return None
        if self.codec is None:
            return next(iter(self.rtx_payload_types.values()), None)
        return self.rtx_payload_types.get(self.codec)

    def settle(self) -> None:
        """Bring what is shown in line with what was told and with what is possible now."""
        target = self.target
        for stream in (target, self.shown):
            if stream is not None and self in stream.waiting:
                stream.waiting.remove(self)
        ready = self.deliver is not None or self.transport.ready
        if target is None or self.paused or not ready:
            self.hide()
        elif self.shown is not target:
            if self.kind == "audio":
                self.hide()
            target.waiting.append(self)
            target.waits_beyond = target.inbound.reception.highest

    def show(self, stream: Stream, first: StreamPacket) -> None:
        """Show `stream` from its packet `first` on, and nothing else."""
        self.hide()
        spec = stream.spec
        shift = None if self.clock is None else stream.clock.shift_from(self.clock)
        self.rewriter.start(
            first, spec.codec, self.payload_types[spec.codec], spec.clock_rate, shift
        )
        self.write = self.rewriter.write
        self.codec = spec.codec
        self.clock = stream.clock
        self.filter.start(HIGHEST[spec.codec])
        self.shown = stream
        self.shown_from = self.transport.sends.next_sequence
        self.take_place()

    def take_place(self) -> None:
        """Go to the list of the shown stream where its limits put it."""
        if self.shown is None:
            return
        if self in self.place:
            self.place.remove(self)
        unlimited = self.deliver is None and self.filter.is_open
        self.place = self.shown.legs if unlimited else self.shown.filtered
        self.place.append(self)

    def hide(self) -> None:
        """Show nothing from now on."""
        stream = self.shown
        if stream is not None:
            self.place.remove(self)
            self.place = []
            self.shown = None
            inbound = stream.inbound
            self.rewriter.stop(inbound.newest(), inbound.picture_id, inbound.tl0)


def _element(wanted: int, size_bytes: int) -> Element | None:
    return Element(wanted, size_bytes) if wanted else None


def _first_sequence() -> int:
    # RFC 3711 §3.3.1: in the lower half, so that losing the first packets cannot mislead the
    # receiver's guess of the rollover counter.
    return secrets.randbelow(1 << 15)


def new_leg(handle: LegHandle, spec: LegSpec, transport: Transport) -> Leg:
    """A leg as a receiver negotiated it."""
    rtx = None
    if spec.rtx_ssrc:
        rtx = RtxWriter(_header(spec, spec.rtx_ssrc), _first_sequence())
    return Leg(
        handle,
        spec.kind,
        spec.payload_types,
        _header(spec, spec.ssrc),
        transport,
        rtx=rtx,
        rtx_payload_types=spec.rtx_payload_types,
    )


def new_sink(
    handle: LegHandle, kind: Kind, payload_types: dict[Codec, int], deliver: Deliver
) -> Leg:
    """A leg without a transport."""
    header = LegHeader(secrets.randbits(32))
    return Leg(handle, kind, payload_types, header, _NOWHERE, deliver=deliver)


def _header(spec: LegSpec, ssrc: int) -> LegHeader:
    return LegHeader(
        ssrc,
        mid=spec.mid,
        mid_id=spec.mid_id,
        audio_level_id=spec.audio_level_id,
        dependency_id=spec.dependency_id,
        transport_cc_id=spec.transport_cc_id,
    )
