"""Reports to a peer (RFC 3550 §6.4): what we send, so that lips and voice stay together, and what
we received.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from sfu.forwarder.contract import Forwarder, StreamHandle
from sfu.ids import PeerId
from sfu.router.peer import Connection
from sfu.router.stream import Stream
from sfu.router.subscriber import Leg
from sfu.rtp.rtcp import (
    ReceiverReport,
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
#: Opus repeats in band above 5 % of loss, and what sounds like music above 8 %: told twice
#: what is lost it begins where that is to be heard. One listener with a ruined path shall not cost
#: the others the clearness of a voice.
_TOLD_LOSS_FACTOR = 2
_MOST_TOLD_LOSS = 0.2
#: What a listener told counts for so long: browsers report on a voice each five seconds.
_HEARD_NS = 6_000_000_000
#: A report speaks of fifty packets: in which by chance nothing was lost says little.
_FORGOTTEN_A_REPORT = 0.1


def unix_ns(ntp: int) -> int:
    """A 64 bit NTP timestamp as Unix time in nanoseconds."""
    return ((ntp >> 32) - _NTP_EPOCH_S) * _NS_PER_S + ((ntp & _MASK_32) * _NS_PER_S >> 32)


def own_compound(ssrc: int, *packets: RtcpPacket) -> bytes:
    """`packets` behind an empty report and our CNAME (RFC 4585 §3.1)."""
    return _lead(ssrc) + compound(packets)


@lru_cache(maxsize=1024)
def _lead(ssrc: int) -> bytes:
    return compound([ReceiverReport(ssrc), SourceDescription(((ssrc, OWN_CNAME),))])


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


def clock_origin(report: SenderReport, clock_rate: int) -> int:
    """The RTP timestamp at the sender's NTP time 0, modulo 2^32; see `Forwarder.set_clock`."""
    return (report.rtp_time - (report.ntp_time * clock_rate >> 32)) & _MASK_32


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
    stream = leg.shown
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


def listening_losses(connections: Iterable[Connection], now_ns: int) -> dict[StreamHandle, float]:
    """The share of each voice that its worst listener lost lately, 0 to 1; without those at 0.

    Browsers report on a voice each five seconds only: what they tell of all packets counts too.
    What somebody told who is not heard any more says nothing of now.
    """
    losses: dict[StreamHandle, float] = {}
    for connection in connections:
        downlink = connection.downlink
        of_all = downlink.loss() if downlink.is_acknowledged(now_ns) else 0.0
        for leg in connection.subscriber.legs():
            if leg.kind == "video" or leg.stream is None:
                continue
            handle, heard = leg.stream.handle, leg.heard_loss
            loss = of_all
            if heard is not None and heard.stream == handle and now_ns - heard.told_ns < _HEARD_NS:
                loss = max(of_all, heard.share)
            if loss:
                losses[handle] = max(losses.get(handle, 0.0), loss)
    return losses


def receiver_report(
    connection: Connection,
    losses: Mapping[StreamHandle, float],
    forwarder: Forwarder,
    now_ns: int,
) -> bytes:
    """The report on all that a peer sends; an empty one when it sends nothing.

    Who is sent no media hears by it that the path stands (RFC 3550 §6.4.2).

    A voice is told by the loss of its worst listener (`listening_losses`), or ours if that is more,
    how much to repeat in band (RFC 6716 §2.1.7). The number of lost packets stays our own.
    """
    blocks = [
        _block(stream, losses.get(stream.handle, 0.0), forwarder, now_ns)
        for stream in connection.publisher
    ]
    if not blocks:
        return own_compound(connection.ssrc)
    return compound(
        [
            ReceiverReport(connection.ssrc, tuple(blocks)),
            SourceDescription(((connection.ssrc, OWN_CNAME),)),
        ]
    )


def _block(stream: Stream, listening_loss: float, forwarder: Forwarder, now_ns: int) -> ReportBlock:
    counters = forwarder.stream_counters(stream.handle)
    last, delay = 0, 0
    if stream.report is not None:
        last = middle_32(stream.report[0])
        delay = (now_ns - stream.report[2]) * 65_536 // _NS_PER_S
    block = stream.interval.block(
        ssrc=stream.ssrc,
        packets=counters.packets,
        lost=counters.lost,
        highest_sequence=counters.highest_sequence,
        jitter=counters.jitter,
        last_sender_report=last,
        delay=delay,
    )
    if stream.kind == "video":
        return block
    own = block.fraction_lost / 256
    told = min(_TOLD_LOSS_FACTOR * max(own, listening_loss), _MOST_TOLD_LOSS)
    stream.told_loss = max(told, (1 - _FORGOTTEN_A_REPORT) * stream.told_loss)
    return replace(block, fraction_lost=int(256 * max(own, stream.told_loss)))


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
