from __future__ import annotations

from itertools import pairwise

import pytest

from sfu.streams.congestion.probing import Probe, Prober

MS = 1_000_000
S = 1_000_000_000
TICK_NS = 250_000


def answer(
    prober: Prober, probe: Probe, link_bps: float, now_ns: int, known_bps: float = 1e6
) -> int | None:
    """The probe as ten packets over a link of that rate: the rate that was found."""
    size = probe.size_bytes // 10
    prober.sent(0, 9)
    ticks = [int((now_ns + n * size * 8 * S / link_bps) // TICK_NS) for n in range(10)]
    prober.arrived([now_ns] * 10, [size] * 10, ticks)
    return prober.told(10, known_bps, now_ns + 50 * MS)


def asked(prober: Prober, now_ns: int, known_bps: float = 1e6, wanted_bps: int = 10**7) -> Probe:
    probe = prober.next(known_bps, wanted_bps, (0, 0), now_ns)
    assert probe is not None
    return probe


def test_enough_is_known__no_probe() -> None:
    assert Prober().next(1e6, 1_000_000, (0, 0), 0) is None


def test_first__bold_then_doubling() -> None:
    prober = Prober()
    probe = asked(prober, 0)
    assert probe == Probe(3_000_000, 7_500)
    assert answer(prober, probe, 100e6, 0) == 3_000_000
    assert asked(prober, 100 * MS, 3e6).rate_bps == 6_000_000


def test_no_more_than_is_wanted() -> None:
    assert asked(Prober(), 0, wanted_bps=2_000_000).rate_bps == 2_400_000


def test_one_at_a_time__lost_ones_given_up() -> None:
    prober = Prober()
    asked(prober, 0)
    assert prober.next(1e6, 10**7, (0, 0), S) is None
    assert prober.next(1e6, 10**7, (0, 0), 2 * S) is None
    asked(prober, 10 * S)


def test_spread_out__the_rate_of_the_link_with_a_margin() -> None:
    prober = Prober()
    found = answer(prober, asked(prober, 0), 2e6, 0)
    assert found is not None
    assert 1_700_000 < found < 1_900_000


def test_nothing_gained__waits_longer_each_time() -> None:
    prober = Prober()
    asked_ns = []
    for now_ns in range(0, 25 * S, 100 * MS):
        probe = prober.next(1e6, 10**7, (0, 0), now_ns)
        if probe is not None:
            assert answer(prober, probe, 1e6, now_ns) is None
            asked_ns.append(now_ns)
    waits = [b - a for a, b in pairwise(asked_ns)]
    assert waits == sorted(waits)
    assert waits[0] < 2.5 * S < waits[-1] < 6 * S


def test_most_of_it_lost__failed() -> None:
    prober = Prober()
    asked(prober, 0)
    prober.sent(0, 9)
    prober.arrived([0] * 3, [750] * 3, [0, 1, 2])
    assert prober.told(10, 1e6, 50 * MS) is None


def test_a_third_of_it_lost__less_is_found() -> None:
    prober = Prober()
    asked(prober, 0)
    prober.sent(0, 9)
    prober.arrived([0] * 7, [750] * 7, [0, 10, 20, 30, 50, 60, 70])
    found = prober.told(10, 1e6, 50 * MS)
    assert found is not None
    assert 1_800_000 < found < 2_000_000


def keep_up(prober: Prober, link_bps: float, bucket_bytes: int, now_ns: int) -> int | None:
    """The prober's wish, fulfilled each 20 ms, over a token bucket: what it found."""
    sent = (100, 0)
    queued_bytes = 0.0
    tokens = float(bucket_bytes)
    for n in range(120):
        at_ns = now_ns + n * 20 * MS
        found = prober.told(sent[0], 500_000, at_ns)
        if found is not None:
            return found
        tokens = min(bucket_bytes, tokens + link_bps * 0.02 / 8)
        probe = prober.next(500_000, 10**7, sent, at_ns)
        if probe is None:
            continue
        prober.sent(sent[0], sent[0])
        queued_bytes += probe.size_bytes
        passed = min(tokens, queued_bytes)
        tokens -= passed
        queued_bytes -= passed
        delay_ns = int(queued_bytes * 8 * S / link_bps)
        prober.arrived([at_ns], [probe.size_bytes], [(at_ns + delay_ns) // TICK_NS])
        sent = (sent[0] + 1, sent[1] + probe.size_bytes)
    return None


def doubting() -> Prober:
    """A prober of a path that was full at 500 kb/s, whose short probe said 1.5 Mb/s."""
    prober = Prober()
    prober.congested(500_000, 0)
    assert answer(prober, asked(prober, 2 * S, 500_000), 100e6, 2 * S) is None
    assert prober.keeps_up
    return prober


def test_full_before__token_bucket__not_believed() -> None:
    prober = doubting()
    assert keep_up(prober, 500_000, 10_000, 2 * S) is None
    assert not prober.keeps_up


def test_full_before__room_now__believed_after_the_rate_was_kept_up() -> None:
    assert keep_up(doubting(), 3_000_000, 10_000, 2 * S) == 1_500_000


def test_full_before__rate_is_risen_to() -> None:
    prober = Prober()
    prober.congested(500_000, 0)
    assert answer(prober, asked(prober, 2 * S, 500_000), 100e6, 2 * S, 500_000) is None
    rates = {}
    sent_bytes = 0
    for ms in range(0, 2_000, 20):
        probe = prober.next(500_000, 10**7, (100, sent_bytes), 3 * S + ms * MS)
        if probe is not None:
            rates[ms] = probe.rate_bps
            sent_bytes += probe.size_bytes
    assert rates[100] < 560_000
    assert 990_000 < rates[1_000] < 1_010_000
    assert 1_400_000 < rates[1_900] <= 1_500_000


def test_full_for_a_minute__rate_that_failed__waits_for_what_it_cost() -> None:
    prober = Prober()
    prober.congested(500_000, 0)
    assert answer(prober, asked(prober, 60 * S, 500_000), 100e6, 60 * S, 500_000) is None
    assert keep_up(prober, 500_000, 10_000, 60 * S) is None
    assert not prober.keeps_up
    assert prober.next(500_000, 10**7, (0, 0), 65 * S) is None
    asked(prober, 80 * S, 500_000)


@pytest.mark.parametrize("lost", [range(5, 20), range(5)])
@pytest.mark.parametrize("clock_ticks", [-(10**6), 0, 10**6])
def test_rate_is_kept_up__report_lost__its_packets_count(lost: range, clock_ticks: int) -> None:
    prober = Prober()
    prober.congested(500_000, 0)
    assert answer(prober, asked(prober, 2 * S, 500_000), 0.9e6, 2 * S, 500_000) is None
    sent = (100, 0)
    found = None
    for n in range(60):
        now_ns = 3 * S + n * 20 * MS
        found = found or prober.told(sent[0], 500_000, now_ns)
        probe = prober.next(500_000, 10**7, sent, now_ns)
        if probe is None:
            continue
        if n in lost:
            prober.untold(sent[0], [probe.size_bytes])
        else:
            prober.arrived([now_ns], [probe.size_bytes], [now_ns // TICK_NS + clock_ticks])
        sent = (sent[0] + 1, sent[1] + probe.size_bytes)
    assert found is not None
    assert 700_000 < found < 900_000


def test_rate_is_kept_up__first_report_lost__a_queue_is_seen_all_the_same() -> None:
    prober = doubting()
    prober.next(500_000, 10**7, (100, 0), 2 * S)
    prober.untold(100, [250])
    for n in range(1, 30):
        now_ns = 2 * S + n * 20 * MS
        prober.arrived([now_ns], [250], [now_ns // TICK_NS + n * 16])
        prober.told(100 + n, 500_000, now_ns)
    assert not prober.keeps_up


def test_full_before__rate_not_sent__not_believed() -> None:
    prober = doubting()
    for n in range(60):
        now_ns = 2 * S + n * 20 * MS
        prober.next(500_000, 10**7, (100 + n, n * 250), now_ns)
        prober.arrived([now_ns], [250], [now_ns // TICK_NS])
        assert prober.told(100 + n, 500_000, now_ns) is None


def test_congested_while_the_rate_is_kept_up__given_up() -> None:
    prober = doubting()
    prober.congested(500_000, 2 * S)
    assert not prober.keeps_up
    assert prober.next(500_000, 10**7, (0, 0), 3 * S) is None


def test_congested_after_a_success__waits() -> None:
    prober = Prober()
    assert answer(prober, asked(prober, 0), 100e6, 0) is not None
    prober.congested(1e6, S)
    assert prober.next(1e6, 10**7, (0, 0), 2 * S) is None
    asked(prober, 4 * S)


def test_narrow_path__probed_seldom() -> None:
    prober = Prober()
    now_ns = 0
    often = 0
    while now_ns < 120 * S:
        probe = prober.next(70_000, 10**6, (0, 0), now_ns)
        if probe is not None:
            often += 1
            answer(prober, probe, 64_000, now_ns, 70_000)
        now_ns += 100 * MS
    assert 2 <= often <= 12
