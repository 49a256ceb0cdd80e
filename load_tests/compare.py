"""Ours beside Janus' VideoRoom: the same loads, one after the other, in one namespace.

The figure is the CPU time of the process that forwards, all its threads, for each RTP packet that
reached a receiver. For ours that is the ``sfu`` process; Janus is one process.
"""

from __future__ import annotations

import platform
import statistics
import sys
from collections.abc import Iterable

from load_tests.peers.janus import installed
from load_tests.peers.ours import Ours
from load_tests.peers.videoroom import VideoRoom
from load_tests.plan import Load, Plan, of_load, one_to_one
from load_tests.report import Figures, delivered, loss, passed, report
from load_tests.run import LoadFailed, MakeTarget, Measured, run

#: CPU shares of the server's core at which time on the way is measured.
SHARES = (0.3, 0.5, 0.7)
#: Calls of the run that tells how many make up a share.
_CALIBRATION_CALLS = 12
_VIDEO_PACKETS_PER_S = 150
#: A load that used more of its core was measured itself.
MOST_LOAD_SHARE = 0.95


async def compare(host: str, seconds: float, loads: Iterable[Load], repeat: int) -> Figures:
    """All figures. Without Janus only ours, and a word why. Raises what `run` raises."""
    peer = installed()
    rows = [await _one(host, of_load(load, seconds), load, repeat, peer=peer) for load in loads]
    return {
        "scenario": "compare",
        "peer": "janus videoroom" if peer else "skipped: Janus is not installed",
        "machine": {"kernel": platform.release(), "python": platform.python_version()},
        "loads": rows,
    }


async def _one(host: str, plan: Plan, load: Load, repeat: int, *, peer: bool) -> Figures:
    ours: list[Measured] = []
    theirs: list[Measured] = []
    for _ in range(repeat):
        ours.append(await run(plan, Ours, host))
        if peer:
            theirs.append(await _theirs(plan, host))
    row: Figures = {"load": load._asdict(), "ours": _figures(ours)}
    if theirs:
        row["theirs"] = _figures(theirs)
        row["ratio"] = round(cost_us(ours) / cost_us(theirs), 3)
    return row


async def _theirs(plan: Plan, host: str) -> Measured:
    """A run against Janus, which now and then leaves somebody's streams out: then once more."""
    try:
        return await run(plan, VideoRoom, host)
    except LoadFailed as failed:
        print(f"Janus once more: {str(failed).partition(chr(10))[0]}", file=sys.stderr)
        return await run(plan, VideoRoom, host)


def cost_us(runs: list[Measured]) -> float:
    """CPU microseconds of the media process for a packet that was received: median of the runs."""
    return statistics.median(measured.media_cpu_us_per_packet for measured in runs)


def _figures(runs: list[Measured]) -> Figures:
    figures = report(runs[-1])
    shares = [measured.load_cpu_s / measured.seconds for measured in runs]
    return {
        "media_cpu_us_per_packet_out": round(cost_us(runs), 2),
        "runs_us": [round(measured.media_cpu_us_per_packet, 2) for measured in runs],
        "packets_out_per_s": figures["packets_out_per_s"],
        "loss": max(loss(*delivered(measured)) for measured in runs),
        "one_way_ms": figures["one_way_ms"],
        "cpu_share": figures["cpu_share"],
        "dropped_at_bots": sum(measured.bot_drops for measured in runs),
        "valid": all(passed(measured) for measured in runs) and max(shares) < MOST_LOAD_SHARE,
    }


async def latency(host: str, seconds: float, make: MakeTarget) -> list[Figures]:
    """Time on the way at each of `SHARES` of the server's core. Raises what `run` raises."""
    calls = _CALIBRATION_CALLS
    rows: list[Figures] = []
    measured = await run(one_to_one(calls, seconds, _VIDEO_PACKETS_PER_S), make, host)
    for wanted in SHARES:
        share = measured.media_cpu_s / measured.seconds
        calls = max(1, round(calls * wanted / share))
        measured = await run(one_to_one(calls, seconds, _VIDEO_PACKETS_PER_S), make, host)
        figures = report(measured)
        rows.append(
            {
                "wanted_cpu_share": wanted,
                "calls": calls,
                "cpu_share": figures["cpu_share"],
                "packets_out_per_s": figures["packets_out_per_s"],
                "loss": figures["loss"],
                "one_way_ms": figures["one_way_ms"],
            }
        )
    return rows
