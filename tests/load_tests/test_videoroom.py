"""Talking to Janus: answers to its offers, and a run against the real program."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest
from aiortc import RTCCertificate

from load_tests.description import read_answer
from load_tests.endpoint import Endpoint
from load_tests.peers.janus import JanusError, installed
from load_tests.peers.videoroom import answer
from load_tests.rtp_source import TRANSPORT_CC_ID
from tests.support.servers import ROOT

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 10.77.0.1",
        "s=VideoRoom 1",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=sendonly",
        "a=mid:0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:" + "p" * 22,
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=rtpmap:111 opus/48000/2",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=candidate:1 1 udp 2015363327 10.77.0.1 20123 typ host",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=mid:1",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack",
        "a=extmap:9 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "a=extmap:10 urn:example:other",
        "",
    ]
)


@pytest.fixture
async def receiver() -> Endpoint:
    endpoint = Endpoint(RTCCertificate.generateCertificate(), "127.0.0.1")
    await endpoint.close()
    return endpoint


async def test_an_offer_is_answered_section_by_section(receiver: Endpoint) -> None:
    lines = answer(OFFER, receiver).splitlines()
    assert "a=group:BUNDLE 0 1" in lines
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111" in lines
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97" in lines
    assert lines.count("a=recvonly") == lines.count("a=setup:active") == 2
    assert "a=rtcp-fb:96 nack" in lines
    assert not any("urn:example:other" in line for line in lines)


async def test_an_offer_without_mid_is_refused(receiver: Endpoint) -> None:
    with pytest.raises(JanusError):
        answer(OFFER.replace("a=mid:1\r\n", ""), receiver)


def test_extension_ids_are_the_offers() -> None:
    read = read_answer(OFFER, "10.77.0.1")
    assert read.extensions[TRANSPORT_CC_ID] == 9
    assert read.address == ("10.77.0.1", 20123)
    assert read.setup == "actpass"


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
@pytest.mark.timeout(120)
async def test_compare__one_load__figures_of_both() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "load_tests", "compare"),
        *("--seconds", "3", "--loads", "3", "--no-latency"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    figures = json.loads(output)
    (row,) = figures["loads"]
    # Whether a busy machine measures well is its own affair; that it says so is ours.
    sides = [row[side] for side in ("ours", "theirs") if side in row]
    assert process.returncode == (0 if all(side["valid"] for side in sides) else 1)
    assert row["ours"]["packets_out_per_s"] == pytest.approx(4_000, rel=0.25)
    if not installed():
        assert figures["peer"].startswith("skipped")
        return
    assert row["theirs"]["packets_out_per_s"] == pytest.approx(4_000, rel=0.25)
    assert row["ratio"] > 0
