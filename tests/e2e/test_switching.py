"""Layers and seats change a thousand times: the pictures go on, and senders are not pestered."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sfu.ids import SourceId
from tests.support.eventually import eventually
from tests.support.studio import CAMERAS, Decoder, Seat, Studio, studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SWITCHES = 1000
#: It takes 80 s on two free cores.
WITHIN_S = 200.0
LONGEST_FREEZE_MS = 500.0
#: Of who never switches. Four frames that an encoder leaves out are seen, more would be the SFU's.
LONGEST_STEADY_MS = 700.0
#: After it was hidden a picture waits for its key frame: a second of the throttle and the frame.
LONGEST_WAKE_MS = 2000.0
HEIGHTS_PX = (90, 136, 180, 272, 360, 544, 720)
HIDDEN_SHARE = 0.08
VIEWERS = tuple(f"viewer{number}" for number in range(6))
SEATS = 3
TICK_MS = 150
#: Browsers look for their paths, and for how much these carry.
SETTLE_MS = 4000


@dataclass
class Tally:
    """What was seen on the way."""

    switches: int = 0
    frames: int = 0
    longest_freeze_ms: float = 0.0
    longest_wake_ms: float = 0.0
    #: Of the viewer whose view never changes.
    longest_steady_ms: float = 0.0
    freezes: list[str] = field(default_factory=list)
    #: What decoders complained of while they had a picture to show.
    errors: list[str] = field(default_factory=list)
    #: Key frame requests so far, by camera and encoding, each read between two moments.
    asked: dict[tuple[str, str], list[tuple[float, float, int]]] = field(
        default_factory=lambda: defaultdict(list), repr=False
    )

    def most_asked(self) -> int:
        """The most requests in any stretch beyond one for each begun second of it."""
        return max(_excess(readings) for readings in self.asked.values())


def _excess(readings: Sequence[tuple[float, float, int]]) -> int:
    return max(
        later - earlier - (1 + int(end_s - start_s))
        for place, (start_s, _, earlier) in enumerate(readings)
        for _, end_s, later in readings[place:]
    )


def _view(rng: random.Random) -> list[int]:
    return [0 if rng.random() < HIDDEN_SHARE else rng.choice(HEIGHTS_PX) for _ in range(SEATS)]


def _whose_turn(tick: int) -> Iterator[str]:
    for offset in (0, len(VIEWERS) // 2):
        yield VIEWERS[(tick + offset) % len(VIEWERS)]


class Onlooker:
    """Reads what all viewers have seen since the last look."""

    def __init__(self, stage: Studio) -> None:
        self._stage = stage
        self._switches: dict[tuple[str, int], int] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._awake: set[tuple[str, int]] = set()

    async def look(self, tally: Tally) -> None:
        """Add it to a tally."""
        for viewer in VIEWERS:
            decoders = await self._stage.decoded(viewer)
            for number, seat in enumerate(await self._stage.seen(viewer)):
                self._count(tally, (viewer, number), seat)
                self._judge(tally, (viewer, number), seat, decoders[number])
        steady_ms = self._stage.longest_steady_ms()
        tally.longest_steady_ms = max(tally.longest_steady_ms, steady_ms)

    def _count(self, tally: Tally, place: tuple[str, int], seat: Seat) -> None:
        tally.switches += seat.switches - self._switches.get(place, 0)
        self._switches[place] = seat.switches
        tally.frames += len(seat.gaps_ms)
        tally.longest_wake_ms = max(tally.longest_wake_ms, *seat.wakes_ms, 0.0)
        for gap_ms in (*seat.gaps_ms, seat.open_ms if seat.is_awake else 0.0):
            tally.longest_freeze_ms = max(tally.longest_freeze_ms, gap_ms)
            if gap_ms > LONGEST_FREEZE_MS:
                tally.freezes.append(
                    f"{place}, {seat.size}, {gap_ms:.0f} ms, at switch {tally.switches}"
                )

    def _judge(self, tally: Tally, place: tuple[str, int], seat: Seat, decoder: Decoder) -> None:
        """A decoder that gets what it cannot use asks for a key frame.

        One that gets nothing does so too: what it asks while the picture is hidden is no error.
        """
        asked = decoder.asked - self._asked.get(place, 0)
        self._asked[place] = decoder.asked
        if asked and seat.is_awake and place in self._awake:
            tally.errors.append(f"{place}, {seat.size}, {decoder}")
        if seat.is_awake:
            self._awake.add(place)
        else:
            self._awake.discard(place)


async def _count_requests(stage: Studio, tally: Tally) -> None:
    before_s = time.monotonic()
    rows = (await stage.statistics()).streams
    after_s = time.monotonic()
    for row in rows:
        tally.asked[row.peer, row.rid].append((before_s, after_s, row.pli_sent))


async def _switch_at_random(stage: Studio, sources: Sequence[SourceId], seed: int) -> Tally:
    """Change views until the pictures have changed often enough."""
    rng, tally, tick, onlooker = random.Random(seed), Tally(), 0, Onlooker(stage)
    await onlooker.look(Tally())
    end_s = time.monotonic() + WITHIN_S
    while time.monotonic() < end_s:
        for viewer in _whose_turn(tick):
            await stage.view(viewer, _view(rng), rng.sample(sources, rng.randint(0, 2)))
        tick += 1
        await stage.pause(TICK_MS)
        await onlooker.look(tally)
        await _count_requests(stage, tally)
        if tally.switches >= SWITCHES:
            break
    return tally


async def _decoders_are_well(stage: Studio, codec: str) -> None:
    """What came whole was decoded and drawn, but for what the machine had no time for."""

    async def complaint() -> str | None:
        seats = [seat for viewer in VIEWERS for seat in await stage.decoded(viewer)]
        assert {seat.codec for seat in seats} == {f"video/{codec}"}
        # One frame may be on its way through, one may come while another is drawn.
        behind = [seat for seat in seats if seat.received - seat.decoded - seat.dropped > 2]
        return f"not decoded: {behind}" if behind else None

    await eventually(complaint)
    seats = [seat for viewer in VIEWERS for seat in await stage.decoded(viewer)]
    assert sum(seat.dropped for seat in seats) <= sum(seat.received for seat in seats) // 50, seats


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_a_thousand_switches__no_freeze_no_decoder_error_few_requests(
    codec: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with studio(tmp_path) as stage:
        sources = [
            await stage.send(f"camera{number}", camera, codec)
            for number, camera in enumerate(CAMERAS)
        ]
        for viewer in VIEWERS:
            await stage.watch(viewer, SEATS)
        await stage.watch_steadily()
        await stage.all_awake(VIEWERS)
        await stage.pause(SETTLE_MS)
        began_s = time.monotonic()
        tally = await _switch_at_random(stage, sources, seed=3)
        took_s = time.monotonic() - began_s
        record_property("figures", f"{tally.switches} switches in {took_s:.0f} s, {tally}")
        assert tally.freezes == []
        assert tally.longest_steady_ms <= LONGEST_STEADY_MS
        assert tally.errors == []
        assert tally.switches >= SWITCHES
        assert tally.longest_wake_ms < LONGEST_WAKE_MS
        assert tally.most_asked() <= 0
        await _decoders_are_well(stage, codec)
        for number in range(len(CAMERAS)):
            for rid, encoding in (await stage.sent(f"camera{number}")).items():
                assert encoding.asked <= took_s + 10, (number, rid, encoding)
