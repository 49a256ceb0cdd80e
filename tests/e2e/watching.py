"""What a page hears and sees over time: gaps in a tone, pictures that stand still."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.person import Person
from tests.support.stalls import Stalls

# Reads the first seat's sound as it is played, in pieces of 10 ms, and notes when the tone was not
# in them; and each picture of that seat with its height, and when it was the next one's turn.
_WATCH = """async (toneHz) => {
  const pc = window.vtelehealth.pc();
  const seat = (kind) => pc.getTransceivers().find((transceiver) =>
    transceiver.direction === 'recvonly' && transceiver.receiver.track.kind === kind).receiver;
  const audio = seat('audio'), video = seat('video');
  const seen = window.seen = {played_ms: 0, missing_ms: 0, gap_ms: 0, gaps: [], stills: []};
  seen.span = (from, to) => [from, to].map((at) => performance.timeOrigin + at);
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
        const now = performance.now();
        if (seen.gap_ms > 60) seen.gaps.push(seen.span(now - seen.gap_ms, now));
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
  seen.shown = performance.now();
  const draw = (now, {height}) => {
    if (now - seen.shown > 100) seen.stills.push(seen.span(seen.shown, now));
    seen.height_px = height;
    seen.shown = now;
    element.requestVideoFrameCallback(draw);
  };
  element.requestVideoFrameCallback(draw);
}"""
_READ = """async () => {
  const {audio, video} = await window.seenCounters();
  const {seen} = window;
  const now = performance.now();
  return {
    played_ms: seen.played_ms,
    missing_ms: seen.missing_ms,
    height_px: seen.height_px,
    gaps: seen.gaps.splice(0),
    gap: seen.span(now - seen.gap_ms, now),
    stills: seen.stills.splice(0),
    still: seen.span(seen.shown, now),
    concealed: audio.concealedSamples - audio.silentConcealedSamples,
    samples: audio.totalSamplesReceived,
    frames: video.framesDecoded ?? 0,
    whole: video.framesReceived ?? 0,
    frozen_s: video.totalFreezesDuration ?? 0,
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
_FORGET_GAP = "() => { window.seen.gap_ms = 0; }"
#: What a narrow link and the player may hold back.
_ON_ITS_WAY_MS = 400.0
#: A frame is due after 50 ms; as browsers count it, another 150 ms make it a freeze.
_FREEZE_MS = 200.0


@dataclass(frozen=True)
class Seen:
    """What a page has heard and seen of its first seat since it began to watch.

    `longest_gap_ms` is how long the tone was not to be heard at a stretch, `still_ms` how long a
    picture stood at most: both since `forget_gaps`, and without the time in which one of the two
    pages did not run. `missing_ms` is how long there was no tone in all. `frozen_s` is how long the
    picture froze in all by the browser's count, which leaves no such time out; `froze_s` by ours.
    `whole` counts the frames that came whole. `concealed` of `samples` were made up, speech that
    was missing; the video packets `lost` are those that did not come by themselves, and `repeated`
    those that came again, which is also what probes are made of. `given_up` counts how often the
    page asked for a key frame instead.
    """

    played_ms: float
    missing_ms: float
    longest_gap_ms: float
    still_ms: float
    height_px: int
    concealed: int
    samples: int
    frames: int
    whole: int
    frozen_s: float
    froze_s: float
    lost: int
    repeated: int
    given_up: int

    @property
    def frozen(self) -> float:
        """The share of the time that the picture stood still, as far as both counts agree."""
        return min(self.frozen_s, self.froze_s) * 1_000 / self.played_ms

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
            whole=self.whole - before.whole,
            frozen_s=self.frozen_s - before.frozen_s,
            froze_s=self.froze_s - before.froze_s,
            lost=self.lost - before.lost,
            repeated=self.repeated - before.repeated,
            given_up=self.given_up - before.given_up,
        )


class Watching:
    """A person who watches their first seat, where another is seen whose sound has a tone."""

    def __init__(self, watcher: Person, other: Person) -> None:
        self._page = watcher.page
        self._tone_hz = other.look.tone_hz
        self._stalls = Stalls(watcher.page, other.page, on_its_way_ms=_ON_ITS_WAY_MS)
        self._longest_gap_ms = 0.0
        self._still_ms = 0.0
        self._froze_s = 0.0

    @classmethod
    async def begin(cls, watcher: Person, other: Person) -> Watching:
        """From now on."""
        watching = cls(watcher, other)
        await watching._stalls.begin()
        await watching._page.evaluate(_WATCH, watching._tone_hz)
        return watching

    async def read(self) -> Seen:
        """So far."""
        found = await self._page.evaluate(_READ)
        await self._stalls.read()
        gaps_ms = [self._stalls.awake_ms(gap) for gap in (*found["gaps"], found["gap"])]
        stills_ms = [self._stalls.awake_ms(still) for still in found["stills"]]
        lasts_ms = self._stalls.awake_ms(found["still"])
        self._longest_gap_ms = max(self._longest_gap_ms, *gaps_ms)
        self._still_ms = max(self._still_ms, *stills_ms, lasts_ms)
        self._froze_s += sum(each for each in stills_ms if each > _FREEZE_MS) / 1_000
        found["longest_gap_ms"] = self._longest_gap_ms
        found["still_ms"] = self._still_ms
        found["froze_s"] = self._froze_s
        return Seen(**{name: found[name] for name in Seen.__dataclass_fields__})

    async def hear(self, for_ms: float) -> None:
        """Wait until so much more sound was played, with its gaps."""
        assert await self._page.evaluate(_HEAR, for_ms), "nothing is played"

    async def height_px(self) -> int:
        """Of the newest picture."""
        return int(await self._page.evaluate("() => window.seen.height_px"))

    async def forget_gaps(self) -> None:
        """Measure the longest gap, and the longest stand-still, anew."""
        await self.read()
        await self._page.evaluate(_FORGET_GAP)
        self._longest_gap_ms = self._still_ms = 0.0
