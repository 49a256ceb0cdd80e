"""The forwarder: tables that the slow path fills, and the path that runs once for each datagram."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol

import pylibsrtp

from sfu.forwarder.contract import (
    Address,
    Arrival,
    Cipher,
    LegCounters,
    LegHandle,
    LegSpec,
    Punts,
    StreamCounters,
    StreamHandle,
    StreamSpec,
    TransportCounters,
    TransportHandle,
)
from sfu.forwarder.tables import Leg, Stream, Transport
from sfu.rtp import demux
from sfu.rtp.demux import classify
from sfu.rtp.extensions import position_of
from sfu.rtp.packet import FIXED_HEADER, payload_bounds
from sfu.streams.history import StreamPacket
from sfu.streams.inbound import VIDEO_HISTORY

#: Levels kept between two drains: a second of 80 people who all speak.
MAX_LEVELS = 4096

#: Packets that a leg may repeat beyond what it has sent: a whole ring, after an outage.
REPEATS_AHEAD = VIDEO_HISTORY

#: SSRCs that a peer may send RTCP from besides those of its streams. A browser has one or two.
MAX_REPORTERS = 64

#: What pylibsrtp raises on a packet it refuses: `Error` from libsrtp, `ValueError` for its size.
#: `RtpFormatError` is a `ValueError` too.
REFUSED = (pylibsrtp.Error, ValueError)

#: An enumeration's members are slow to reach from its class.
STUN, DTLS = demux.Protocol.STUN, demux.Protocol.DTLS
RTP, RTCP = demux.Protocol.RTP, demux.Protocol.RTCP

_LEVEL_MASK = 0x7F
_LEAST_RTCP_BYTES = 8

_unpack_header = FIXED_HEADER.unpack_from


class Outbox(Protocol):
    """Where encrypted packets go (`sfu.forwarder.batch.Batch` is one). None of these may raise."""

    def gather(self, data: bytes, address: Address) -> None:
        """Send with the next `flush`."""

    def send(self, data: bytes, address: Address) -> None:
        """Send now."""

    def flush(self) -> None:
        """Send what was gathered."""


class Engine:
    """The `Forwarder` of the contract.

    Call `receive` for each datagram of a read burst, then `flush`. `receive` raises nothing for
    any bytes; what a punt or a tap raises, which is a fault of ours, passes through. Functions
    that take a handle raise `KeyError` when it is not, or no longer, in the table; removing what
    is not there is fine.

    `stray_packets` counts datagrams from addresses of no transport, `refused_packets` those
    that SRTP would not encrypt (repeats that are too old, packets over pylibsrtp's size).
    """

    def __init__(self, punts: Punts, outbox: Outbox) -> None:
        self._punts = punts
        self._outbox = outbox
        self._gather = outbox.gather
        self._handles = count(1)
        self._transports: dict[TransportHandle, Transport] = {}
        self._addresses: dict[Address, Transport] = {}
        self._streams: dict[StreamHandle, Stream] = {}
        self._legs: dict[LegHandle, Leg] = {}
        self._levels: deque[tuple[StreamHandle, int]] = deque(maxlen=MAX_LEVELS)
        self.stray_packets = 0
        self.refused_packets = 0

    # ------------------------------------------------------------ transports

    def add_transport(self) -> TransportHandle:
        """A transport without address and keys: nothing goes in or out but punts."""
        handle = TransportHandle(next(self._handles))
        self._transports[handle] = Transport(handle)
        return handle

    def set_address(self, transport: TransportHandle, address: Address | None) -> None:
        """The nominated remote address, None for none; the newest wins and frees the old one."""
        row = self._transports[transport]
        if row.address == address:
            return
        if row.address is not None:
            del self._addresses[row.address]
        row.address = address
        if address is not None:
            loser = self._addresses.get(address)
            if loser is not None:
                loser.address = None
                _settle(loser.legs)
            self._addresses[address] = row
        _settle(row.legs)

    def holder(self, address: Address) -> TransportHandle | None:
        """The transport that has this address now."""
        row = self._addresses.get(address)
        return None if row is None else row.handle

    def set_cipher(self, transport: TransportHandle, cipher: Cipher) -> None:
        """SRTP keys, after the DTLS handshake."""
        row = self._transports[transport]
        row.protect = cipher.protect
        row.protect_rtcp = cipher.protect_rtcp
        row.unprotect = cipher.unprotect
        row.unprotect_rtcp = cipher.unprotect_rtcp
        row.remove_srtp_stream = cipher.remove_stream
        _settle(row.legs)

    def remove_transport(self, transport: TransportHandle) -> None:
        """Also removes its streams and legs."""
        row = self._transports.pop(transport, None)
        if row is None:
            return
        for leg in list(row.legs):
            self.remove_leg(leg.handle)
        for stream in list(row.streams.values()):
            self.remove_stream(stream.handle)
        if row.address is not None:
            del self._addresses[row.address]

    # ------------------------------------------------------ streams and legs

    def add_stream(self, spec: StreamSpec) -> StreamHandle:
        """Raises `ValueError` when the transport has a stream of that SSRC."""
        transport = self._transports[spec.transport]
        if spec.ssrc in transport.streams:
            raise ValueError(f"the transport has a stream of SSRC {spec.ssrc}")
        handle = StreamHandle(next(self._handles))
        self._streams[handle] = transport.streams[spec.ssrc] = Stream(handle, spec, transport)
        transport.publishers.add(spec.ssrc)
        return handle

    def remove_stream(self, stream: StreamHandle) -> None:
        """Legs that show it fall silent."""
        row = self._streams.pop(stream, None)
        if row is None:
            return
        del row.transport.streams[row.spec.ssrc]
        for leg in list(row.legs):
            leg.hide()
        for leg in self._legs.values():
            if leg.target is row:
                _select(leg, None)

    def add_leg(self, spec: LegSpec) -> LegHandle:
        """A leg that shows nothing yet."""
        transport = self._transports[spec.transport]
        handle = LegHandle(next(self._handles))
        leg = self._legs[handle] = Leg(handle, spec, transport)
        transport.legs.append(leg)
        return handle

    def remove_leg(self, leg: LegHandle) -> None:
        """What was sent on it stays in its transport's counters."""
        row = self._legs.pop(leg, None)
        if row is not None:
            _select(row, None)
            row.transport.legs.remove(row)

    def select(self, leg: LegHandle, stream: StreamHandle | None) -> None:
        """Show a stream on a leg, or nothing; see the contract for when it takes effect.

        Raises `ValueError` for a stream of another kind or of a codec that the leg cannot send.
        """
        row = self._legs[leg]
        target = None if stream is None else self._streams[stream]
        if target is not None and (
            target.spec.kind != row.spec.kind or target.spec.codec not in row.spec.payload_types
        ):
            raise ValueError(f"the leg cannot carry {target.spec.kind} in {target.spec.codec}")
        _select(row, target)

    def pause(self, leg: LegHandle, paused: bool) -> None:
        """A paused leg sends nothing; a video leg goes on at the next key frame."""
        row = self._legs[leg]
        row.paused = paused
        row.settle()

    def set_tap(self, stream: StreamHandle, tap: Callable[[bytes, int], None] | None) -> None:
        """Call `tap(packet, now_ns)` with each decrypted RTP packet, in order of arrival."""
        self._streams[stream].tap = tap

    def set_discard(self, stream: StreamHandle, discard: bool) -> None:
        """A discarded stream is counted and goes nowhere; legs go on as after a pause."""
        row = self._streams[stream]
        row.discard = discard
        if discard:
            row.inbound.forget()
            for leg in list(row.legs):
                leg.hide()
                leg.settle()

    # ---------------------------------------------------- repair and reports

    def resend(self, leg: LegHandle, sequences: Sequence[int]) -> int:
        """Answer a NACK from the stream's ring with the same outgoing packets; how many were sent.

        They are sent now, with no flush to wait for. In the long run a leg repeats no more packets
        than it has sent, so that a receiver that asks without end at most doubles its traffic.
        """
        row = self._legs[leg]
        shown = row.shown
        if shown is None:
            return 0
        sent = 0
        for sequence in dict.fromkeys(sequences):
            if row.resent >= row.packets + REPEATS_AHEAD:
                break
            sent += self._resend_one(row, shown, sequence)
        if sent:
            self._outbox.flush()
        return sent

    def _resend_one(self, leg: Leg, stream: Stream, sequence: int) -> bool:
        transport = leg.transport
        protect, address = transport.protect, transport.address
        index = leg.rewriter.index_of(sequence)
        slot = None if index is None else stream.inbound.history.find(index)
        data = None if slot is None else leg.rewriter.write(slot)
        if data is None or protect is None or address is None:
            return False
        try:
            sealed = protect(data)
        except REFUSED:
            self.refused_packets += 1
            return False
        leg.resent += 1
        transport.rtp_sent_packets += 1
        transport.sent_bytes += len(sealed)
        self._gather(sealed, address)
        return True

    def missing(self, stream: StreamHandle, now_ns: int) -> list[int]:
        """Sequence numbers to ask of the sender now: each at most a few times, then given up."""
        inbound = self._streams[stream].inbound
        due = inbound.missing.due(inbound.reception.highest, now_ns)
        return [index & 0xFFFF for index in due]

    def send_rtcp(self, transport: TransportHandle, packet: bytes) -> None:
        """Encrypt and send a compound RTCP packet, now; not sent when there is no way to send."""
        row = self._transports[transport]
        if row.protect_rtcp is None or row.address is None:
            return
        try:
            sealed = row.protect_rtcp(packet)
        except REFUSED:
            self.refused_packets += 1
            return
        row.rtcp_sent_packets += 1
        row.sent_bytes += len(sealed)
        self._outbox.send(sealed, row.address)

    def leg_time(self, leg: LegHandle, rtp_time: int) -> int | None:
        """The outgoing RTP timestamp of the shown stream's `rtp_time`, None while it shows none."""
        row = self._legs[leg]
        return None if row.shown is None else row.rewriter.time_of(rtp_time)

    # --------------------------------------------------- reading, in batches

    def stream_counters(self, stream: StreamHandle) -> StreamCounters:
        """Reception since the stream was added."""
        return self._streams[stream].counters()

    def leg_counters(self, leg: LegHandle) -> LegCounters:
        """What was sent on a leg since it was added."""
        return self._legs[leg].counters()

    def transport_counters(self, transport: TransportHandle) -> TransportCounters:
        """What crossed the wire on a transport since it was added."""
        return self._transports[transport].counters()

    def drain_levels(self) -> list[tuple[StreamHandle, int]]:
        """(stream, level in -dBov 0 loud to 127 silent) of audio packets since the last call."""
        levels = list(self._levels)
        self._levels.clear()
        return levels

    def drain_arrivals(self, transport: TransportHandle) -> list[Arrival]:
        """RTP packets of a transport since the last call; bounded, the oldest are dropped."""
        arrivals = self._transports[transport].arrivals
        drained = [Arrival(*arrival) for arrival in arrivals]
        arrivals.clear()
        return drained

    # -------------------------------------------------------------- the path

    def receive(self, data: bytes, address: Address, now_ns: int) -> None:
        """One datagram from the wire."""
        transport = self._addresses.get(address)
        if transport is not None:
            transport.received_packets += 1
            transport.received_bytes += len(data)
        protocol = classify(data)
        if protocol is STUN:
            self._punts.on_stun(data, address, now_ns)
        elif transport is None:
            self.stray_packets += 1
        elif protocol is RTP:
            self._receive_rtp(transport, data, now_ns)
        elif protocol is RTCP:
            self._receive_rtcp(transport, data, now_ns)
        elif protocol is DTLS:
            self._punts.on_dtls(transport.handle, data)
        else:
            transport.dropped_packets += 1

    def flush(self) -> None:
        """End of a read burst: send what was gathered for each address."""
        self._outbox.flush()

    def _receive_rtcp(self, transport: Transport, data: bytes, now_ns: int) -> None:
        unprotect = transport.unprotect_rtcp
        # RFC 3711 §3.4: the sender's SSRC is not encrypted. SRTP keeps a record of each.
        sender = int.from_bytes(data[4:8], "big")
        reporters = transport.reporters
        is_new = sender not in reporters and sender not in transport.publishers
        if unprotect is None or (is_new and len(reporters) >= MAX_REPORTERS):
            transport.dropped_packets += 1
            return
        try:
            packet = unprotect(data)
        except REFUSED:
            transport.dropped_packets += 1
            return
        if is_new:
            reporters.add(sender)
        if len(packet) < _LEAST_RTCP_BYTES:
            transport.dropped_packets += 1
            return
        self._punts.on_rtcp(transport.handle, packet, now_ns)

    def _receive_rtp(self, transport: Transport, data: bytes, now_ns: int) -> None:
        unprotect = transport.unprotect
        if unprotect is None:
            transport.dropped_packets += 1
            return
        try:
            packet = unprotect(data)
            start, end = payload_bounds(packet)
        except REFUSED:
            transport.dropped_packets += 1
            return
        _, second, sequence, timestamp, ssrc = _unpack_header(packet)
        stream = transport.streams.get(ssrc)
        if stream is None:
            if self._punts.on_unknown_ssrc(transport.handle, packet, now_ns):
                stream = transport.streams.get(ssrc)
            if stream is None:
                _refuse(transport, ssrc)
                return
        send_time = None
        wanted = stream.spec.abs_send_time_id
        if wanted:
            position = position_of(packet, wanted, 3, start)
            if position:
                send_time = int.from_bytes(packet[position : position + 3], "big")
        transport.arrivals.append((now_ns, ssrc, len(data), send_time))
        if stream.discard:
            stream.inbound.count(sequence, timestamp, end - start, now_ns)
            return
        slot = stream.inbound.take(packet, second, sequence, timestamp, start, end, now_ns)
        if slot is None:
            transport.dropped_packets += 1
            return
        self._forward(stream, slot, packet, now_ns)

    def _forward(self, stream: Stream, slot: StreamPacket, packet: bytes, now_ns: int) -> None:
        began = stream.waiting and self._begin(stream, slot)
        if slot.level >= 0:
            self._levels.append((stream.handle, slot.level & _LEVEL_MASK))
        if slot.payload:
            self._send_to_legs(stream.legs, slot)
        else:
            late = [leg for leg in stream.legs if not leg.rewriter.skip(slot.index)]
            self._send_to_legs(late, slot)
        if stream.tap is not None:
            stream.tap(packet, now_ns)
        if began and stream.spec.kind == "video":
            self._punts.on_key_frame(stream.handle)

    def _begin(self, stream: Stream, slot: StreamPacket) -> bool:
        if not slot.payload or (stream.spec.kind == "video" and not stream.inbound.key_frame):
            return False
        spec = stream.spec
        for leg in stream.waiting:
            leg.hide()
            leg.rewriter.start(slot, leg.spec.payload_types[spec.codec], spec.clock_rate)
            leg.shown = stream
            stream.legs.append(leg)
        stream.waiting.clear()
        return True

    def _send_to_legs(self, legs: list[Leg], slot: StreamPacket) -> None:
        gather = self._gather
        size_bytes = len(slot.payload)
        for leg in legs:
            data = leg.write(slot)
            if data is None:
                continue
            transport = leg.transport
            try:
                sealed = transport.protect(data)  # type: ignore[misc]  # a leg that shows is ready
            except REFUSED:
                self.refused_packets += 1
                continue
            leg.packets += 1
            leg.payload_bytes += size_bytes
            transport.rtp_sent_packets += 1
            transport.sent_bytes += len(sealed)
            gather(sealed, transport.address)  # type: ignore[arg-type]  # likewise


def _refuse(transport: Transport, ssrc: int) -> None:
    """Drop a packet of no stream, and what SRTP keeps of its SSRC since it was decrypted.

    The records of streams and reporters stay, so that nothing old can be played to us again.
    """
    transport.dropped_packets += 1
    remove = transport.remove_srtp_stream
    if remove is None or ssrc in transport.publishers or ssrc in transport.reporters:
        return
    with contextlib.suppress(pylibsrtp.Error):
        remove(ssrc)


def _settle(legs: list[Leg]) -> None:
    for leg in legs:
        leg.settle()


def _select(leg: Leg, target: Stream | None) -> None:
    if leg.target is not None and leg in leg.target.waiting:
        leg.target.waiting.remove(leg)
    leg.target = target
    leg.settle()
