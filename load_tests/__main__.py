"""Command line of the load tests; see the package and README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from clients.python.errors import ClientError
from load_tests import compare, namespace
from load_tests.description import AnswerError
from load_tests.peers.janus import JanusError
from load_tests.peers.ours import Ours
from load_tests.plan import LOADS, Plan, one_room, one_to_one
from load_tests.report import passed, report
from load_tests.run import LoadFailed, run
from load_tests.server import ServerError
from load_tests.wire import WireError

Outcome = tuple[object, bool]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m load_tests", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--seconds", type=float, default=10.0, help="length of the steady window")
    media = argparse.ArgumentParser(add_help=False)
    media.add_argument("--video-packets", type=int, default=150, help="video packets/s a camera")
    scenarios = parser.add_subparsers(dest="scenario", required=True)
    calls = scenarios.add_parser("one_to_one", parents=[shared, media], help="calls of two people")
    calls.add_argument("--calls", type=int, required=True)
    room = scenarios.add_parser("room", parents=[shared, media], help="one consultation of many")
    room.add_argument("--senders", type=int, required=True)
    room.add_argument("--receivers", type=int, default=0, help="who only receive")
    beside = scenarios.add_parser("compare", parents=[shared], help="ours beside Janus (root)")
    beside.add_argument("--repeat", type=int, default=1, help="runs of each, interleaved")
    beside.add_argument("--loads", type=int, nargs="+", choices=range(1, len(LOADS) + 1))
    beside.add_argument("--no-latency", action="store_true", help="leave the latency runs out")
    scenarios.add_parser("latency", parents=[shared], help="time on the way by CPU share (root)")
    return parser


def _plan(chosen: argparse.Namespace) -> Plan:
    if chosen.scenario == "one_to_one":
        return one_to_one(chosen.calls, chosen.seconds, chosen.video_packets)
    return one_room(chosen.senders, chosen.receivers, chosen.seconds, chosen.video_packets)


async def _run_plan(plan: Plan) -> Outcome:
    measured = await run(plan, Ours)
    return report(measured), passed(measured)


async def _compare(chosen: argparse.Namespace) -> Outcome:
    host = namespace.enter()
    loads = [LOADS[number - 1] for number in chosen.loads or range(1, len(LOADS) + 1)]
    figures = await compare.compare(host, chosen.seconds, loads, chosen.repeat)
    if not chosen.no_latency:
        figures["latency"] = await compare.latency(host, chosen.seconds, Ours)
    return figures, all_valid(figures)


def all_valid(figures: dict[str, Any]) -> bool:
    """Whether every load of `compare` was measured well; what its ratio should be is not judged."""
    sides = [row[side] for row in figures["loads"] for side in ("ours", "theirs") if side in row]
    return bool(sides) and all(side["valid"] for side in sides)


async def _latency(chosen: argparse.Namespace) -> Outcome:
    return await compare.latency(namespace.enter(), chosen.seconds, Ours), True


def _chosen(arguments: list[str]) -> Coroutine[Any, Any, Outcome]:
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.scenario == "compare":
        return _compare(chosen)
    if chosen.scenario == "latency":
        return _latency(chosen)
    try:
        return _run_plan(_plan(chosen))
    except ValueError as error:
        parser.error(str(error))


def main(arguments: list[str]) -> int:
    """Run, print one JSON text; 0 when the run passed, else 1."""
    work = _chosen(arguments)
    # Told to stop, take the server down as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        figures, succeeded = asyncio.run(work)
    except (
        LoadFailed,
        ServerError,
        JanusError,
        WireError,
        AnswerError,
        ClientError,
        namespace.NamespaceError,
    ) as error:
        print(f"The load test failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    print(json.dumps(figures))
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
