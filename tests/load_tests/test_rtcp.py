"""The bots' RTCP against the SFU's codec, both ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from load_tests import rtcp
from sfu.rtp.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    compound,
    ntp_time,
    parse_compound,
)

NOW_NS = 1_700_000_000_250_000_000
TICK_NS = 250_000


def test_sender_report_is_read_by_the_sfu() -> None:
    report, name = parse_compound(rtcp.sender_report(5, NOW_NS, 960, 3, 400, "bot"))
    assert isinstance(report, SenderReport)
    assert (report.ssrc, report.rtp_time, report.packet_count, report.octet_count) == (
        5,
        960,
        3,
        400,
    )
    assert report.ntp_time == ntp_time(NOW_NS)
    assert isinstance(name, SourceDescription)


def test_receiver_report_tells_the_delay_since_the_sender_report() -> None:
    state = rtcp.Received(highest_sequence=70_000, last_report=9, last_report_at_ns=NOW_NS)
    data = rtcp.receiver_report(5, [(6, state)], NOW_NS + 500_000_000, "bot")
    report = parse_compound(data)[0]
    assert isinstance(report, ReceiverReport)
    block = report.reports[0]
    assert (block.ssrc, block.highest_sequence, block.lost) == (6, 70_000, 0)
    assert (block.last_sender_report, block.delay) == (9, 32_768)


def test_what_the_sfu_asks_is_read() -> None:
    data = compound(
        [
            ReceiverReport(1, ()),
            PictureLossIndication(1, 2),
            FullIntraRequest(1, ((3, 0),)),
            Nack(1, 4, (10, 11, 27, 65_535, 0)),
        ]
    )
    assert list(rtcp.read(data)) == [
        rtcp.Wanted(2, key_frame=True),
        rtcp.Wanted(3, key_frame=True),
        rtcp.Wanted(4, sequences=(10, 11, 27, 65_535, 0)),
    ]


def test_a_sender_report_of_the_sfu_is_read() -> None:
    middle = ntp_time(NOW_NS) >> 16 & 0xFFFFFFFF
    data = rtcp.sender_report(5, NOW_NS, 960, 3, 400, "seat0")
    assert list(rtcp.read(data)) == [rtcp.Reported(5, middle)]


@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    for item in rtcp.read(data):
        assert isinstance(item, rtcp.Wanted | rtcp.Reported)


@given(
    first=st.integers(0, 0xFFFF),
    steps=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 400)), max_size=80),
)
def test_transport_feedback_is_read_by_the_sfu(first: int, steps: list[tuple[int, int]]) -> None:
    arrivals = [(first, NOW_NS)]
    for ahead, later_ticks in steps:
        sequence, now_ns = arrivals[-1]
        arrivals.append((sequence + ahead, now_ns + later_ticks * TICK_NS))
    (read,) = parse_compound(rtcp.transport_feedback(5, 7, arrivals))
    assert isinstance(read, TransportFeedback)
    assert (read.sender_ssrc, read.feedback_count) == (5, 7)
    assert read.base_sequence == first
    assert list(read.offsets) == [sequence - first for sequence, _ in arrivals]
    assert [tick - read.ticks[0] for tick in read.ticks] == [
        (now_ns - NOW_NS) // TICK_NS for _, now_ns in arrivals
    ]
