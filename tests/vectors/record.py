"""Records the vectors from Debian's Chromium: ``python -m tests.vectors.record``.

For each camera of `tests/support/offering.py` a page makes an offer, our answer is given to it, and
its packets are taken at a UDP port on loopback: DTLS by aiortc, transport-wide feedback so that the
browser sends all its layers. What is written is in README.md.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.async_api import Browser

from sfu.rtp.packet import PADDING_BIT, payload_bounds
from sfu.transport.description import Section, parse_offer
from tests.support.browser import CLINICIAN, launch, playwright
from tests.support.media import write_microphone
from tests.support.offering import CAMERAS, Camera, make_offer
from tests.support.taker import taking

_HERE = Path(__file__).parent
_SEATS = 1
_LISTEN_S = 6.0
#: Descriptors and the first bytes of a frame are what the tests read.
_PAYLOAD_BYTES = 48
#: Of a camera: until all layers are there; and some of the retransmissions that probe the path.
_VIDEO_PACKETS, _REPAIR_PACKETS = 240, 16
_AUDIO_PACKETS = 60
_CAMERA_WIDTH, _CAMERA_HEIGHT, _CAMERA_FRAMES = 1280, 720, 10


async def call(browser: Browser, camera: Camera) -> tuple[str, list[bytes]]:
    """A page's offer, and the packets that it sent in the first seconds of the call."""
    page, text = await make_offer(browser, CLINICIAN, camera, _SEATS)
    async with taking(page, text) as taker:
        await asyncio.sleep(_LISTEN_S)
    await page.context.close()
    return text, taker.packets


def of_type(packets: list[bytes], payload_type: int) -> list[bytes]:
    """The packets of one payload type."""
    return [packet for packet in packets if packet[1] & 0x7F == payload_type]


def chosen(packets: list[bytes], section: Section) -> list[bytes]:
    """What is kept of a camera."""
    codec = section.codecs[0]
    media = of_type(packets, codec.payload_type)[:_VIDEO_PACKETS]
    kept = {*media, *of_type(packets, codec.rtx_payload_type)[:_REPAIR_PACKETS]}
    return [packet for packet in packets if packet in kept]


def scrubbed(sdp: str) -> str:
    """Without addresses and candidates."""
    lines = [line for line in sdp.split("\r\n") if not line.startswith("a=candidate:")]
    text = re.sub(r"(?m)^(m=\w+) [1-9]\d* ", r"\1 9 ", "\r\n".join(lines))
    return re.sub(r"IN IP[46] [0-9a-fA-F.:]+", "IN IP4 0.0.0.0", text)


def write(name: str, packets: list[bytes]) -> None:
    """Each with its size before it, payloads cut, padding removed."""
    with (_HERE / "rtp" / f"{name}.rtp").open("wb") as file:
        for packet in packets:
            start, end = payload_bounds(packet)
            first = bytes((packet[0] & ~PADDING_BIT,))
            cut = first + packet[1 : min(end, start + _PAYLOAD_BYTES)]
            file.write(len(cut).to_bytes(2, "big") + cut)


def write_camera(path: Path) -> None:
    """A Y4M file of large blocks that move: frames of a few packets, cheap to encode."""
    random = np.random.default_rng(1)
    blocks = random.integers(16, 235, (_CAMERA_HEIGHT // 80, _CAMERA_WIDTH // 80), np.uint8)
    luma = np.kron(blocks, np.ones((80, 80), np.uint8))
    chroma = bytes([128]) * (_CAMERA_WIDTH * _CAMERA_HEIGHT // 2)
    with path.open("wb") as file:
        file.write(
            f"YUV4MPEG2 W{_CAMERA_WIDTH} H{_CAMERA_HEIGHT} F20:1 Ip A1:1 C420jpeg\n".encode()
        )
        for number in range(_CAMERA_FRAMES):
            file.write(b"FRAME\n" + np.roll(luma, 8 * number, axis=1).tobytes() + chroma)


async def record(directory: Path) -> None:
    """Record all; `directory` is for the browser's devices."""
    write_camera(directory / f"{CLINICIAN.name}.y4m")
    write_microphone(directory / f"{CLINICIAN.name}.wav", CLINICIAN.tone_hz)
    async with playwright() as driver:
        browser = await launch(driver, CLINICIAN, directory)
        for name, camera in CAMERAS.items():
            text, packets = await call(browser, camera)
            (_HERE / "offers" / f"{name}.sdp").write_bytes(scrubbed(text).encode("ascii"))
            offer = parse_offer(text)
            microphone, sent = offer.of_role("microphone"), offer.of_role("camera")
            assert microphone is not None
            assert sent is not None
            kept = chosen(packets, sent)
            write(name, kept)
            sys.stdout.write(f"{name}: {len(kept)} packets\n")
            if camera.codec == "vp8":
                voice = of_type(packets, microphone.codecs[0].payload_type)
                write("chromium-opus", voice[:_AUDIO_PACKETS])
        await browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(record(Path(made)))
