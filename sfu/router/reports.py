"""Reports to a peer (RFC 3550 §6.4): what we send, so that lips and voice stay together; what we
received; and how much it may send.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sfu.forwarder.contract import Forwarder
from sfu.ids import PeerId
from sfu.router.peer import Connection
from sfu.router.publisher import Stream
from sfu.router.subscriber import Leg
from sfu.rtp.rtcp import (
    ReceiverReport,
    Remb,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    compound,
    middle_32,
    ntp_time,
)
from sfu.transport.answer import cname

#: The CNAME of our own SSRC, which sends no media.
OWN_CNAME = "sfu"
#: Sender reports in one datagram, with their CNAMEs some 600 bytes.
_LEGS_A_COMPOUND = 12
#: An older report says nothing of a stream any more: its sender stopped or its clock ran away.
_OLDEST_REPORT_NS = 30 * 1_000_000_000
#: A jump of the sender's clock by more is a clock that was set, not a slow network.
_CLOCK_STEP_NS = 1_000_000_000
_NS_PER_S = 1_000_000_000
_NTP_EPOCH_S = 2_208_988_800
_MASK_32 = 0xFFFF_FFFF
_HALF_32 = 0x8000_0000
#: A longer round trip is a wrong LSR, not a network.
_LONGEST_ROUND_TRIP_MS = 60_000.0


def unix_ns(ntp: int) -> int:
    """A 64 bit NTP timestamp as Unix time in nanoseconds."""
    return ((ntp >> 32) - _NTP_EPOCH_S) * _NS_PER_S + ((ntp & _MASK_32) * _NS_PER_S >> 32)


def own_compound(ssrc: int, *packets: RtcpPacket) -> bytes:
    """`packets` behind an empty report and our CNAME (RFC 4585 §3.1)."""
    return compound([ReceiverReport(ssrc), SourceDescription(((ssrc, OWN_CNAME),)), *packets])


def take_sender_report(
    connection: Connection, stream: Stream, report: SenderReport, now_ns: int
) -> None:
    """Keep a publisher's sender report, and where its clock stands to ours.

    All streams of one peer get the same offset, from its first report: so their distance from
    each other is kept exactly, and a receiver sees one clock whoever sits in a seat.
    """
    stream.report = (report.ntp_time, report.rtp_time, now_ns)
    offset = now_ns - unix_ns(report.ntp_time)
    known = connection.clock_offset_ns
    if known is None or abs(offset - known) > _CLOCK_STEP_NS:
        connection.clock_offset_ns = offset


def sender_reports(
    legs: Sequence[Leg], offsets: dict[PeerId, int | None], forwarder: Forwarder, now_ns: int
) -> Iterator[bytes]:
    """Compounds with a report for each leg that shows a stream, all for the instant `now_ns`.

    `offsets` maps a publishing peer to its `clock_offset_ns`.
    """
    rows = []
    for leg in legs:
        report = _sender_report(leg, offsets, forwarder, now_ns)
        if report is not None:
            rows.append((report, (leg.ssrc, cname(leg.seat))))
    for first in range(0, len(rows), _LEGS_A_COMPOUND):
        part = rows[first : first + _LEGS_A_COMPOUND]
        # One description for each name: not every receiver finds the second chunk of one.
        names = [SourceDescription((name,)) for _, name in part]
        yield compound([*(report for report, _ in part), *names])


def _sender_report(
    leg: Leg, offsets: dict[PeerId, int | None], forwarder: Forwarder, now_ns: int
) -> SenderReport | None:
    stream = leg.stream
    if leg.handle is None or stream is None or stream.report is None:
        return None
    ntp, rtp_time, arrival_ns = stream.report
    offset = offsets.get(stream.peer)
    if offset is None or now_ns - arrival_ns > _OLDEST_REPORT_NS:
        return None
    elapsed_ns = now_ns - (unix_ns(ntp) + offset)
    rtp_now = (rtp_time + elapsed_ns * stream.format.clock_rate // _NS_PER_S) & _MASK_32
    leg_now = forwarder.leg_time(leg.handle, rtp_now)
    if leg_now is None:
        return None
    counters = forwarder.leg_counters(leg.handle)
    return SenderReport(
        leg.ssrc,
        ntp_time(now_ns),
        leg_now & _MASK_32,
        counters.packets & _MASK_32,
        counters.bytes & _MASK_32,
    )


def receiver_report(connection: Connection, forwarder: Forwarder, now_ns: int) -> bytes | None:
    """The report on all that a publisher sends; None when it sends nothing."""
    blocks = [_block(stream, forwarder, now_ns) for stream in connection.publisher]
    if not blocks:
        return None
    return compound(
        [
            ReceiverReport(connection.ssrc, tuple(blocks)),
            SourceDescription(((connection.ssrc, OWN_CNAME),)),
        ]
    )


def _block(stream: Stream, forwarder: Forwarder, now_ns: int) -> ReportBlock:
    counters = forwarder.stream_counters(stream.handle)
    last, delay = 0, 0
    if stream.report is not None:
        last = middle_32(stream.report[0])
        delay = (now_ns - stream.report[2]) * 65_536 // _NS_PER_S
    return stream.interval.block(
        ssrc=stream.ssrc,
        packets=counters.packets,
        lost=counters.lost,
        highest_sequence=counters.highest_sequence,
        jitter=counters.jitter,
        last_sender_report=last,
        delay=delay,
    )


def round_trip_ms(block: ReportBlock, now_ns: int) -> float | None:
    """From a receiver's report on one of our legs (RFC 3550 §6.4.1); None when it cannot tell."""
    if block.last_sender_report == 0:
        return None
    units = middle_32(ntp_time(now_ns)) - block.last_sender_report - block.delay
    milliseconds = (((units + _HALF_32) & _MASK_32) - _HALF_32) * 1000 / 65_536
    if abs(milliseconds) > _LONGEST_ROUND_TRIP_MS:
        return None
    # The receiver rounds its delay: on a short path the difference may fall below nothing.
    return max(0.0, milliseconds)


def bitrate_request(connection: Connection, forwarder: Forwarder) -> bytes | None:
    """REMB for a publisher of video; None when it does not send any that understands it."""
    connection.budget.note(forwarder.drain_arrivals(connection.transport.handle))
    video = [s for s in connection.publisher if "goog-remb" in s.format.feedback]
    if not video:
        return None
    target = connection.budget.target_bps(screen=any(s.screen for s in video))
    remb = Remb(connection.ssrc, target, tuple(s.ssrc for s in video))
    return own_compound(connection.ssrc, remb)
