"""Cameras and viewers of a real Chromium at an SFU of their own, without people and rooms' rules.

The test says to the SFU what signalling would, so that views can change as fast as it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from playwright.async_api import Page

from sfu.control.client import SfuClient
from sfu.control.messages import (
    Events,
    Layers,
    Negotiate,
    Negotiated,
    OpenRoom,
    Permit,
    ReadStatistics,
    RemovePeer,
    SeatView,
    SendKind,
    Statistics,
    View,
)
from sfu.ids import PeerId, RoomId, SourceId
from signaling.web.static import StaticFiles
from tests.support.browser import CITIZEN, launch, new_page, playwright
from tests.support.eventually import eventually
from tests.support.servers import ROOT, Program
from tests.support.stalls import Span, Stalls

ROOM = RoomId("studio")
#: Who watches every camera in its smallest layer, and never changes it.
STEADY = "steady"
_KEPT_HITCHES = 100
_SCRIPT = Path(__file__).with_name("studio.js")


@dataclass(frozen=True)
class Look:
    """A camera's picture. Its size, and so its shape, belong to it alone."""

    width: int
    height: int
    hue: int
    fps: int = 10


#: Each has another shape, so that whoever sees a frame knows whose it is and how large.
CAMERAS = tuple(
    Look(width, 544, hue) for width, hue in ((960, 0), (976, 90), (992, 180), (1008, 270))
)


class Seat(msgspec.Struct):
    """What one seat has shown since it was last looked at.

    `gaps_ms` between frames while the picture was due; `wakes_ms` from when it was due to its first
    frame. `open_ms`: since the last frame, or while it is not awake since it was due. All without
    the time in which a page did not run, or in which the steady viewer, if there is one, missed
    frames of that camera. `switches` counts changes of size since it began.
    """

    size: str
    frames: int
    switches: int
    gaps_ms: list[float]
    wakes_ms: list[float]
    open_ms: float
    is_awake: bool


class Wait(NamedTuple):
    """For a first picture, and how much of it was not because a page did not run."""

    whole_ms: float
    awake_ms: float


class Decoder(msgspec.Struct):
    """A seat's counters since it began: frames; `asked` for key frames; `lost` packets."""

    received: int
    decoded: int
    dropped: int
    asked: int
    freezes: int
    frozen_s: float
    lost: int
    keys: int
    codec: str


class Encoding(msgspec.Struct):
    """What a camera's encoding has sent: packets, frames; how often a key frame was asked of it."""

    packets: int
    frames: int
    asked: int
    height: int
    active: bool


