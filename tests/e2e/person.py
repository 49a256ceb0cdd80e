"""One person at a browser: what they do, and what their page lets us measure."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from playwright.async_api import Browser, Page, Playwright

from tests.support.browser import HERE, Look, Place, launch, new_page
from tests.support.eventually import eventually

# What the receivers of the page's PeerConnection have decoded and received, summed.
RECEIVED = """async () => {
  const pc = window.vtelehealth.pc();
  const total = {frames: 0, packets: 0, concealed: 0, samples: 0, video_packets: 0};
  if (!pc) return total;
  for (const row of (await pc.getStats()).values()) {
    if (row.type !== 'inbound-rtp') continue;
    total.packets += row.packetsReceived || 0;
    if (row.kind === 'video') {
      total.frames += row.framesDecoded || 0;
      total.video_packets += row.packetsReceived || 0;
    } else {
      total.concealed += row.concealedSamples || 0;
      total.samples += row.totalSamplesReceived || 0;
    }
  }
  return total;
}"""

# The largest share of a receiver's sound energy near one tone, over some listening time.
_TONE_SHARE = """async ([toneHz, listenMs]) => {
  const pc = window.vtelehealth.pc();
  if (!pc) return 0;
  const context = new AudioContext({sampleRate: 48000});
  await context.resume();
  const analysers = [];
  for (const receiver of pc.getReceivers()) {
    if (receiver.track.kind !== 'audio') continue;
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(new MediaStream([receiver.track])).connect(analyser);
    analysers.push(analyser);
  }
  const width = context.sampleRate / 8192;
  const bins = new Float32Array(4096);
  let best = 0;
  const end = performance.now() + listenMs;
  while (performance.now() < end) {
    await new Promise((done) => setTimeout(done, 50));
    for (const analyser of analysers) {
      analyser.getFloatFrequencyData(bins);
      let near = 0, all = 0;
      bins.forEach((decibel, bin) => {
        const power = Math.pow(10, decibel / 10);
        if (bin * width < 50) return;
        all += power;
        if (Math.abs(bin * width - toneHz) <= 20) near += power;
      });
      if (all > 1e-9 && near / all > best) best = near / all;
    }
  }
  await context.close();
  return best;
}"""

# A few pixels of each visible remote picture, as one string: a moving pattern changes it.
_PICTURES = """() => [...document.querySelectorAll('[data-testid="seat-video"]')]
  .filter((video) => video.videoWidth > 0)
  .map((video) => {
    const canvas = document.createElement('canvas');
    canvas.width = 32; canvas.height = 18;
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 32, 18);
    return [...context.getImageData(0, 0, 32, 18).data].join(',');
  })"""

# Unix time in milliseconds of the first decoded remote frame.
_FIRST_FRAME_AT = """async () => {
  for (;;) {
    const pc = window.vtelehealth && window.vtelehealth.pc();
    if (pc) {
      for (const row of (await pc.getStats()).values()) {
        if (row.type === 'inbound-rtp' && row.kind === 'video' && row.framesDecoded > 0) {
          return Date.now();
        }
      }
    }
    await new Promise((done) => setTimeout(done, 10));
  }
}"""


# Over what the page's media goes now: the chosen pair's local candidate.
_PATH = """async () => {
  const pc = window.vtelehealth.pc();
  const rows = pc ? await pc.getStats() : new Map();
  for (const row of rows.values()) {
    if (row.type !== 'transport' || !row.selectedCandidatePairId) continue;
    const local = rows.get(rows.get(row.selectedCandidatePairId).localCandidateId);
    return [local.candidateType, local.relayProtocol || local.protocol];
  }
  return ['', ''];
}"""

# Marks the PeerConnection, so that another one in its place is noticed.
_MARK = "() => { window.vtelehealth.pc().marked = true; }"
_IS_MARKED = "() => Boolean(window.vtelehealth.pc()?.marked)"


class Person:
    """A browser, a page and the steps through it. Close it."""

    def __init__(self, look: Look, browser: Browser, page: Page) -> None:
        self.look = look
        self.page = page
        self._browser = browser
        self.console: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))

    @classmethod
    async def arrive(
        cls, driver: Playwright, look: Look, directory: Path, place: Place = HERE
    ) -> Person:
        """A fresh browser with that person's devices."""
        browser = await launch(driver, look, directory, place)
        page = await new_page(browser, look)
        if place.script:
            await page.add_init_script(place.script)
        return cls(look, browser, page)

    async def close(self) -> None:
        """Shut the browser."""
        await self._browser.close()

    def at(self, test_id: str) -> str:
        """The selector of an element by its test id."""
        return f'[data-testid="{test_id}"]'

    async def see(self, test_id: str, *, within_s: float = 15) -> None:
        """Wait until an element is to be seen."""
        await self.page.locator(self.at(test_id)).first.wait_for(
            state="visible", timeout=within_s * 1_000
        )

    async def press(self, test_id: str) -> None:
        """Click."""
        await self.page.locator(self.at(test_id)).first.click(timeout=10_000)

    async def open_panel(self, panel: str) -> None:
        """Open the chat or the list of people, which may be open by itself."""
        button = self.page.locator(self.at(panel)).first
        if await button.get_attribute("aria-expanded") != "true":
            await button.click()

    async def open_link(self, link: str) -> None:
        """Follow the invitation to the lobby."""
        await self.page.goto(link)
        await self.see("lobby")

    async def decide_consent(self, *, agree: bool) -> None:
        """Answer the question about recording."""
        await self.press("consent-accept" if agree else "consent-refuse")

    async def says(self, text: str) -> None:
        """Write a line in the open chat."""
        await self.page.locator(self.at("chat-input")).fill(text)
        await self.press("chat-send")

    async def reads(self, text: str) -> None:
        """Wait until the open chat shows a text."""

        async def complaint() -> str | None:
            log = await self.page.locator(self.at("chat-log")).inner_text()
            return None if text in log else f"the chat shows {log!r}"

        await eventually(complaint)

    async def received(self) -> dict[str, float]:
        """Sums over the page's receivers: decoded frames, packets, samples of sound."""
        return cast(dict[str, float], await self.page.evaluate(RECEIVED))

    async def path(self) -> tuple[str, str]:
        """Type and protocol of the local candidate in use: host or relay; udp, tcp or tls."""
        kind, protocol = await self.page.evaluate(_PATH)
        return str(kind), str(protocol)

    async def mark_connection(self) -> None:
        """Remember the PeerConnection as it is, for `has_the_marked_connection`."""
        await self.page.evaluate(_MARK)

    async def has_the_marked_connection(self) -> bool:
        """Whether the PeerConnection is still the one that was marked."""
        return bool(await self.page.evaluate(_IS_MARKED))

    async def hears(self, tone_hz: float, *, listen_ms: int = 3_000) -> float:
        """The largest share of energy at a tone in what the page receives."""
        return float(await self.page.evaluate(_TONE_SHARE, [tone_hz, listen_ms]))

    async def pictures(self) -> list[str]:
        """What the remote pictures show now."""
        return cast(list[str], await self.page.evaluate(_PICTURES))

    async def first_frame_at_ms(self) -> float:
        """Wait for the first decoded remote frame; Unix time in milliseconds."""
        return float(await self.page.evaluate(_FIRST_FRAME_AT))

    async def frames_go_on(self, *, more: int = 10, within_s: float = 10) -> None:
        """Wait until `more` further remote frames have been decoded."""
        start = (await self.received())["frames"]

        async def complaint() -> str | None:
            frames = (await self.received())["frames"]
            return None if frames >= start + more else f"{frames - start:.0f} new frames"

        await eventually(complaint, within_s=within_s)

    async def picture_moves(self, *, within_s: float = 10) -> None:
        """Wait until every remote picture on the page has changed."""
        first = await self.pictures()

        async def complaint() -> str | None:
            now = await self.pictures()
            if not first or len(now) < len(first):
                return f"{len(now)} pictures"
            still = [seat for seat, picture in enumerate(first) if now[seat] == picture]
            return f"pictures {still} do not move" if still else None

        await eventually(complaint, within_s=within_s)
