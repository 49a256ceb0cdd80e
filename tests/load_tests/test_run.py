"""Small runs against the real server, as an operator starts them."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from tests.support.servers import ROOT

#: Ends the named program, a child of ours or of the server, when the window begins.
KILLING = """
import os, signal, sys
import load_tests.run
from load_tests.__main__ import main
from load_tests.process_usage import children

drops = load_tests.run.udp_drops
doomed = sys.argv[1]

def kill(ports):
    (server,) = children(os.getpid(), "signaling")
    pids = [server] if doomed == "signaling" else children(server, doomed)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return drops(ports)

load_tests.run.udp_drops = kill
sys.exit(main(["one_to_one", "--calls", "1", "--seconds", "1"]))
"""


@pytest.mark.parametrize("program", ["signaling", "sfu"])
async def test_server_that_dies_in_the_window__is_one_plain_error(program: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLING,
        program,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, said = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert said.decode().startswith("The load test failed: ")
    assert "ended" in said.decode().splitlines()[0]
    assert b"load_tests" not in said  # as a traceback of ours would have


async def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "load_tests", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(output)


@pytest.mark.parametrize(
    ("arguments", "participants", "packets_in_per_s", "packets_out_per_s"),
    [
        (("one_to_one", "--calls", "1"), 2, 400, 400),
        (("room", "--senders", "2", "--receivers", "2", "--video-packets", "90"), 4, 280, 840),
    ],
)
async def test_a_run_loses_nothing_and_tells_what_it_measured(
    arguments: tuple[str, ...], participants: int, packets_in_per_s: int, packets_out_per_s: int
) -> None:
    code, figures = await run(*arguments, "--seconds", "3")
    assert code == 0, figures
    assert figures["configuration"]["participants"] == participants
    assert figures["packets_in_per_s"] == pytest.approx(packets_in_per_s, rel=0.25)
    assert figures["packets_out_per_s"] == pytest.approx(packets_out_per_s, rel=0.25)
    assert figures["expected_packets"] == pytest.approx(3 * packets_out_per_s, rel=0.25)
    assert figures["loss"] < 0.001
    assert figures["media_cpu_us_per_packet_out"] > 0
    assert figures["memory_bytes_per_participant"]["media"] > 0
    assert figures["join_ms"]["connected"]["count"] == participants
    assert figures["decodable_ms"]["video"]["max"] > 0
    assert figures["one_way_ms"]["p50"] > 0
