"""What a page hears and sees over time: gaps in a tone, pictures that stand still."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.async_api import Page

# Reads the first seat's sound as it is played, in pieces of 10 ms, and notes how long the tone was
# not in them; and each picture of that seat with its height.
_WATCH = """async (toneHz) => {
  const pc = window.vtelehealth.pc();
  const seat = (kind) => pc.getTransceivers().find((transceiver) =>
    transceiver.direction === 'recvonly' && transceiver.receiver.track.kind === kind).receiver;
  const audio = seat('audio'), video = seat('video');
  const seen = window.seen = {played_ms: 0, missing_ms: 0, gap_ms: 0, gaps: [], still_ms: 0};
  const counters = async () => {
    const found = {};
    for (const receiver of [audio, video]) {
      for (const row of (await receiver.getStats()).values()) {
        if (row.type === 'inbound-rtp') found[row.kind] = row;
      }
    }
    return found;
  };
  window.seenCounters = counters;
  const share = (samples, rate) => {
    const coefficient = 2 * Math.cos(2 * Math.PI * toneHz / rate);
    let before = 0, last = 0, all = 0;
    for (const sample of samples) {
      [before, last] = [last, sample + coefficient * last - before];
      all += sample * sample;
    }
    const power = last * last + before * before - coefficient * last * before;
    return all < samples.length * 1e-6 ? 0 : 2 * power / (samples.length * all);
  };
  const reader = new MediaStreamTrackProcessor({track: audio.track, maxBufferSize: 500})
    .readable.getReader();
  let buffer = new Float32Array(0);
  (async () => {
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      const {numberOfFrames: count, sampleRate: rate} = value;
      if (buffer.length !== count) buffer = new Float32Array(count);
      value.copyTo(buffer, {planeIndex: 0, format: 'f32-planar'});
      value.close();
      const piece_ms = 1000 * count / rate;
      seen.played_ms += piece_ms;
      if (share(buffer, rate) > 0.5) {
        if (seen.gap_ms > 60) seen.gaps.push(seen.gap_ms);
        seen.gap_ms = 0;
      } else {
        seen.missing_ms += piece_ms;
        seen.gap_ms += piece_ms;
      }
    }
  })();
  const element = [...document.querySelectorAll('[data-testid="seat-video"]')]
    .find((one) => one.srcObject?.getTracks().includes(video.track));
  seen.height_px = element.videoHeight;
  let shown = performance.now();
  const draw = (now, {height}) => {
    seen.still_ms = Math.max(seen.still_ms, now - shown);
    seen.height_px = height;
    shown = now;
    element.requestVideoFrameCallback(draw);
  };
  element.requestVideoFrameCallback(draw);
}"""
_READ = """async () => {
  const {audio, video} = await window.seenCounters();
  const {seen} = window;
  return {
    ...seen,
    longest_gap_ms: Math.max(seen.gap_ms, 0, ...seen.gaps),
    concealed: audio.concealedSamples - audio.silentConcealedSamples,
    samples: audio.totalSamplesReceived,
    frames: video.framesDecoded ?? 0,
    freezes_s: video.totalFreezesDuration ?? 0,
    lost: video.packetsLost ?? 0,
    repeated: video.retransmittedPacketsReceived ?? 0,
    given_up: video.pliCount ?? 0,
  };
}"""
_HEAR = """async (for_ms) => {
  const {played_ms} = window.seen;
  const began = performance.now();
  while (window.seen.played_ms - played_ms < for_ms) {
    if (performance.now() - began > 3 * for_ms + 5000) return false;
    await new Promise((done) => setTimeout(done, 50));
  }
  return true;
}"""
_FORGET_GAPS = "() => Object.assign(window.seen, {gap_ms: 0, gaps: [], still_ms: 0})"


@dataclass(frozen=True)
class Seen:
    """What a page has heard and seen of its first seat since it began to watch.

    `longest_gap_ms` is how long the tone was not to be heard at a stretch, `missing_ms` how long in
    all; `still_ms` how long a picture stood at most. Both since `forget_gaps`.
    `concealed` of `samples` were made up, speech that was missing; the video packets `lost` are
    those that did not come by themselves, and `repeated` those that came again, which is also what
    probes are made of. `given_up` counts how often the page asked for a key frame instead.
    """

    played_ms: float
    missing_ms: float
    longest_gap_ms: float
    still_ms: float
    height_px: int
    concealed: int
    samples: int
    frames: int
    freezes_s: float
    lost: int
    repeated: int
    given_up: int

    @property
    def frozen(self) -> float:
        """The share of the time that the picture stood still, by the browser's own judgement."""
        return self.freezes_s * 1_000 / self.played_ms

    def since(self, before: Seen) -> Seen:
        """What came in between; lengths and heights are those of now."""
        return Seen(
            played_ms=self.played_ms - before.played_ms,
            missing_ms=self.missing_ms - before.missing_ms,
            longest_gap_ms=self.longest_gap_ms,
            still_ms=self.still_ms,
            height_px=self.height_px,
            concealed=self.concealed - before.concealed,
            samples=self.samples - before.samples,
            frames=self.frames - before.frames,
            freezes_s=self.freezes_s - before.freezes_s,
            lost=self.lost - before.lost,
            repeated=self.repeated - before.repeated,
            given_up=self.given_up - before.given_up,
        )


class Watching:
    """A page that watches its first seat, whose sound has a tone."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    async def begin(cls, page: Page, tone_hz: float) -> Watching:
        """From now on."""
        await page.evaluate(_WATCH, tone_hz)
        return cls(page)

    async def read(self) -> Seen:
        """So far."""
        found = await self._page.evaluate(_READ)
        return Seen(**{name: found[name] for name in Seen.__dataclass_fields__})

    async def hear(self, for_ms: float) -> None:
        """Wait until so much more sound was played, with its gaps."""
        assert await self._page.evaluate(_HEAR, for_ms), "nothing is played"

    async def height_px(self) -> int:
        """Of the newest picture."""
        return int(await self._page.evaluate("() => window.seen.height_px"))

    async def forget_gaps(self) -> None:
        """Measure the longest gap, and the longest stand-still, anew."""
        await self._page.evaluate(_FORGET_GAPS)
