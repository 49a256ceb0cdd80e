"""An ICE restart by hand: Chromium's own PeerConnection, the SFU, and aiortc at the other end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Playwright

from sfu.control.messages import Negotiate, Negotiated, OpenRoom, PeerTransport, Permit, Statistics
from sfu.ids import PeerId, RoomId
from tests.support.browser import CITIZEN, launch
from tests.support.caller import Caller, Sfu, running_sfu
from tests.support.eventually import eventually

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
}"""
_OFFER = """async (restart) => {
  await window.pc.setLocalDescription(await window.pc.createOffer({iceRestart: restart}));
  return window.pc.localDescription.sdp;
}"""
_ANSWER = "(sdp) => window.pc.setRemoteDescription({type: 'answer', sdp})"
_RECEIVED = """async () => {
  const rows = [...(await window.pc.getStats()).values()];
  const of = (kind) => rows.find((row) => row.type === 'inbound-rtp' && row.kind === kind);
  return [of('video')?.framesDecoded ?? 0, of('audio')?.packetsReceived ?? 0];
}"""

_UFRAGS = """async () => {
  const rows = await window.pc.getStats();
  const offered = /a=ice-ufrag:(.+)/.exec(window.pc.localDescription.sdp)[1].trim();
  for (const row of rows.values()) {
    if (row.type !== 'transport' || !row.selectedCandidatePairId) continue;
    const pair = rows.get(row.selectedCandidatePairId);
    return [rows.get(pair.localCandidateId).usernameFragment, offered];
  }
  return ['', offered];
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


async def media_goes_on(page: Page, caller: Caller) -> None:
    """Wait for more of all four streams."""
    before = await page.evaluate(_RECEIVED)
    heard = caller.frames.copy()

    async def complaint() -> str | None:
        now = await page.evaluate(_RECEIVED)
        if now[0] < before[0] + 5 or now[1] < before[1] + 10:
            return f"the page got {now}, it had {before}"
        return None

    await eventually(complaint)
    await eventually(
        lambda: (
            None
            if all(caller.frames[0, kind] >= heard[0, kind] + 5 for kind in ("audio", "video"))
            else f"aiortc got {caller.frames}, it had {heard}"
        )
    )


async def new_path(page: Page) -> str | None:
    """What is wrong while media does not go by the credentials of the last offer."""
    used, offered = await page.evaluate(_UFRAGS)
    return None if used == offered else "the former path is in use"


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
    caller = Caller(sfu.client, ROOM, "binh")
    try:
        page = await browser.new_page()
        await page.evaluate(_BEGIN)
        await negotiate(sfu, page, restart=False)
        await caller.call()
        await media_goes_on(page, caller)
        await media_goes_on(page, caller)
        before = await sfu.statistics(ROOM)

        await negotiate(sfu, page, restart=True)
        began_s = time.monotonic()
        await media_goes_on(page, caller)
        await eventually(lambda: new_path(page))
        assert time.monotonic() - began_s < MEDIA_BACK_S
        after = await sfu.statistics(ROOM)
        told = [e.state for e in sfu.events if isinstance(e, PeerTransport) and e.peer == "an"]
        assert told == ["connecting", "connected"]
        assert grew(sent_to(after, "an"), sent_to(before, "an"))
        assert grew(received_from(after, "an"), received_from(before, "an"))
    finally:
        await caller.hang_up()
        await browser.close()
