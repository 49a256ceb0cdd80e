"""The rows of the engine's tables: transports, streams and legs, and how they hang together."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable

from sfu.forwarder.contract import (
    Address,
    LegCounters,
    LegHandle,
    LegSpec,
    StreamCounters,
    StreamHandle,
    StreamSpec,
    TransportCounters,
    TransportHandle,
)
from sfu.rtp.extensions import extension_block
from sfu.streams.inbound import InboundStream
from sfu.streams.rewriter import Rewriter

#: Arrivals kept between two drains: more than a second of the busiest sender.
MAX_ARRIVALS = 4096

Transform = Callable[[bytes], bytes]


class Transport:
    """One remote party: its address, its keys, and its rows in the other tables.

    The four transforms are those of its cipher, None before the handshake. `publishers` are the
    SSRCs that are or were a stream's, `reporters` those that sent RTCP and no stream: what SRTP
    keeps of these stays.
    """

    __slots__ = (
        "address",
        "arrivals",
        "dropped_packets",
        "handle",
        "legs",
        "protect",
        "protect_rtcp",
        "publishers",
        "received_bytes",
        "received_packets",
        "remove_srtp_stream",
        "reporters",
        "rtcp_sent_packets",
        "rtp_sent_packets",
        "sent_bytes",
        "streams",
        "unprotect",
        "unprotect_rtcp",
    )

    def __init__(self, handle: TransportHandle) -> None:
        self.handle = handle
        self.address: Address | None = None
        self.protect: Transform | None = None
        self.protect_rtcp: Transform | None = None
        self.unprotect: Transform | None = None
        self.unprotect_rtcp: Transform | None = None
        self.remove_srtp_stream: Callable[[int], None] | None = None
        self.streams: dict[int, Stream] = {}
        self.publishers: set[int] = set()
        self.reporters: set[int] = set()
        self.legs: list[Leg] = []
        #: (now_ns, ssrc, size_bytes, abs_send_time) of the newest RTP packets.
        self.arrivals: deque[tuple[int, int, int, int | None]] = deque(maxlen=MAX_ARRIVALS)
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
        return TransportCounters(
            received_packets=self.received_packets,
            received_bytes=self.received_bytes,
            sent_packets=self.rtp_sent_packets + self.rtcp_sent_packets,
            sent_bytes=self.sent_bytes,
            rtp_sent_packets=self.rtp_sent_packets,
            dropped_packets=self.dropped_packets,
        )


class Stream:
    """One incoming SSRC: `legs` show it now, `waiting` begin with its next (key) frame."""

    __slots__ = ("discard", "handle", "inbound", "legs", "spec", "tap", "transport", "waiting")

    def __init__(self, handle: StreamHandle, spec: StreamSpec, transport: Transport) -> None:
        self.handle = handle
        self.spec = spec
        self.transport = transport
        self.inbound = InboundStream(
            spec.codec, spec.payload_type, spec.clock_rate, spec.audio_level_id
        )
        self.legs: list[Leg] = []
        self.waiting: list[Leg] = []
        self.tap: Callable[[bytes, int], None] | None = None
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
            duplicates=reception.duplicates,
        )


class Leg:
    """One outgoing SSRC: `target` is what it was told to show, `shown` what it shows."""

    __slots__ = (
        "handle",
        "packets",
        "paused",
        "payload_bytes",
        "resent",
        "rewriter",
        "shown",
        "spec",
        "target",
        "transport",
        "write",
    )

    def __init__(self, handle: LegHandle, spec: LegSpec, transport: Transport) -> None:
        self.handle = handle
        self.spec = spec
        self.transport = transport
        self.rewriter = _new_rewriter(spec)
        self.write = self.rewriter.write
        self.target: Stream | None = None
        self.shown: Stream | None = None
        self.paused = False
        self.packets = 0
        self.payload_bytes = 0
        self.resent = 0

    def counters(self) -> LegCounters:
        """What was sent so far."""
        return LegCounters(packets=self.packets, bytes=self.payload_bytes, resent=self.resent)

    def settle(self) -> None:
        """Bring what is shown in line with what was told and with what is possible now."""
        target = self.target
        for stream in (target, self.shown):
            if stream is not None and self in stream.waiting:
                stream.waiting.remove(self)
        if target is None or self.paused or not self.transport.ready:
            self.hide()
        elif self.shown is not target:
            if self.spec.kind == "audio":
                self.hide()
            target.waiting.append(self)

    def hide(self) -> None:
        """Show nothing from now on."""
        if self.shown is not None:
            self.shown.legs.remove(self)
            self.shown = None


def _new_rewriter(spec: LegSpec) -> Rewriter:
    mid = [(spec.mid_id, spec.mid.encode())] if spec.mid_id else []
    level_extension = b""
    if spec.audio_level_id:
        level_extension = extension_block([*mid, (spec.audio_level_id, b"\0")])[:-1]
    return Rewriter(
        spec.ssrc,
        # RFC 3711 §3.3.1: in the lower half, so that losing the first packets cannot mislead
        # the receiver's guess of the rollover counter.
        first_sequence=secrets.randbelow(1 << 15),
        first_time=secrets.randbits(32),
        extension=extension_block(mid),
        level_extension=level_extension,
    )
