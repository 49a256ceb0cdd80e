"""Our answers, given to real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from sfu.rtp.packet import RtpPacket
from sfu.transport.answer import Local, SeatSsrcs, build_answer
from sfu.transport.codecs import agree
from sfu.transport.description import (
    DEPENDENCY_URI,
    MID_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TRANSPORT_CC_URI,
    parse_offer,
)
from tests.sfu.offers import FINGERPRINT
from tests.support.browser import CLINICIAN, launch, playwright
from tests.support.eventually import eventually
from tests.support.offering import CAMERAS, Camera, make_offer, simulcast, take_answer
from tests.support.taker import taking

ADDRESSES = (("127.0.0.1", 9),)


@pytest.fixture
async def chromium(tmp_path: Path) -> AsyncIterator[Browser]:
    async with playwright() as driver:
        browser = await launch(driver, CLINICIAN, tmp_path)
        yield browser
        await browser.close()


async def test_chromium__takes_what_we_answer(chromium: Browser) -> None:
    for name, camera in CAMERAS.items():
        page, text = await make_offer(chromium, CLINICIAN, camera, 2)
        parsed = parse_offer(text)
        local = Local(
            *(1, 1, "ours", "p" * 24, FINGERPRINT, ADDRESSES),
            seats=tuple(SeatSsrcs(3 * n + 1, 3 * n + 2, 3 * n + 3) for n in range(2)),
            tcp_addresses=ADDRESSES,
        )
        made = await take_answer(page, build_answer(parsed, local))
        expected = {MID_URI, TRANSPORT_CC_URI}
        expected |= {RID_URI, REPAIRED_RID_URI} if "simulcast" in name else set()
        expected |= {DEPENDENCY_URI} if camera.codec == "av1" else set()
        assert set(made["extensions"]) == expected, name
        assert made["rids"] == [encoding.get("rid", "") for encoding in camera.encodings]
        assert made["modes"] == [encoding["scalabilityMode"] for encoding in camera.encodings]
        assert [codec.lower() for codec in made["codecs"]] == [f"video/{camera.codec}", "video/rtx"]
        assert made["directions"] == ["sendonly"] * 2 + ["recvonly"] * 4
        await page.context.close()


async def test_chromium__is_brought_to_another_codec(chromium: Browser) -> None:
    page, text = await make_offer(chromium, CLINICIAN, simulcast("h264", "L1T1"), 0)
    parsed = parse_offer(text)
    credentials = ("ours", "p" * 24, FINGERPRINT, ADDRESSES)
    for version, (decodable, expected) in enumerate((("H264", "H264"), ("VP8", "VP8")), 1):
        sent = {"1": agree(parsed.sections[1].codecs, [decodable])}  # type: ignore[list-item]
        text = build_answer(parsed, Local(1, version, *credentials, seats=(), sent=sent))
        made = await take_answer(page, text)
        assert made["codecs"][0] == f"video/{expected}"
        assert made["rids"] == ["q", "h", "f"]
        offered: str = await page.evaluate(
            "() => pc.setLocalDescription().then(() => pc.localDescription.sdp)"
        )
        parsed = parse_offer(offered)
    await page.context.close()


async def test_sixteen_seats_of_all_codecs__are_within_the_limit(chromium: Browser) -> None:
    page, text = await make_offer(chromium, CLINICIAN, CAMERAS["chromium-vp8-simulcast"], 16)
    assert len(parse_offer(text).seats()) == 16
    await page.context.close()


async def test_saver__ten_minutes_of_talk_both_ways_are_within_5_mb(chromium: Browser) -> None:
    page, text = await make_offer(chromium, CLINICIAN, Camera("vp8", [{}]), 0)
    payload_type = parse_offer(text).sections[0].codecs[0].payload_type
    async with taking(page, text, saver=True) as taker:

        def voice() -> list[bytes]:
            return [p for p in taker.packets if p[1] & 0x7F == payload_type]

        await eventually(
            lambda: None if len(voice()) > 60 else f"{len(voice())} packets", within_s=20
        )
    await page.context.close()
    # The first second is the encoder's: it begins at its own rate.
    packets = voice()[20:60]
    first, last = RtpPacket.parse(packets[0]), RtpPacket.parse(packets[-1])
    span_s = (last.timestamp - first.timestamp & 0xFFFFFFFF) / 48_000
    assert span_s / (len(packets) - 1) >= 0.06
    # IPv6 and UDP, and the tag of AES-GCM.
    on_the_wire = sum(len(packet) + 48 + 16 for packet in packets[1:])
    ten_minutes_both_ways = 2 * 600 * on_the_wire / span_s
    assert ten_minutes_both_ways < 4_500_000  # the rest is for RTCP and ICE checks
