from __future__ import annotations

from sfu.streams.congestion.bursts import Bursts

MS = 1_000_000
#: Ticks of 250 µs in a millisecond.
TICKS = 4


def changes_ms(
    *packets: tuple[float, float], bursts: Bursts | None = None, origin: int = 0
) -> list[float]:
    """For packets of (sent, arrived) in ms, how the delay changed from burst to burst."""
    sent = [int(s * MS) for s, _ in packets]
    ticks = [int(a * TICKS) - origin for _, a in packets]
    found = (bursts or Bursts()).add(sent, ticks, origin)
    return [change / MS for _, change in found]


def test_even_path__no_change() -> None:
    assert changes_ms(*[(1000 + n * 20, 1050 + n * 20) for n in range(6)]) == [0.0] * 4


def test_growing_queue__positive_changes() -> None:
    assert changes_ms(*[(1000 + n * 20, 1050 + n * 22) for n in range(6)]) == [2.0] * 4


def test_packets_sent_together__one_burst_by_its_last_arrival() -> None:
    packets = [(1000, 1050), (1020, 1070), (1021, 1075), (1022, 1080), (1040, 1090), (1060, 1110)]
    assert changes_ms(*packets) == [8.0, -8.0]


def test_held_up_and_released_together__one_burst() -> None:
    # A radio link that was silent for 60 ms delivers what was sent meanwhile at once.
    packets = [(1000, 1050), (1020, 1130), (1040, 1131), (1060, 1132), (1080, 1133), (1200, 1250)]
    assert changes_ms(*packets, (1300, 1350)) == [3.0, -3.0]


def test_in_several_calls__the_same_as_in_one() -> None:
    packets = [(1000 + n * 7, 1050 + n * 8 + n % 3) for n in range(30)]
    whole = changes_ms(*packets)
    bursts = Bursts()
    parts = []
    for n in range(0, 30, 4):
        sent = [int(s * MS) for s, _ in packets[n : n + 4]]
        ticks = [int(a * TICKS) - n * 100 for _, a in packets[n : n + 4]]
        parts += [change / MS for _, change in bursts.add(sent, ticks, n * 100)]
    assert parts == whole


def test_clock_is_set__said_and_left_out() -> None:
    bursts = Bursts()
    changes_ms(*[(1000 + n * 20, 1050 + n * 20) for n in range(4)], bursts=bursts)
    changes_ms(*[(1080 + n * 20, 9_001_050 + n * 20) for n in range(4)], bursts=bursts)
    assert bursts.restarted
    changes_ms(*[(1160 + n * 20, 9_001_130 + n * 20) for n in range(4)], bursts=bursts)
    assert not bursts.restarted
