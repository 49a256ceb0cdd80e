"""The SFUs that this process speaks to: which of them takes a room, and what each is told.

`Media` knows SFUs by control URL and rooms by id; it keeps no room state. Its owner tells it the
effects of each change (`carry_out`), and everything again when `on_connected` says that an SFU is
there anew. Commands carry the room's version, so a late one undoes nothing (`sfu.control`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from sfu.control.client import SfuClient, SfuFailure, SfuUnavailable
from sfu.control.messages import (
    CloseRoom,
    Commands,
    Events,
    Flows,
    Layers,
    Load,
    MediaState,
    Negotiate,
    Negotiated,
    OfferWanted,
    OpenRoom,
    PeerTransport,
    Permit,
    Pictures,
    ReadStatistics,
    RemovePeer,
    Reply,
    Seating,
    SeatView,
    Speakers,
    StartTap,
    Statistics,
    StopTap,
    TapEnded,
    View,
)
from sfu.ids import PeerId, RoomId, SourceId, TapId
from signaling.errors import RequestError, ServerError
from signaling.protocol import messages
from signaling.protocol.codes import ErrorCode
from signaling.rooms import effects

log = logging.getLogger(__name__)

RoomEvent = PeerTransport | Seating | Speakers | Layers | Pictures | OfferWanted | Flows | TapEnded
MediaEffect = (
    effects.SetPermit
    | effects.RemovePeer
    | effects.SetTap
    | effects.StopTap
    | effects.CloseMedia
    | effects.TellMedia
)


class MediaUnavailable(ServerError):
    """No SFU did what was asked: none is there, it did not answer, or it refused."""

    def __init__(self, detail: str = "", code: ErrorCode = ErrorCode.MEDIA_UNAVAILABLE) -> None:
        super().__init__(code, detail)


class MediaBusy(MediaUnavailable):
    """The SFU has too much to do to take another room; those that it has go on."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, ErrorCode.MEDIA_BUSY)


