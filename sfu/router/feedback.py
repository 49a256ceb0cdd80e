"""RTCP from a peer: reports on what it sends and receives, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sfu.forwarder.contract import Forwarder
from sfu.router.peer import Connection
from sfu.router.repairs import Packet
from sfu.router.reports import clock_origin, round_trip_ms, take_sender_report
from sfu.router.stream import Stream
from sfu.router.subscriber import HeardLoss, Leg
from sfu.rtp.rtcp import (
    FullIntraRequest,
    Goodbye,
    Nack,
    PictureLossIndication,
    ReceiverReport,
    Remb,
    ReportBlock,
    RtcpFormatError,
    SenderReport,
    TransportFeedback,
    parse_compound,
)

#: Of more that are told to be lost at once, the newest: the others are too old to be of use.
_MOST_LOST = 1000


@dataclass(slots=True)
class FeedbackCounters:
    """RTCP since the start, of all peers."""

    malformed: int = 0
    too_many: int = 0
    nack_received: int = 0
    nack_sent: int = 0
    pli_received: int = 0
    pli_sent: int = 0
    transport_wide_received: int = 0
    transport_wide_sent: int = 0
    remb_received: int = 0
    #: Video packets with RTX that receivers told not to have arrived, and those that came later.
    video_lost: int = 0
    video_repaired: int = 0


@dataclass(slots=True)
class FeedbackActions:
    """What feedback leads to outside of its own connection."""

    need_key_frame: Callable[[Stream], None]
    reported: Callable[[Stream, SenderReport], None]
    gone: Callable[[Stream], None]


def take_feedback(
    connection: Connection,
    packet: bytes,
    forwarder: Forwarder,
    counters: FeedbackCounters,
    actions: FeedbackActions,
    now_ns: int,
) -> None:
    """Act on one decrypted compound packet of a peer; what it may not say is passed over."""
    if not connection.rtcp.take(1, now_ns):
        counters.too_many += 1
        return
    try:
        packets = parse_compound(packet)
    except RtcpFormatError:
        counters.malformed += 1
        return
    pictures: set[int] = set()
    for item in packets:
        match item:
            case SenderReport():
                _sender_report(connection, item, forwarder, actions, now_ns)
                _report_blocks(connection, item.reports, now_ns)
            case ReceiverReport():
                _report_blocks(connection, item.reports, now_ns)
            case TransportFeedback():
                counters.transport_wide_received += 1
                _transport_feedback(connection, item, forwarder, counters, now_ns)
            case Remb():
                counters.remb_received += 1
                connection.downlink.receiver_limit(item.bitrate_bps, now_ns)
            case Nack():
                counters.nack_received += 1
                _resend(connection, item, forwarder, now_ns)
            case PictureLossIndication():
                counters.pli_received += 1
                pictures.add(item.media_ssrc)
            case FullIntraRequest():
                counters.pli_received += 1
                pictures.update(ssrc for ssrc, _ in item.entries)
            case Goodbye():
                for ssrc in item.ssrcs:
                    stream = connection.publisher.by_ssrc(ssrc)
                    if stream is not None:
                        actions.gone(stream)
    for ssrc in pictures:
        _key_frame(connection, ssrc, actions)


def _sender_report(
    connection: Connection,
    report: SenderReport,
    forwarder: Forwarder,
    actions: FeedbackActions,
    now_ns: int,
) -> None:
    stream = connection.publisher.by_ssrc(report.ssrc)
    if stream is not None:
        take_sender_report(connection, stream, report, now_ns)
        forwarder.set_clock(stream.handle, clock_origin(report, stream.format.clock_rate))
        actions.reported(stream, report)


def _report_blocks(connection: Connection, blocks: tuple[ReportBlock, ...], now_ns: int) -> None:
    worst: float | None = None
    for block in blocks:
        leg = connection.subscriber.leg(block.ssrc)
        if leg is None:
            continue
        leg.fraction_lost = block.fraction_lost / 256
        if leg.kind == "audio" and leg.stream is not None:
            leg.heard_loss = HeardLoss(leg.stream.handle, leg.fraction_lost, now_ns)
        worst = max(worst or 0.0, leg.fraction_lost)
        trip = round_trip_ms(block, now_ns)
        if trip is not None:
            connection.round_trip_ms = trip
    if worst is not None:
        connection.downlink.loss_report(worst, now_ns)


def _resend(connection: Connection, nack: Nack, forwarder: Forwarder, now_ns: int) -> None:
    leg = connection.subscriber.leg(nack.media_ssrc)
    if leg is not None:
        _repeat(connection, leg, nack.sequences, forwarder, now_ns)


def _repeat(
    connection: Connection,
    leg: Leg,
    sequences: Sequence[int],
    forwarder: Forwarder,
    now_ns: int,
) -> None:
    if leg.handle is None:
        return
    copies = connection.downlink.repeats()
    allowed = connection.resends.take(copies * len(sequences), now_ns) // copies
    sent = forwarder.resend(leg.handle, sequences[:allowed], now_ns, copies)
    if leg.is_numbered:
        following = forwarder.sends(connection.transport.handle).next_sequence
        connection.repairs.repeated(leg.ssrc, sent, following - len(sent), now_ns)


def _transport_feedback(
    connection: Connection,
    feedback: TransportFeedback,
    forwarder: Forwarder,
    counters: FeedbackCounters,
    now_ns: int,
) -> None:
    told = connection.downlink.feedback(feedback, now_ns)
    repairs = connection.repairs
    if told is None or not (told.lost or repairs):
        return
    before = repairs.lost, repairs.repaired
    repairs.arrived([told.base + offset for offset in feedback.offsets])
    repairs.missed(told.lost)
    repairs.missed(told.untold)
    lost = told.lost[-_MOST_LOST:]
    for number, ssrc, sequence in forwarder.repairable(connection.transport.handle, lost):
        repairs.told_lost(Packet(ssrc, sequence), number, now_ns)
    counters.video_lost += repairs.lost - before[0]
    counters.video_repaired += repairs.repaired - before[1]
    for ssrc, sequences in repairs.due(now_ns).items():
        leg = connection.subscriber.leg(ssrc)
        if leg is not None:
            allowed = connection.unasked.take(len(sequences), now_ns)
            _repeat(connection, leg, sequences[:allowed], forwarder, now_ns)


def _key_frame(connection: Connection, ssrc: int, actions: FeedbackActions) -> None:
    leg = connection.subscriber.leg(ssrc)
    if leg is None or leg.kind != "video" or leg.paused:
        return
    # What the receiver cannot decode is what it is shown, not what is to come.
    stream = leg.shown or leg.stream
    if stream is not None:
        actions.need_key_frame(stream)
