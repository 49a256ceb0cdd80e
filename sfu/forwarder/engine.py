"""The path that runs once for each datagram."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import pylibsrtp

from sfu.forwarder import repair
from sfu.forwarder.contract import (
    SENDS,
    Address,
    LegHandle,
    Punts,
    Sent,
    StreamHandle,
    TransportHandle,
)
from sfu.forwarder.switchboard import Switchboard
from sfu.forwarder.tables import Leg, Repair, Stream, Transport
from sfu.rtp.demux import Protocol as Wire
from sfu.rtp.demux import classify
from sfu.rtp.packet import (
    EXTENDED_HEADER,
    EXTENDED_HEADER_BYTES,
    FIXED_HEADER,
    USUAL_FIRST_BYTE,
    payload_bounds,
)
from sfu.rtp.rtx import original_sequence, restore
from sfu.streams.history import StreamPacket
from sfu.streams.inbound import MAX_BEHIND
from sfu.streams.reception import MAX_DROPOUT

#: SSRCs that a peer may send RTCP from besides those of its streams. A browser has one or two.
MAX_REPORTERS = 64

#: What pylibsrtp raises on a packet it refuses: `Error` from libsrtp, `ValueError` for its size.
#: `RtpFormatError` is a `ValueError` too.
REFUSED = (pylibsrtp.Error, ValueError)

_LEVEL_MASK = 0x7F
_LEAST_RTCP_BYTES = 8
_SENDS_MASK = SENDS - 1

_unpack_header = FIXED_HEADER.unpack_from
_unpack_extended = EXTENDED_HEADER.unpack_from


class Outbox(Protocol):
    """Where encrypted packets go (`sfu.forwarder.batch.Batch` is one). None of these may raise."""

    def gather(self, data: bytes, address: Address) -> None:
        """Send with the next `flush`."""

    def send(self, data: bytes, address: Address) -> None:
        """Send now."""

    def flush(self) -> None:
        """Send what was gathered."""


class Engine(Switchboard):
    """The `Forwarder` of the contract.

    Call `receive` for each datagram of a read burst, then `flush`. `receive` raises nothing for
    any bytes; what a punt or a sink raises, which is a fault of ours, passes through.

    `stray_packets` counts datagrams from addresses of no transport, `refused_packets` those
    that SRTP would not encrypt (repeats that are too old, packets over pylibsrtp's size).
    """

    def __init__(self, punts: Punts, outbox: Outbox) -> None:
        super().__init__()
        self._punts = punts
        self._outbox = outbox
        self._gather = outbox.gather
        self._holed: set[StreamHandle] = set()
        self.stray_packets = 0
        self.refused_packets = 0

    # ---------------------------------------------------- repair and reports

    def resend(
        self, leg: LegHandle, sequences: Sequence[int], now_ns: int, copies: int = 1
    ) -> list[int]:
        """Answer a NACK from the ring, with so many of each, now; the sequence numbers sent."""
        sent = repair.resend(self._legs[leg], sequences, copies, now_ns, self._emit)
        if sent:
            self._outbox.flush()
        return sent

    def repairable(self, transport: TransportHandle, numbers: Iterable[int]) -> list[Sent]:
        """Those of these numbers that were packets sent first, and could be sent again."""
        return repair.repairable(self._transports[transport].sends, self._legs, numbers)

    def probe(self, leg: LegHandle, size_bytes: int, now_ns: int) -> int:
        """Send about so much more on a leg's RTX SSRC, now; the bytes sent."""
        sent_bytes = repair.probe(self._legs[leg], size_bytes, now_ns, self._emit)
        if sent_bytes:
            self._outbox.flush()
        return sent_bytes

    def missing(self, stream: StreamHandle, now_ns: int, round_trip_ns: int) -> list[int]:
        """Sequence numbers to ask of the sender now; `round_trip_ns` is 0 when it is unknown."""
        due = self._streams[stream].inbound.missing.due(now_ns, round_trip_ns)
        return [index & 0xFFFF for index in due]

    def holed(self) -> list[StreamHandle]:
        """The streams for which `missing` may have something to ask, now or later."""
        if self._holed:
            streams = self._streams
            self._holed = {
                handle
                for handle in self._holed
                if handle in streams and streams[handle].inbound.missing
            }
        return list(self._holed)

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

    # -------------------------------------------------------------- the path

    def receive(self, data: bytes, address: Address, now_ns: int) -> None:
        """One datagram from the wire."""
        transport = self._addresses.get(address)
        if transport is not None:
            size_bytes = len(data)
            transport.received_packets += 1
            transport.received_bytes += size_bytes
            # `classify` finds the same; nearly every datagram is RTP, and this is told at once.
            if size_bytes > 1 and data[0] & 0xC0 == 0x80 and data[1] & 0x60 != 0x40:
                self._receive_rtp(transport, data, now_ns)
                return
        else:
            transport = self._found_elsewhere(data, address)
        protocol = classify(data)
        if protocol is Wire.STUN:
            self._punts.on_stun(data, address, now_ns)
        elif transport is None:
            self.stray_packets += 1
        elif protocol is Wire.RTP:
            self._receive_rtp(transport, data, now_ns)
        elif protocol is Wire.RTCP:
            self._receive_rtcp(transport, data, now_ns)
        elif protocol is Wire.DTLS and transport.address == address:
            # What is answered goes to the nominated address: elsewhere the answer would be lost.
            self._punts.on_dtls(transport.handle, data)
        else:
            transport.dropped_packets += 1

    def _found_elsewhere(self, data: bytes, address: Address) -> Transport | None:
        transport = self._elsewhere.get(address)
        if transport is not None:
            transport.elsewhere_packets += 1
            transport.received_packets += 1
            transport.received_bytes += len(data)
        return transport

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
            end = len(packet)
            first = 0
            if end >= EXTENDED_HEADER_BYTES:
                first, second, sequence, timestamp, ssrc, words = _unpack_extended(packet)
                start = EXTENDED_HEADER_BYTES + 4 * words
            if first != USUAL_FIRST_BYTE or start > end:
                start, end = payload_bounds(packet)
                _, second, sequence, timestamp, ssrc = _unpack_header(packet)
        except REFUSED:
            transport.dropped_packets += 1
            return
        stream = transport.streams.get(ssrc)
        if stream is None:
            stream = self._find(transport, ssrc, packet, now_ns)
            if stream is None:
                again = transport.repairs.get(ssrc)
                if again is not None:
                    self._receive_repair(again, packet, start, end, now_ns)
                return
        element = stream.transport_cc
        if element is not None:
            at = element.position(packet, start)
            if at:
                transport.arrivals.append((packet[at] << 8 | packet[at + 1], now_ns))
        else:
            _note_send_time(stream, packet, start, len(data), now_ns)
        if stream.discard:
            stream.inbound.count(sequence, timestamp, end - start, now_ns)
            return
        slot = stream.inbound.take(packet, second, sequence, timestamp, start, end, now_ns)
        if slot is None:
            transport.dropped_packets += 1
            return
        self._forward(stream, slot, now_ns)

    def _find(self, transport: Transport, ssrc: int, packet: bytes, now_ns: int) -> Stream | None:
        """The stream of an SSRC that had none a moment ago; None for a repair's."""
        if ssrc not in transport.repairs and not self._punts.on_unknown_ssrc(
            transport.handle, packet, now_ns
        ):
            _refuse(transport, ssrc)
            return None
        stream = transport.streams.get(ssrc)
        if stream is None and ssrc not in transport.repairs:
            _refuse(transport, ssrc)
        return stream

    def _receive_repair(
        self, again: Repair, packet: bytes, start: int, end: int, now_ns: int
    ) -> None:
        stream = again.stream
        if again.transport_cc is not None:
            at = again.transport_cc.position(packet, start)
            if at:
                stream.transport.arrivals.append((packet[at] << 8 | packet[at + 1], now_ns))
        again.payload_bytes += end - start
        if stream.discard or packet[1] & 0x7F != again.payload_type:
            return
        try:
            if original_sequence(packet, start, end) < 0:
                return
        except ValueError:
            stream.transport.dropped_packets += 1
            return
        spec = stream.spec
        original = restore(packet[:end], start, spec.ssrc, spec.payload_type)
        _, second, sequence, timestamp, _ = _unpack_header(original)
        slot = stream.inbound.take(
            original, second, sequence, timestamp, start, len(original), now_ns
        )
        if slot is not None:
            self._forward(stream, slot, now_ns)

    def _forward(self, stream: Stream, slot: StreamPacket, now_ns: int) -> None:
        step = stream.inbound.step
        if slot.level >= 0:
            self._levels.append((stream.handle, slot.level & _LEVEL_MASK))
        if step == 1 and slot.payload and not stream.waiting and not stream.filtered:
            self._send_to_legs(stream.legs, slot, now_ns)
            return
        if step > 1 and stream.inbound.missing:
            self._holed.add(stream.handle)
        if step > MAX_DROPOUT:
            for leg in [*stream.legs, *stream.filtered]:
                leg.rewriter.leap(step, slot.index)
            step = 1
        begun = self._begin(stream, slot) if stream.waiting or step <= 0 else None
        if step <= 0:
            self._send_late(stream, slot, now_ns)
            if begun:
                self._catch_up(stream, begun, slot.index, now_ns)
        elif slot.payload:
            self._send_to_legs(stream.legs, slot, now_ns)
            if stream.filtered:
                for leg in tuple(stream.filtered):
                    self._offer(leg, stream, slot, step, now_ns)
        else:
            for leg in [*stream.legs, *stream.filtered]:
                leg.rewriter.skip(slot.index)
        if begun and stream.spec.kind == "video":
            self._punts.on_key_frame(stream.handle)

    def _begin(self, stream: Stream, slot: StreamPacket) -> list[Leg]:
        inbound = stream.inbound
        if not slot.payload or inbound.step < -MAX_BEHIND:
            return []
        if inbound.newest().index != inbound.reception.highest:
            # Newer ones were counted while they were discarded: numbers go on from the newest.
            return []
        if stream.spec.kind == "video" and not inbound.key_frame:
            return []
        begun = list(stream.waiting)
        if inbound.step <= 0:
            if begun and slot.index <= stream.waits_beyond:
                # Behind it is what came before a leg was to show the stream: perhaps before it was
                # allowed to. All begin with one that they can share.
                return []
            # What it made of the layers above was dropped, not knowing that it is a key frame.
            begun += [leg for leg in stream.filtered if leg.filter.waits]
        stream.waiting.clear()
        for leg in begun:
            leg.show(stream, slot)
        return begun

    def _send_to_legs(self, legs: list[Leg], slot: StreamPacket, now_ns: int) -> None:
        gather = self._gather
        size_bytes = len(slot.payload)
        index = slot.index
        for leg in legs:
            transport = leg.transport
            sends = transport.sends
            stamp = sends.next_sequence
            try:
                sealed = transport.protect(leg.write(slot, stamp & 0xFFFF, 0))  # type: ignore[misc]  # a leg that shows is ready
            except REFUSED:
                self.refused_packets += 1
                continue
            wire_bytes = len(sealed)
            if leg.stamped:
                at = stamp & _SENDS_MASK
                sends.times_ns[at] = now_ns
                sends.sizes_bytes[at] = wire_bytes
                sends.legs[at] = leg.handle
                sends.indexes[at] = index
                sends.next_sequence = stamp + 1
            leg.packets += 1
            leg.payload_bytes += size_bytes
            transport.sent_bytes += wire_bytes
            gather(sealed, transport.address)  # type: ignore[arg-type]  # likewise

    def _offer(self, leg: Leg, stream: Stream, slot: StreamPacket, step: int, now_ns: int) -> None:
        """The newest packet, to a leg that may not want it."""
        if leg.shown is not stream:
            return  # what was delivered to another sink has changed the tables
        limits = leg.filter
        if not slot.payload:
            leg.rewriter.skip(slot.index)
        elif limits.admits(slot):
            limits.forwards()
            mark = limits.mark(slot) if slot.ends else 0
            self._deliver(leg, leg.write(slot, _stamp(leg), mark), slot, now_ns)
            if limits.is_open and leg.deliver is None:
                leg.take_place()
        else:
            leg.rewriter.drop(slot, limits.drops(slot, step))

    def _send_late(self, stream: Stream, slot: StreamPacket, now_ns: int) -> None:
        """A packet that fills a hole, wherever there is one for it."""
        for leg in [*stream.legs, *stream.filtered]:
            if leg.shown is not stream or not leg.filter.admits_late(slot):
                continue
            if leg.deliver is not None and not slot.payload:
                continue
            data = leg.rewriter.write_late(slot, _stamp(leg), leg.filter.mark(slot))
            if data is not None:
                self._deliver(leg, data, slot, now_ns)

    def _catch_up(self, stream: Stream, legs: list[Leg], index: int, now_ns: int) -> None:
        """A key frame's first packet came last: the rest of it is in the ring."""
        find = stream.inbound.history.find
        for leg in legs:
            before = index
            for later in range(index + 1, stream.inbound.reception.highest + 1):
                slot = find(later, now_ns)
                if slot is not None:
                    self._offer(leg, stream, slot, later - before, now_ns)
                    before = later

    def _deliver(self, leg: Leg, data: bytes, slot: StreamPacket, now_ns: int) -> None:
        if leg.deliver is not None:
            leg.deliver(data, now_ns)
        elif not self._emit(leg, data, now_ns, leg.handle, slot.index):
            return
        leg.packets += 1
        leg.payload_bytes += len(slot.payload)

    def _emit(self, leg: Leg, data: bytes, now_ns: int, handle: int = 0, index: int = 0) -> int:
        """Encrypt, note and gather a packet; its size on the wire, 0 when that is not possible.

        `handle` and `index` tell the ring of sends which packet it is, unless it is a repeat.
        """
        transport = leg.transport
        if transport.protect is None or transport.address is None:
            return 0
        try:
            sealed = transport.protect(data)
        except REFUSED:
            self.refused_packets += 1
            return 0
        if leg.stamped:
            transport.sends.note(now_ns, len(sealed), handle, index)
        transport.sent_bytes += len(sealed)
        self._gather(sealed, transport.address)
        return len(sealed)


def _stamp(leg: Leg) -> int:
    return leg.transport.sends.next_sequence & 0xFFFF


def _note_send_time(
    stream: Stream, packet: bytes, start: int, size_bytes: int, now_ns: int
) -> None:
    send_time = None
    if stream.send_time is not None:
        at = stream.send_time.position(packet, start)
        if at:
            send_time = int.from_bytes(packet[at : at + 3], "big")
    stream.transport.send_times.append((now_ns, stream.spec.ssrc, size_bytes, send_time))


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
