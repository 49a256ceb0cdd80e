"""Command line of the load tests; see the package and README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from clients.python.errors import ClientError
from load_tests.description import AnswerError
from load_tests.plan import Plan, one_room, one_to_one
from load_tests.report import passed, report
from load_tests.run import LoadFailed, run
from load_tests.server import ServerError
from load_tests.wire import WireError


def _plan(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m load_tests", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--seconds", type=float, default=10.0, help="length of the steady window")
    shared.add_argument("--video-packets", type=int, default=150, help="video packets/s a camera")
    scenarios = parser.add_subparsers(dest="scenario", required=True)
    calls = scenarios.add_parser("one_to_one", parents=[shared], help="calls of two people")
    calls.add_argument("--calls", type=int, required=True)
    room = scenarios.add_parser("room", parents=[shared], help="one consultation of many")
    room.add_argument("--senders", type=int, required=True)
    room.add_argument("--receivers", type=int, default=0, help="who only receive")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.scenario == "one_to_one":
            return one_to_one(chosen.calls, chosen.seconds, chosen.video_packets)
        return one_room(chosen.senders, chosen.receivers, chosen.seconds, chosen.video_packets)
    except ValueError as error:
        parser.error(str(error))


def main(arguments: list[str]) -> int:
    """Run, print one JSON object; 0 when the run passed, else 1."""
    plan = _plan(arguments)
    # Told to stop, take the server down as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        measured = asyncio.run(run(plan))
    except (LoadFailed, ServerError, WireError, AnswerError, ClientError) as error:
        print(f"The load test failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    figures = report(measured)
    print(json.dumps(figures))
    return 0 if passed(measured) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