class Studio:
    """An SFU, a control client, and one page for who sends and another for who watches."""

    def __init__(self, sfu: Program, client: SfuClient, senders: Page, viewers: Page) -> None:
        self.sfu = sfu
        self.senders = senders
        self.viewers = viewers
        self.events: list[Events] = []
        #: How long each seat of those last waited for took.
        self.wakes_ms: dict[str, list[float]] = {}
        self._client = client
        self._asked: asyncio.Queue[Layers] = asyncio.Queue()
        self._telling: asyncio.Task[None] | None = None
        self._stalls = Stalls(viewers, senders)
        #: What the steady viewer missed, by the camera's place among `CAMERAS`.
        self._hitches: dict[int, list[Span]] | None = None
        self._longest_steady_ms = 0.0

    async def open(self) -> None:
        """Make the room, and be told of it."""
        await eventually(lambda: None if self._client.connected else "no control connection")
        await self._client.request(OpenRoom(room=ROOM))
        self._telling = asyncio.create_task(self._tell_layers())
        for page in (self.senders, self.viewers):
            await page.expose_function("negotiate", self._negotiate)
            await page.add_script_tag(path=_SCRIPT, type="module")
            await page.wait_for_function("() => window.studio !== undefined")
        await self._stalls.begin()

    async def send(self, peer: str, look: Look, codec: str) -> SourceId:
        """One more camera, connected; its source."""
        await self._permit(peer, send=("video",))
        shape = {"width": look.width, "height": look.height, "hue": look.hue, "fps": look.fps}
        await self.senders.evaluate(
            "([name, look, codec]) => studio.send(name, look, codec)",
            [peer, shape, f"video/{codec}"],
        )
        return SourceId(f"{peer}/camera")

    async def watch(self, peer: str, seats: int) -> None:
        """One more viewer, connected."""
        await self._permit(peer, receive=True)
        await self.viewers.evaluate("([name, seats]) => studio.watch(name, seats)", [peer, seats])

    async def watch_steadily(self) -> None:
        """From now on what a viewer misses that never changes its view is taken off others' times.

        Browsers leave out frames of a small layer after a key frame that was too large, for all who
        watch it. What the steady viewer misses itself is to be bounded: see `longest_steady_ms`.
        """
        await self.watch(STEADY, len(CAMERAS))
        await self.view(STEADY, [CAMERAS[0].height // 4] * len(CAMERAS))
        await self.all_awake([STEADY])
        self._hitches = defaultdict(list)

    def longest_steady_ms(self) -> float:
        """The longest gap of that viewer since this was last asked, as of the last `seen`."""
        longest_ms, self._longest_steady_ms = self._longest_steady_ms, 0.0
        return longest_ms

    async def join(self, peers: Sequence[str]) -> list[Wait]:
        """So many viewers at once, of one seat; what each waited for its first picture."""
        for peer in peers:
            await self._permit(peer, receive=True)
        spans = await self.viewers.evaluate("(names) => studio.join(names)", peers)
        await self._stalls.read()
        return [Wait(span[1] - span[0], self._stalls.awake_ms(span)) for span in spans]

    async def leave(self, peers: Sequence[str]) -> None:
        """Viewers that go."""
        await self.viewers.evaluate(
            "(names) => names.forEach((name) => people[name].close())", list(peers)
        )
        for peer in peers:
            await self._client.request(RemovePeer(room=ROOM, peer=PeerId(peer)))

    async def view(
        self, peer: str, heights_px: Sequence[int], pinned: Sequence[SourceId] = ()
    ) -> None:
        """How a viewer draws its seats from now on."""
        expect = "([name, shown]) => people[name].expect(shown)"
        shown = [height > 0 for height in heights_px]
        # A seat is due from the moment that the SFU knows, and no longer before it does.
        await self.viewers.evaluate(expect, [peer, shown]) if not all(shown) else None
        await self._client.request(
            View(
                room=ROOM,
                peer=PeerId(peer),
                seats=tuple(SeatView(seat=n, height_px=h) for n, h in enumerate(heights_px)),
                pinned=tuple(pinned),
            )
        )
        await self.viewers.evaluate(expect, [peer, shown])

    async def seen(self, peer: str) -> list[Seat]:
        """What a viewer's seats have shown since the last time."""
        both = [peer, STEADY] if self._hitches is not None else [peer]
        rows, *steady = await self.viewers.evaluate(
            "(names) => names.map((name) => people[name].read())", both
        )
        await self._stalls.read()
        for row in (row for rows in steady for row in rows):
            self._note_hitches(row)
        for row in rows:
            row["gaps_ms"] = [self._net_ms(gap) for gap in row.pop("gaps")]
            row["wakes_ms"] = [self._net_ms(wake) for wake in row.pop("wakes")]
            row["open_ms"] = self._net_ms({"span": row.pop("open"), "size": row["size"]})
        return msgspec.convert(rows, list[Seat])

    async def all_awake(self, peers: Sequence[str]) -> None:
        """Wait until these viewers see something on each seat; see `wakes_ms` then."""
        self.wakes_ms = {peer: [] for peer in peers}

        async def complaint() -> str | None:
            for peer in peers:
                seats = await self.seen(peer)
                self.wakes_ms[peer] += [wake_ms for seat in seats for wake_ms in seat.wakes_ms]
                if not all(seat.is_awake for seat in seats):
                    return f"{peer} does not see everybody"
            return None

        await eventually(complaint, within_s=20)

    async def decoded(self, peer: str) -> list[Decoder]:
        """The decoders of a viewer's seats."""
        seats = await self.viewers.evaluate("(name) => people[name].decoded()", peer)
        return msgspec.convert(seats, list[Decoder])

    async def sent(self, peer: str) -> dict[str, Encoding]:
        """What a camera's encodings have sent, by RID."""
        rows = await self.senders.evaluate("(name) => people[name].sent()", peer)
        return msgspec.convert(rows, dict[str, Encoding])

    def _net_ms(self, seen: dict[str, Any]) -> float:
        hitches = self._hitches[_camera(seen["size"])] if self._hitches and seen["size"] else ()
        return self._stalls.awake_ms(seen["span"], hitches)

    def _note_hitches(self, row: dict[str, Any]) -> None:
        """Of a seat of the steady viewer: each gap from when the next frame was due."""
        assert self._hitches is not None
        frame_ms = 1000 / CAMERAS[0].fps
        for span in (*(gap["span"] for gap in row["gaps"]), row["open"]):
            self._longest_steady_ms = max(self._longest_steady_ms, self._stalls.awake_ms(span))
            start_ms, end_ms = span
            if end_ms - start_ms > 2 * frame_ms:
                hitches = self._hitches[_camera(row["size"])]
                hitches.append((start_ms + frame_ms, end_ms))
                del hitches[:-_KEPT_HITCHES]

    async def statistics(self) -> Statistics:
        """The SFU's counters."""
        answer = await self._client.request(ReadStatistics(room=ROOM))
        assert isinstance(answer, Statistics)
        return answer

    async def pause(self, ms: int) -> None:
        """Let time pass by the viewers' clock."""
        await self.viewers.evaluate("(ms) => studio.pause(ms)", ms)

    def hear(self, event: Events) -> None:
        """An event of the SFU: kept, and layers are told to the camera, as signalling does."""
        self.events.append(event)
        if isinstance(event, Layers):
            self._asked.put_nowait(event)

    async def close(self) -> None:
        """Tell nobody anything any more."""
        if self._telling is not None:
            self._telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._telling

    async def _tell_layers(self) -> None:
        while True:
            asked = await self._asked.get()
            layers = [{"rid": layer.rid, "active": layer.active} for layer in asked.layers]
            await self.senders.evaluate(
                "([name, layers]) => people[name].peer.choose('video', layers)",
                [asked.peer, layers],
            )

    async def _permit(
        self, peer: str, *, send: tuple[SendKind, ...] = (), receive: bool = False
    ) -> None:
        await self._client.request(Permit(room=ROOM, peer=PeerId(peer), send=send, receive=receive))

    async def _negotiate(self, peer: str, sdp: str, fresh: bool) -> str:
        answer = await self._client.request(
            Negotiate(room=ROOM, peer=PeerId(peer), sdp=sdp, fresh=fresh)
        )
        assert isinstance(answer, Negotiated)
        return answer.sdp


@asynccontextmanager
async def studio(directory: Path) -> AsyncIterator[Studio]:
    """Start it all; stop it all at the end."""
    secret = secrets.token_urlsafe(32)
    sfu = Program(
        "sfu",
        {
            "SFU_CONTROL_SECRET": secret,
            "SFU_CONTROL_PORT": "0",
            "SFU_UDP_PORT": "0",
            "SFU_ANNOUNCED_ADDRESSES": "127.0.0.1",
            "SFU_EXIT_WITH_STDIN": "1",
        },
        directory / "sfu.log",
    )
    async with AsyncExitStack() as owned:
        owned.push_async_callback(sfu.stop)
        await sfu.start()
        address = await _serve_client(owned)
        driver = await owned.enter_async_context(playwright())
        pages = []
        for _ in range(2):
            browser = await launch(driver, CITIZEN, directory)
            owned.push_async_callback(browser.close)
            page = await new_page(browser, CITIZEN)
            await page.goto(f"{address}/src/icons.js")
            pages.append(page)
        client = SfuClient(
            f"ws://127.0.0.1:{sfu.ready['control_port']}/control",
            secret,
            lambda event: made.hear(event),
            lambda up: None,
        )
        made = Studio(sfu, client, *pages)
        await client.start()
        owned.push_async_callback(client.close)
        await made.open()
        owned.push_async_callback(made.close)
        yield made


def _camera(size: str) -> int:
    """Whose picture has this shape: its place among `CAMERAS`."""
    width, height = map(int, size.split("x"))
    return min(
        range(len(CAMERAS)),
        key=lambda place: abs(CAMERAS[place].width / CAMERAS[place].height - width / height),
    )


async def _serve_client(owned: AsyncExitStack) -> str:
    """The web client's modules over HTTP; their URL."""
    app = web.Application()
    app.router.add_get("/{path:.*}", StaticFiles(ROOT / "clients" / "web").serve)
    runner = web.AppRunner(app)
    await runner.setup()
    owned.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"
