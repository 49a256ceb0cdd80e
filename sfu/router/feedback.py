"""RTCP from a peer: reports on what it sends and receives, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sfu.forwarder.contract import Forwarder
from sfu.router.peer import Connection
from sfu.router.publisher import Stream
from sfu.router.reports import round_trip_ms, take_sender_report
from sfu.rtp.rtcp import (
    FullIntraRequest,
    Goodbye,
    Nack,
    PictureLossIndication,
    ReceiverReport,
    ReportBlock,
    RtcpFormatError,
    SenderReport,
    parse_compound,
)


@dataclass(slots=True)
class FeedbackCounters:
    """RTCP since the start, of all peers."""

    malformed: int = 0
    nack_received: int = 0
    nack_sent: int = 0
    pli_received: int = 0
    pli_sent: int = 0


@dataclass(frozen=True, slots=True)
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
    try:
        packets = parse_compound(packet)
    except RtcpFormatError:
        counters.malformed += 1
        return
    for item in packets:
        match item:
            case SenderReport():
                _sender_report(connection, item, actions, now_ns)
                _report_blocks(connection, item.reports, now_ns)
            case ReceiverReport():
                _report_blocks(connection, item.reports, now_ns)
            case Nack():
                counters.nack_received += 1
                _resend(connection, item, forwarder, now_ns)
            case PictureLossIndication():
                counters.pli_received += 1
                _key_frame(connection, item.media_ssrc, actions)
            case FullIntraRequest():
                counters.pli_received += 1
                for ssrc, _ in item.entries:
                    _key_frame(connection, ssrc, actions)
            case Goodbye():
                for ssrc in item.ssrcs:
                    stream = connection.publisher.by_ssrc(ssrc)
                    if stream is not None:
                        actions.gone(stream)


def _sender_report(
    connection: Connection, report: SenderReport, actions: FeedbackActions, now_ns: int
) -> None:
    stream = connection.publisher.by_ssrc(report.ssrc)
    if stream is not None:
        take_sender_report(connection, stream, report, now_ns)
        actions.reported(stream, report)


def _report_blocks(connection: Connection, blocks: tuple[ReportBlock, ...], now_ns: int) -> None:
    for block in blocks:
        leg = connection.subscriber.leg(block.ssrc)
        if leg is None:
            continue
        leg.fraction_lost = block.fraction_lost / 256
        trip = round_trip_ms(block, now_ns)
        if trip is not None:
            connection.round_trip_ms = trip


def _resend(connection: Connection, nack: Nack, forwarder: Forwarder, now_ns: int) -> None:
    leg = connection.subscriber.leg(nack.media_ssrc)
    if leg is not None and leg.handle is not None:
        allowed = connection.resends.take(len(nack.sequences), now_ns)
        forwarder.resend(leg.handle, nack.sequences[:allowed])


def _key_frame(connection: Connection, ssrc: int, actions: FeedbackActions) -> None:
    leg = connection.subscriber.leg(ssrc)
    if leg is not None and leg.stream is not None and leg.kind == "video":
        actions.need_key_frame(leg.stream)