class OfferRefused(RequestError):
    """The SFU cannot accept the client's SDP offer."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ErrorCode.BAD_OFFER, detail)


class RoomForgotten(MediaUnavailable):
    """The SFU does not know the room or the peer: tell it all again, then ask again."""


class _Sfu:
    """One SFU: its client, its last word on its load, and the rooms opened on this connection."""

    def __init__(self, client: SfuClient) -> None:
        self.client = client
        self.load: Load | None = None
        self.opened: set[str] = set()
        self.opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class Media:
    """Speaks to any number of SFUs. Call `use`, then the rest, then `close`.

    `on_event(url, event)` gets each event of a room that was opened; `on_connected(url)` is called
    after each connect: whatever should be so on that SFU must be told again. `on_new(url, room)` is
    called when a room is about to be opened where nothing is known of it: when it was there before,
    that was another process, and its peers and taps are gone.
    """

    def __init__(
        self,
        secret: str,
        on_event: Callable[[str, RoomEvent], None],
        on_connected: Callable[[str], None],
        on_new: Callable[[str, str], None],
    ) -> None:
        self._secret = secret
        self._on_event = on_event
        self._on_connected = on_connected
        self._on_new = on_new
        self._sfus: dict[str, _Sfu] = {}

    async def use(self, urls: Iterable[str]) -> None:
        """Speak to these SFUs from now on, and to no other."""
        wanted = set(urls)
        for url in self._sfus.keys() - wanted:
            await self._sfus.pop(url).client.close()
        for url in wanted - self._sfus.keys():
            sfu = _Sfu(self._client(url))
            self._sfus[url] = sfu
            await sfu.client.start()

    async def close(self) -> None:
        """Disconnect from all; media goes on."""
        await self.use(())

    def connected(self, url: str) -> bool:
        """Whether that SFU can be spoken to now."""
        sfu = self._sfus.get(url)
        return sfu is not None and sfu.client.connected

    def serving(self) -> tuple[str, ...]:
        """The SFUs that can be spoken to now: the least loaded first, those too busy last."""
        there = [(url, sfu) for url, sfu in self._sfus.items() if sfu.client.connected]
        return tuple(url for url, sfu in sorted(there, key=_burden))

    def load(self, url: str) -> float:
        """The CPU share that an SFU last told, 0 when it has not told any."""
        sfu = self._sfus.get(url)
        return sfu.load.cpu if sfu is not None and sfu.load is not None else 0.0

    def busy(self) -> int:
        """How many of the SFUs that can be spoken to say that they take no more rooms."""
        return sum(
            1
            for sfu in self._sfus.values()
            if sfu.client.connected and sfu.load is not None and sfu.load.busy
        )

    async def make(self, url: str, room: str) -> None:
        """Have that SFU take the room, which may still get another host: `open` it when it has
        this one, `unmake` it when not. Raises `MediaBusy`, `MediaUnavailable`."""
        await self._ask(url, OpenRoom(room=RoomId(room)))

    async def unmake(self, url: str, room: str) -> None:
        """The room got another host. Raises `MediaUnavailable`."""
        await self._ask(url, CloseRoom(room=RoomId(room)))

    async def open(self, url: str, room: str) -> None:
        """Have the room there, and its events here. Raises `MediaUnavailable`."""
        sfu = self._sfus.get(url)
        if sfu is None or not sfu.client.connected:
            raise MediaUnavailable("the room's SFU is not connected")
        opened = sfu.opened
        if room in opened:
            return
        async with sfu.opening.setdefault(room, asyncio.Lock()):
            if room in opened:
                return
            if await self.peers_with_transport(url, room) is None:
                self._on_new(url, room)
            await self._ask(url, OpenRoom(room=RoomId(room)))
            opened.add(room)

    def forget(self, room: str) -> None:
        """Nobody here is in the room any more, or its SFU lost it: open it again before the next
        use."""
        for sfu in self._sfus.values():
            sfu.opened.discard(room)

    async def carry_out(self, url: str, room: str, effect: MediaEffect) -> None:
        """Tell the room's SFU one effect. Raises `MediaUnavailable` (`RoomForgotten`)."""
        if not isinstance(effect, effects.CloseMedia | effects.StopTap):
            await self.open(url, room)
        await self._ask(url, _command(room, effect))

    async def negotiate(
        self, url: str, room: str, participant: str, offer: messages.Offer
    ) -> Negotiated:
        """Take a client's offer there and bring the answer.

        Raises `OfferRefused`, `MediaUnavailable` (`RoomForgotten`).
        """
        await self.open(url, room)
        answer = await self._ask(
            url,
            Negotiate(
                room=RoomId(room),
                peer=PeerId(participant),
                sdp=offer.sdp,
                fresh=offer.fresh,
                saver=offer.saver,
            ),
        )
        if not isinstance(answer, Negotiated):
            raise MediaUnavailable("the SFU answered an offer with something else")
        return answer

    async def view(self, url: str, room: str, participant: str, view: messages.View) -> None:
        """Tell how a client draws its seats. Raises `MediaUnavailable` (`RoomForgotten`)."""
        await self.open(url, room)
        seats = tuple(SeatView(seat=seat.seat, height_px=seat.height_px) for seat in view.seats)
        pinned = tuple(SourceId(source) for source in view.pinned)
        await self._ask(
            url, View(room=RoomId(room), peer=PeerId(participant), seats=seats, pinned=pinned)
        )

    async def peers_with_transport(self, url: str, room: str) -> frozenset[str] | None:
        """Who of the room has a transport there; None when the SFU does not know the room.

        Raises `MediaUnavailable`.
        """
        try:
            answer = await self._ask(url, ReadStatistics(room=RoomId(room)))
        except RoomForgotten:
            return None
        if not isinstance(answer, Statistics):
            raise MediaUnavailable("the SFU answered with something else than statistics")
        return frozenset(row.peer for row in answer.transports)

    def tap_url(self, url: str, recording: str) -> str:
        """Where a recorder reads the tap of a recording on that SFU."""
        return f"{url.removesuffix('/control')}/tap/{recording}"

    async def _ask(self, url: str, command: Commands) -> Reply | Negotiated | Statistics:
        sfu = self._sfus.get(url)
        if sfu is None:
            raise MediaUnavailable("the room's SFU is not known")
        try:
            return await sfu.client.request(command)
        except SfuUnavailable as error:
            raise MediaUnavailable(str(error)) from error
        except SfuFailure as error:
            if error.code == "bad_offer":
                raise OfferRefused(error.detail) from error
            if error.code == "busy":
                raise MediaBusy("the SFU takes no more rooms") from error
            if error.code in ("unknown_room", "unknown_peer"):
                raise RoomForgotten(error.code) from error
            raise MediaUnavailable(f"the SFU refused: {error.code}") from error

    def _client(self, url: str) -> SfuClient:
        return SfuClient(
            url,
            self._secret,
            lambda event: self._take(url, event),
            lambda connected: self._state(url, connected),
        )

    def _take(self, url: str, event: Events) -> None:
        if isinstance(event, Load):
            sfu = self._sfus.get(url)
            if sfu is not None:
                sfu.load = event
            return
        self._on_event(url, event)

    def _state(self, url: str, connected: bool) -> None:
        sfu = self._sfus.get(url)
        if sfu is None:
            return
        sfu.opened = set()
        sfu.load = None
        log.info("SFU %s", "connected" if connected else "lost")
        if connected:
            self._on_connected(url)


def _burden(entry: tuple[str, _Sfu]) -> tuple[bool, float, int, int, str]:
    """Too busy last, least loaded first; rooms opened from here count at once, before the SFU tells
    its load."""
    url, sfu = entry
    load = sfu.load
    if load is None:
        return (False, 0.0, len(sfu.opened), 0, url)
    return (load.busy, round(load.cpu, 1), max(load.rooms, len(sfu.opened)), load.peers, url)


def _command(room: str, effect: MediaEffect) -> Commands:
    room_id = RoomId(room)
    match effect:
        case effects.SetPermit():
            return Permit(
                room=room_id,
                peer=PeerId(effect.participant),
                version=effect.version,
                send=effect.send,
                receive=effect.receive,
            )
        case effects.RemovePeer():
            return RemovePeer(room=room_id, peer=PeerId(effect.participant))
        case effects.SetTap():
            return StartTap(
                room=room_id,
                tap=TapId(effect.recording),
                version=effect.version,
                peers=tuple(PeerId(peer) for peer in effect.peers),
            )
        case effects.StopTap():
            return StopTap(tap=TapId(effect.recording))
        case effects.TellMedia():
            media = effect.media
            return MediaState(
                room=room_id,
                peer=PeerId(effect.participant),
                audio=media.audio,
                video=media.video,
                screen=media.screen,
            )
        case effects.CloseMedia():
            return CloseRoom(room=room_id)
