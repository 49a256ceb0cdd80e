"""An ICE restart by hand: Chromium's own PeerConnection, the SFU, and aiortc at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Playwright

from sfu.control.messages import Negotiate, Negotiated, OpenRoom, PeerTransport, Permit, Statistics
from sfu.ids import PeerId, RoomId
from tests.support.browser import CITIZEN, launch
from tests.support.caller import Sfu, running_sfu
from tests.support.eventually import eventually
from tests.support.stalls import Stalls

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

ROOM = RoomId("room-1")
MEDIA_BACK_S = 3.0

_BEGIN = """() => {
  const canvas = document.createElement('canvas');
  canvas.width = 320; canvas.height = 180;
  const paint = canvas.getContext('2d');
  let turn = 0;
  setInterval(() => {
    paint.fillStyle = `hsl(${(turn += 7) % 360} 80% 50%)`;
    paint.fillRect(0, 0, 320, 180);
  }, 50);
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const sound = audio.createMediaStreamDestination();
  tone.connect(sound);
  tone.start();
  const pc = window.pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  pc.addTransceiver(sound.stream.getAudioTracks()[0], {direction: 'sendonly'});
  pc.addTransceiver(canvas.captureStream(20).getVideoTracks()[0], {direction: 'sendonly'});
  pc.addTransceiver('audio', {direction: 'recvonly'});
  pc.addTransceiver('video', {direction: 'recvonly'});
  window.received = async () => {
    const rows = [...(await pc.getStats()).values()];
    const of = (kind) => rows.find((row) => row.type === 'inbound-rtp' && row.kind === kind);
    return [of('video')?.framesDecoded ?? 0, of('audio')?.packetsReceived ?? 0];
  };
}"""
_OFFER = """async (restart) => {
  await window.pc.setLocalDescription(await window.pc.createOffer({iceRestart: restart}));
  return window.pc.localDescription.sdp;
}"""
_ANSWER = "(sdp) => window.pc.setRemoteDescription({type: 'answer', sdp})"
_RECEIVED = "() => window.received()"

# Waits for media over the path of the last offer; from the answer to then, in Unix milliseconds.
_BACK = """async ([frames, packets]) => {
  const began = performance.now();
  const offered = /a=ice-ufrag:(.+)/.exec(window.pc.localDescription.sdp)[1].trim();
  const used = (rows) => {
    const transport = [...rows.values()].find((row) => row.type === 'transport');
    const pair = rows.get(transport?.selectedCandidatePairId);
    return rows.get(pair?.localCandidateId)?.usernameFragment;
  };
  while (performance.now() - began < 20_000) {
    const [decoded, received] = await window.received();
    const isBack = decoded >= frames + 5 && received >= packets + 10;
    if (isBack && used(await window.pc.getStats()) === offered) break;
    await new Promise((done) => setTimeout(done, 20));
  }
  return [began, performance.now()].map((at) => performance.timeOrigin + at);
}"""


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    async with running_sfu() as running:
        await running.client.request(OpenRoom(room=ROOM))
        for peer in ("an", "binh"):
            await running.client.request(
                Permit(
                    room=ROOM,
                    peer=PeerId(peer),
                    version=1,
                    send=("audio", "video"),
                    receive=True,
                )
            )
        yield running


async def negotiate(sfu: Sfu, page: Page, *, restart: bool) -> None:
    """Offer from the page, and the answer to it."""
    sdp = await page.evaluate(_OFFER, restart)
    answer = await sfu.client.request(Negotiate(room=ROOM, peer=PeerId("an"), sdp=sdp))
    assert isinstance(answer, Negotiated)
    await page.evaluate(_ANSWER, answer.sdp)


async def page_gets_more(page: Page) -> None:
    """Wait for more of both streams at the page."""
    before = await page.evaluate(_RECEIVED)

    async def complaint() -> str | None:
        now = await page.evaluate(_RECEIVED)
        if now[0] < before[0] + 5 or now[1] < before[1] + 10:
            return f"the page got {now}, it had {before}"
        return None

    await eventually(complaint)


def sent_to(statistics: Statistics, peer: str) -> list[int]:
    """Packets sent on each leg of a peer so far."""
    return [row.packets for row in statistics.legs if row.peer == peer]


def received_from(statistics: Statistics, peer: str) -> list[int]:
    """Packets of each stream of a peer so far."""
    return [row.packets for row in statistics.streams if row.peer == peer]


def grew(now: list[int], then: list[int]) -> bool:
    """Whether they are the same counters, further on."""
    return all(after > before for after, before in zip(now, then, strict=True))


async def test_restart__keeps_transport_legs_and_counters(
    sfu: Sfu, driver: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> None:
    browser = await launch(driver, CITIZEN, tmp_path_factory.mktemp("devices"))
    caller = sfu.caller(ROOM, "binh")
    try:
        page = await browser.new_page()
        await page.evaluate(_BEGIN)
        await negotiate(sfu, page, restart=False)
        await caller.call()
        await asyncio.gather(page_gets_more(page), caller.hears_and_sees())
        stalls = Stalls(page)
        await stalls.begin()
        before = await sfu.statistics(ROOM)
        received = await page.evaluate(_RECEIVED)

        await negotiate(sfu, page, restart=True)
        back, _ = await asyncio.gather(
            page.evaluate(_BACK, received), caller.hears_and_sees(within_s=MEDIA_BACK_S)
        )
        await stalls.read()
        assert stalls.awake_ms(back) < MEDIA_BACK_S * 1_000
        after = await sfu.statistics(ROOM)
        told = [e.state for e in sfu.events if isinstance(e, PeerTransport) and e.peer == "an"]
        assert told == ["connecting", "connected"]
        assert grew(sent_to(after, "an"), sent_to(before, "an"))
        assert grew(received_from(after, "an"), received_from(before, "an"))
    finally:
        await browser.close()
