"""What a leg sends besides the stream: packets again after a NACK, and packets that only probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sfu.forwarder.contract import SENDS, LegHandle, Sent
from sfu.forwarder.sends import SendRing
from sfu.forwarder.tables import Leg
from sfu.rtp.packet import header_length
from sfu.rtp.rtx import SEQUENCE_BYTES
from sfu.streams.history import StreamPacket
from sfu.streams.rtx import MAX_PADDING_BYTES

#: Packets that a leg may repeat beyond what it has sent: half a second of video, after an outage.
REPEATS_AHEAD = 512
#: Packets of one probe: it lasts some milliseconds, which is at most so many at 10 Mb/s.
MAX_PROBE_PACKETS = 64

#: (leg, packet, now_ns) → bytes on the wire, 0 when it could not be sent.
Emit = Callable[[Leg, bytes, int], int]


def resend(leg: Leg, sequences: Sequence[int], copies: int, now_ns: int, emit: Emit) -> list[int]:
    """Answer a NACK from the shown stream's ring; the sequence numbers as they were sent again.

    Second copies go behind all first ones, so that a short gap does not take both.
    In the long run a leg repeats no more packets than it has sent, so that a receiver that asks
    without end at most doubles its traffic.
    """
    shown = leg.shown
    if shown is None or not _may_repeat(leg):
        return []
    history, newest = shown.inbound.history, shown.inbound.reception.highest
    sent: list[int] = []
    for sequence in list(dict.fromkeys(sequences)) * copies:
        if leg.answered >= leg.packets + REPEATS_AHEAD:
            break
        index = leg.rewriter.index_of(sequence, newest)
        slot = None if index is None else history.find(index, now_ns)
        if slot is not None and _repeat(leg, slot, now_ns, emit):
            leg.answered += 1
            sent.append(sequence)
    return sent


def repairable(
    sends: SendRing, legs: Mapping[LegHandle, Leg], numbers: Iterable[int]
) -> list[Sent]:
    """Those of these numbers that were packets sent first, and could be sent again on RTX."""
    found: list[Sent] = []
    newest = sends.next_sequence - 1
    for number in numbers:
        at = number % SENDS
        leg = legs.get(LegHandle(sends.legs[at])) if newest - SENDS < number <= newest else None
        # What a leg sent before it showed this stream is not in this stream's ring.
        if leg is None or number < leg.shown_from or leg.rtx_payload_type() is None:
            continue
        sequence = leg.rewriter.sequence_of(sends.indexes[at])
        if sequence is not None:
            found.append(Sent(number, leg.ssrc, sequence))
    return found


def probe(leg: Leg, size_bytes: int, now_ns: int, emit: Emit) -> int:
    """Send about so much more on the RTX SSRC: the newest packets again, then padding."""
    if leg.rtx_payload_type() is None:
        return 0
    sent_bytes = 0
    shown = leg.shown
    if shown is not None:
        history, index = shown.inbound.history, shown.inbound.reception.highest
        for newest in range(index, index - MAX_PROBE_PACKETS, -1):
            if sent_bytes >= size_bytes:
                return sent_bytes
            slot = history.find(newest, now_ns)
            if slot is None or not slot.payload:
                break
            sent_bytes += _repeat(leg, slot, now_ns, emit)
    for _ in range(MAX_PROBE_PACKETS):
        if sent_bytes >= size_bytes:
            break
        padding_bytes = _pad(leg, size_bytes - sent_bytes, now_ns, emit)
        if not padding_bytes:
            break
        sent_bytes += padding_bytes
    return sent_bytes


def _may_repeat(leg: Leg) -> bool:
    # A packet without RTX is the same bytes again. With another transport-wide sequence number it
    # would be another packet under the same SRTP index.
    return leg.rtx_payload_type() is not None or not leg.stamped


def _stamp(leg: Leg) -> int:
    return leg.transport.sends.next_sequence & 0xFFFF


def _repeat(leg: Leg, slot: StreamPacket, now_ns: int, emit: Emit) -> int:
    """Bytes sent; 0 for a packet that this leg never sent."""
    if not leg.filter.admits_late(slot):
        return 0
    data = leg.rewriter.write_late(slot, 0, leg.filter.mark(slot))
    if data is None:
        return 0
    payload_type = leg.rtx_payload_type()
    payload_bytes = len(data) - header_length(data)
    if leg.rtx is not None and payload_type is not None:
        data = leg.rtx.repeat(data, payload_type, _stamp(leg))
        payload_bytes += SEQUENCE_BYTES
    return _sent(leg, data, payload_bytes, now_ns, emit)


def _pad(leg: Leg, size_bytes: int, now_ns: int, emit: Emit) -> int:
    payload_type = leg.rtx_payload_type()
    if leg.rtx is None or payload_type is None:
        return 0
    size_bytes = min(size_bytes, MAX_PADDING_BYTES)
    data = leg.rtx.padding(size_bytes, payload_type, _newest_time(leg), _stamp(leg))
    return _sent(leg, data, size_bytes, now_ns, emit)


def _newest_time(leg: Leg) -> int:
    if leg.shown is None:
        return leg.rewriter.stopped_time
    return leg.rewriter.time_of(leg.shown.inbound.newest().timestamp)


def _sent(leg: Leg, data: bytes, payload_bytes: int, now_ns: int, emit: Emit) -> int:
    size_bytes = emit(leg, data, now_ns)
    if size_bytes:
        leg.resent += 1
        leg.resent_bytes += payload_bytes
    return size_bytes
