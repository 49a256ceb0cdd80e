"""When pages did not run: what stood still then was the machine, not the product.

A page beats every 20 ms and notes when a beat came late. What it would have shown, or sent to be
shown elsewhere, in that time is nobody's fault, and is taken off a measured time once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

from playwright.async_api import Page

#: From one moment to another, in Unix milliseconds.
Span = Sequence[float]

#: From the camera's drawing of a frame to its being shown.
ON_ITS_WAY_MS = 150.0
_KEPT = 500

_BEAT = """() => {
  if (window.stallsAfter) return;
  const stalls = [];
  let before = performance.now();
  const beat = () => {
    const now = performance.now();
    if (now - before > 70) stalls.push([before, now].map((at) => performance.timeOrigin + at));
    before = now;
  };
  setInterval(beat, 20);
  window.stallsAfter = (after) => {
    beat();
    return stalls.filter(([, end]) => end > after);
  };
}"""


class Stalls:
    """Of some pages, whose pictures need `on_its_way_ms` to be seen at most."""

    def __init__(self, *pages: Page, on_its_way_ms: float = ON_ITS_WAY_MS) -> None:
        self._on_its_way_ms = on_its_way_ms
        self._noted: dict[Page, list[Span]] = {page: [] for page in pages}

    async def begin(self) -> None:
        """The pages note them from now on."""
        for page in self._noted:
            await page.evaluate(_BEAT)

    async def read(self) -> None:
        """Take what the pages have noted; what is to be judged must have been read before."""
        for page, noted in self._noted.items():
            last_ms = noted[-1][1] if noted else 0.0
            noted += await page.evaluate("(after) => stallsAfter(after)", last_ms)
            del noted[:-_KEPT]

    def awake_ms(self, span: Span, also: Iterable[Span] = ()) -> float:
        """How long it was without them, and without what else stood still."""
        noted = [stall for each in self._noted.values() for stall in each]
        return awake_ms(span, [*noted, *also], self._on_its_way_ms)


def awake_ms(span: Span, stalls: Iterable[Span], on_its_way_ms: float = ON_ITS_WAY_MS) -> float:
    """How long a span is without the stalls in it and just before it, each moment taken off once.

    What stood still just before shows only later: nothing was on its way.
    """
    start_ms, end_ms = span
    counted_to_ms, stood_ms = start_ms - on_its_way_ms, 0.0
    for stall_start_ms, stall_end_ms in sorted(stalls, key=itemgetter(0)):
        fresh_ms = min(stall_end_ms, end_ms) - max(stall_start_ms, counted_to_ms)
        if fresh_ms > 0:
            stood_ms += fresh_ms
            counted_to_ms = min(stall_end_ms, end_ms)
    return max(0.0, end_ms - start_ms - stood_ms)
