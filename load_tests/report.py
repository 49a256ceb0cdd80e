"""The figures of a run, all of them measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from load_tests.bot import Bot
from load_tests.peers.target import endpoints
from load_tests.rtp_source import (
    AUDIO_BYTES,
    AUDIO_PACKETS_PER_S,
    FRAMES_PER_S,
    VIDEO_BYTES,
    VideoSource,
)
from load_tests.run import Measured

#: A run that loses as much or more has failed.
LOSS_LIMIT = 0.001

Figures = dict[str, object]


def report(measured: Measured) -> Figures:
    """One JSON object; see README.md for the meaning of each figure."""
    expected, received = delivered(measured)
    sent = sum(window.last - window.first + 1 for window in measured.windows.values())
    bots = measured.bots
    wires = endpoints(measured.rooms)
    return {
        "scenario": measured.plan.scenario,
        "configuration": _configuration(measured),
        "packets_in_per_s": round(sent / measured.seconds, 1),
        "packets_out_per_s": round(measured.packets_out / measured.seconds, 1),
        "expected_packets": expected,
        "lost_packets": expected - received,
        "loss": loss(expected, received),
        "media_cpu_us_per_packet_out": round(measured.media_cpu_us_per_packet, 2),
        "cpu_share": {
            **{
                program: round(_cpu_s(measured, program) / measured.seconds, 3)
                for program in measured.start
            },
            "load": round(measured.load_cpu_s / measured.seconds, 3),
        },
        "memory_bytes_per_participant": {
            program: round(
                (measured.end[program].resident_bytes - measured.empty[program].resident_bytes)
                / len(bots)
            )
            for program in measured.empty
        },
        "join_ms": _join_ms(bots),
        "decodable_ms": _decodable_ms(measured.rooms),
        "one_way_ms": spread_ms([ns for bot in bots for ns in bot.receiver.on_the_way_ns]),
        "nacked_packets": sum(bot.sender.nacked for bot in bots),
        "key_frames_asked": sum(bot.sender.key_frames_asked for bot in bots),
        "key_frames_sent": sum(
            source.key_frames
            for bot in bots
            for source in bot.sources
            if isinstance(source, VideoSource)
        ),
        "rejected_datagrams": sum(e.wire.rejected for e in wires),
        "unsent_datagrams": sum(e.wire.unsent for e in wires),
        "dropped_at_bots": measured.bot_drops,
        "pacer_latest_ms": round(measured.pacer_latest_ns / 1e6, 2),
    }


def passed(measured: Measured) -> bool:
    """Whether the loss stayed under `LOSS_LIMIT`."""
    return loss(*delivered(measured)) < LOSS_LIMIT


def loss(expected: int, received: int) -> float:
    """The share of the packets that should have come and did not; all, when none was due."""
    return round(1 - received / expected, 6) if expected else 1.0


def spread_ms(times_ns: Sequence[int]) -> Figures:
    """Median, 95th and 99th percentile (nearest rank) and the longest; empty without times."""
    if not times_ns:
        return {}
    ordered = sorted(times_ns)

    def at(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] / 1e6, 2)

    return {"count": len(ordered), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1)}


def delivered(measured: Measured) -> tuple[int, int]:
    """Packets of the window that each receiver should have got, and that it got."""
    expected = received = 0
    for room in measured.rooms:
        for sender in room:
            for source in sender.sources:
                window = measured.windows[source.number]
                due = window.last - window.first + 1
                for bot in room:
                    if bot is not sender:
                        expected += due
                        received += bot.tallies[source.number].unique(window.first, window.last)
    return expected, received


def _cpu_s(measured: Measured, program: str) -> float:
    return measured.end[program].cpu_s - measured.start[program].cpu_s


def _configuration(measured: Measured) -> Figures:
    plan = measured.plan
    return {
        "rooms": len(plan.rooms),
        "participants": plan.bots,
        "senders": sum(seat.sends for room in plan.rooms for seat in room),
        "seconds": round(measured.seconds, 3),
        "video_packets_per_s": plan.video_packets_per_s,
        "video_bytes": VIDEO_BYTES,
        "frames_per_s": FRAMES_PER_S,
        "audio_packets_per_s": AUDIO_PACKETS_PER_S,
        "audio_bytes": AUDIO_BYTES,
        "server_cores": measured.server_cores,
        "load_cores": measured.load_cores,
    }


def _join_ms(bots: Sequence[Bot]) -> Figures:
    """From the opening of the WebSocket."""
    return {
        step: spread_ms([getattr(bot.times, step) - bot.times.open for bot in bots])
        for step in ("joined", "admitted", "answered", "connected")
    }


def _decodable_ms(rooms: Sequence[Sequence[Bot]]) -> Figures:
    """From when both were connected to the first packet that decoding can begin with."""
    times: dict[str, list[int]] = {"audio": [], "video": []}
    for room in rooms:
        for sender in room:
            for source in sender.sources:
                for bot in room:
                    tally = bot.tallies.get(source.number)
                    if tally is not None and tally.decodable_at_ns is not None:
                        both_ns = max(bot.times.connected, sender.times.connected)
                        times[source.kind].append(tally.decodable_at_ns - both_ns)
    return {kind: spread_ms(values) for kind, values in times.items()}
