"""A page of a real browser that offers a camera in a codec and shape of the test's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page

from tests.support.browser import Look, new_page

#: Never reached: the page's text is given to the browser in its place. A secure context.
_PAGE = "http://localhost/"
_OFFER = """async ({codec, encodings, seats}) => {
  const pc = window.pc = new RTCPeerConnection();
  const streams = [await navigator.mediaDevices.getUserMedia(
    {audio: true, video: {width: 1280, height: 720}})];
  const [audio] = streams[0].getAudioTracks();
  const [video] = streams[0].getVideoTracks();
  pc.addTransceiver(audio, {direction: 'sendonly', streams});
  const camera = pc.addTransceiver(
    video, {direction: 'sendonly', streams, sendEncodings: encodings});
  const place = (one) => Number(one.mimeType.toLowerCase() !== `video/${codec}`);
  const codecs = RTCRtpReceiver.getCapabilities('video').codecs;
  camera.setCodecPreferences(codecs.sort((a, b) => place(a) - place(b)));
  for (let seat = 0; seat < seats; seat++) {
    pc.addTransceiver('audio', {direction: 'recvonly'});
    pc.addTransceiver('video', {direction: 'recvonly'});
  }
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""
_ANSWER = """async (sdp) => {
  await pc.setRemoteDescription({type: 'answer', sdp});
  const [, camera] = pc.getSenders();
  const {encodings, codecs, headerExtensions} = camera.getParameters();
  return {
    rids: encodings.map((one) => one.rid ?? ''),
    modes: encodings.map((one) => one.scalabilityMode ?? ''),
    codecs: codecs.map((one) => one.mimeType),
    extensions: headerExtensions.map((one) => one.uri),
    directions: pc.getTransceivers().map((one) => one.currentDirection),
  };
}"""


@dataclass(frozen=True)
class Camera:
    """What a page sends: a codec and `sendEncodings` (WebRTC §5.2, WebRTC-SVC §4.2)."""

    codec: str
    encodings: Sequence[Mapping[str, Any]] = field(default_factory=list)


def simulcast(codec: str, mode: str = "L1T3") -> Camera:
    """Three sizes, lowest first, as our web client sends them."""
    return Camera(
        codec,
        [
            {"rid": "q", "scaleResolutionDownBy": 4, "scalabilityMode": mode},
            {"rid": "h", "scaleResolutionDownBy": 2, "scalabilityMode": mode},
            {"rid": "f", "scaleResolutionDownBy": 1, "scalabilityMode": mode},
        ],
    )


#: What real Chromium is asked to offer, by the name of the vector.
CAMERAS = {
    "chromium-vp8-simulcast": simulcast("vp8"),
    "chromium-h264-simulcast": simulcast("h264", "L1T1"),
    "chromium-vp9-svc": Camera("vp9", [{"scalabilityMode": "L3T3_KEY"}]),
    "chromium-av1-temporal": Camera("av1", [{"scalabilityMode": "L1T3"}]),
    "chromium-av1-svc": Camera("av1", [{"scalabilityMode": "L2T2_KEY"}]),
}


async def make_offer(browser: Browser, look: Look, camera: Camera, seats: int) -> tuple[Page, str]:
    """A page with a connection that has made this offer, and the offer."""
    page = await new_page(browser, look)
    await page.route(_PAGE, lambda route: route.fulfill(body="", content_type="text/html"))
    await page.goto(_PAGE)
    asked = {"codec": camera.codec, "encodings": list(camera.encodings), "seats": seats}
    return page, await page.evaluate(_OFFER, asked)


async def take_answer(page: Page, sdp: str) -> dict[str, list[str]]:
    """Give the page its answer; what it makes of it. Raises playwright's error on refusal."""
    agreed: dict[str, list[str]] = await page.evaluate(_ANSWER, sdp)
    return agreed
