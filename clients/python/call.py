"""The media of a session: one aiortc PeerConnection that offers what it sends, and seats.

async with Call(session, audio=Tone(440.0), seats=2) as call:
    await call.connected()
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av.frame import Frame
from av.packet import Packet

from clients.python.address import is_loopback
from clients.python.backoff import delays_s
from clients.python.errors import Disconnected, MediaFailed, Refused, SessionOver
from clients.python.loopback import gather_loopback
from clients.python.sdp import mark_slides
from clients.python.seats import OnAudio, OnVideo, Seat
from clients.python.signalling import Signalling
from clients.python.statistics import Statistics
from signaling.protocol.messages import (
    MediaConnection,
    MediaState,
    OfferWanted,
    Seating,
    ServerMessage,
)

#: As many as the server seats (design: more pictures than this are not legible on one screen).
MAX_SEATS = 16
CONNECT_TIMEOUT_S = 10.0
STATISTICS_EVERY_S = 1.0

logger = logging.getLogger(__name__)


class Call:
    """Sends the given tracks and receives on seats. Enter it once the person is admitted.

    It offers again by itself: with more seats when the server wants more (up to `max_seats`), when
    it wants another answer given, and on a new PeerConnection when the old one failed or the server
    lost it, after growing pauses. On hold it keeps the PeerConnection, and offers what is due when
    the person is brought back. Once a second it reports how the connection does. aiortc cannot
    restart ICE: while the path is gone it waits for it, until it has failed. It owns the tracks:
    leaving the block stops them. `on_audio` and `on_video` get each decoded frame; be brief there.
    """

    def __init__(
        self,
        session: Signalling,
        *,
        audio: MediaStreamTrack | None = None,
        video: MediaStreamTrack | None = None,
        screen: MediaStreamTrack | None = None,
        seats: int = 1,
        max_seats: int = MAX_SEATS,
        on_audio: OnAudio | None = None,
        on_video: OnVideo | None = None,
    ) -> None:
        self._session = session
        self._sources = {"audio": audio, "video": video, "screen": screen}
        self._wanted_seats = seats
        self._max_seats = max_seats
        self._hear = (on_audio, on_video)
        self._peer_connection: RTCPeerConnection | None = None
        self._screen_index: int | None = None
        self._work = asyncio.Event()
        self._state_changed = asyncio.Event()
        self._replace = True
        self._pauses_s = delays_s(random.SystemRandom())
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._camera_frames = 0
        self._unlisten = session.listen(self._on_message)
        #: What is received, by seat.
        self.seats: list[Seat] = []

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
        except BaseException:
            await self.close()
            raise
        return self

    async def _begin(self) -> None:
        await self._negotiate()
        await self._session.request(
            MediaState(
                audio=self._sources["audio"] is not None,
                video=self._sources["video"] is not None,
                screen=self._sources["screen"] is not None,
            )
        )
        self._tasks = (
            asyncio.create_task(self._keep(), name="call keep"),
            asyncio.create_task(self._report(), name="call report"),
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop sending and receiving, and stop the tracks that were given."""
        self._unlisten()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = ()
        await self._drop()
        for track in self._sources.values():
            if track is not None:
                track.stop()

    async def connected(self, *, within_s: float = CONNECT_TIMEOUT_S) -> None:
        """Wait until media can flow. Raises `MediaFailed`."""
        try:
            async with asyncio.timeout(within_s):
                while self.state != "connected":
                    self._state_changed.clear()
                    await self._state_changed.wait()
        except TimeoutError as error:
            raise MediaFailed(f"still {self.state} after {within_s} s") from error

    @property
    def state(self) -> str:
        """As RTCPeerConnection.connectionState; ``new`` while there is none."""
        return str(self._peer_connection.connectionState) if self._peer_connection else "new"

    # -------------------------------------------------------- negotiation

    def _on_message(self, message: ServerMessage) -> None:
        match message:
            case Seating():
                wanted = min(message.wanted, self._max_seats)
                if wanted > self._wanted_seats:
                    self._wanted_seats = wanted
                    self._work.set()
            case OfferWanted():
                self._work.set()
            case MediaConnection(state="failed" | "closed" | "renegotiate"):
                self._replace = True
                self._work.set()

    def _on_state(self) -> None:
        self._state_changed.set()
        if self.state == "connected":
            self._pauses_s = delays_s(random.SystemRandom())
        if self.state == "failed":
            self._replace = True
            self._work.set()

    async def _keep(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            if self._replace:
                await asyncio.sleep(next(self._pauses_s))
            try:
                await self._session.until(lambda room: room.my_state == "admitted", within_s=None)
                await self._negotiate()
            except SessionOver:
                return
            except (Disconnected, Refused, TimeoutError) as error:
                logger.info("the offer failed, again after a pause: %s", error)
            except Exception:
                # What aiortc raises here is not documented; the next PeerConnection may do better.
                logger.exception("the offer failed, again after a pause")
            else:
                continue
            self._replace = True  # the half-made offer cannot be taken back in aiortc
            self._work.set()

    async def _report(self) -> None:
        statistics = Statistics()
        while self._session.over is None:
            await asyncio.sleep(STATISTICS_EVERY_S)
            peer_connection = self._peer_connection
            if peer_connection is None or self.state != "connected":
                continue
            has_camera = self._sources["video"] is not None
            try:
                stats = await statistics.read(
                    peer_connection,
                    self.seats,
                    microphone="on" if self._sources["audio"] is not None else "off",
                    camera="on" if has_camera else "off",
                    camera_frames=self._camera_frames if has_camera else None,
                )
                await self._session.tell(stats)
            except Exception:
                # What aiortc raises here is not documented; one report less is nothing.
                logger.exception("a report is left out")

    async def _negotiate(self) -> None:
        fresh = self._replace
        self._replace = False
        if fresh:
            await self._drop()
            self._peer_connection = self._new_peer_connection()
        peer_connection = self._peer_connection
        assert peer_connection is not None
        self._add_seats(peer_connection)
        await peer_connection.setLocalDescription(await peer_connection.createOffer())
        answer = await self._session.offer(self._offer_text(peer_connection), fresh=fresh)
        await peer_connection.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        self._read_seats(peer_connection)

    def _new_peer_connection(self) -> RTCPeerConnection:
        servers = [
            RTCIceServer(list(s.urls), s.username or None, s.credential or None)
            for s in self._session.room.joined.ice_servers
        ]
        peer_connection = RTCPeerConnection(
            # Without a list aiortc asks a public STUN server.
            RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        peer_connection.on("connectionstatechange", self._on_state)
        self._screen_index = None
        for name, track in self._sources.items():
            if track is not None:
                if name == "screen":
                    self._screen_index = len(peer_connection.getTransceivers())
                count = self._count_frame if name == "video" else None
                peer_connection.addTransceiver(_Borrowed(track, count), direction="sendonly")
        return peer_connection

    def _count_frame(self) -> None:
        self._camera_frames += 1

    def _add_seats(self, peer_connection: RTCPeerConnection) -> None:
        while len(self.seats) < self._wanted_seats:
            peer_connection.addTransceiver("audio", direction="recvonly")
            peer_connection.addTransceiver("video", direction="recvonly")
            self.seats.append(Seat(len(self.seats), *self._hear))
        if is_loopback(self._session.url) and peer_connection.iceGatheringState == "new":
            gather_loopback(peer_connection)

    def _offer_text(self, peer_connection: RTCPeerConnection) -> str:
        sdp = str(peer_connection.localDescription.sdp)
        if self._screen_index is None:
            return sdp
        mid = peer_connection.getTransceivers()[self._screen_index].mid
        assert mid is not None, "the local description gave it one"
        return mark_slides(sdp, mid)

    def _read_seats(self, peer_connection: RTCPeerConnection) -> None:
        received = [t for t in peer_connection.getTransceivers() if t.direction == "recvonly"]
        for position, transceiver in enumerate(received):
            seat = self.seats[position // 2]
            seat.read(transceiver.receiver.track)

    async def _drop(self) -> None:
        peer_connection, self._peer_connection = self._peer_connection, None
        seats, self.seats = self.seats, []
        for seat in seats:
            await seat.close()
        if peer_connection is not None:
            await peer_connection.close()


class _Borrowed(MediaStreamTrack):
    """A track for one PeerConnection, which stops its tracks: the one behind it goes on."""

    def __init__(self, source: MediaStreamTrack, count: Callable[[], None] | None) -> None:
        super().__init__()
        self.kind = source.kind
        self._source = source
        self._count = count

    async def recv(self) -> Frame | Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        frame = await self._source.recv()
        if self._count is not None:
            self._count()
        return frame
