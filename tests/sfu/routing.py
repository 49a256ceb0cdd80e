"""A router on a real engine, and peers with real ICE checks, DTLS and SRTP, on a wire in memory."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from typing import Any

from aioice import stun
from aiortc import rtcdtlstransport as aiortc_dtls

from sfu.control.messages import (
    Commands,
    Events,
    Negotiate,
    Negotiated,
    OpenRoom,
    Permit,
    ReadStatistics,
    Seating,
    SendKind,
    Statistics,
)
from sfu.forwarder.contract import Address
from sfu.forwarder.engine import Engine
from sfu.ids import PeerId, RoomId
from sfu.router.router import Router
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import RtcpPacket, compound, parse_compound
from sfu.transport.table import TransportTable
from tests.sfu.forwarding import Wire
from tests.sfu.offers import Line, offer

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
SECOND = 1_000 * MS
ROOM = RoomId("room")
ALL: tuple[SendKind, ...] = ("audio", "video", "screen")
#: The sections of a peer with one seat.
CALL = ("mic", "cam", "hear", "see")


class Stage:
    """The engine, the transports, the router, and a clock that the test moves."""

    def __init__(self, *, tap_buffer_bytes: int = 1 << 20) -> None:
        self.wire = Wire()
        self.transports = TransportTable(self.wire.send)
        self.engine = Engine(self.transports, self.wire)
        self.events: list[Events] = []
        self.router = Router(
            self.engine,
            self.transports,
            [("192.0.2.7", 40_000)],
            tap_buffer_bytes,
            lambda _, event: self.events.append(event),
        )
        self.transports.attach(self.engine, self.router)
        self.now_ns = START_NS
        self.peers: list[StagePeer] = []
        self.do(OpenRoom(room=ROOM))

    def do(self, command: Commands) -> Any:
        """A command and what follows from it."""
        answer = self.router.handle(command, self.now_ns)
        self.router.settle(self.now_ns)
        return answer

    def permit(
        self,
        peer: str,
        send: tuple[SendKind, ...] = ALL,
        *,
        receive: bool = True,
        version: int = 0,
    ) -> None:
        self.do(Permit(room=ROOM, peer=PeerId(peer), send=send, receive=receive, version=version))

    def peer(self, name: str, *lines: str | Line, permitted: bool = True) -> StagePeer:
        """A peer that has negotiated, not yet connected."""
        if permitted:
            self.permit(name)
        peer = StagePeer(self, name)
        peer.negotiate(*lines)
        self.peers.append(peer)
        return peer

    def receive(self, data: bytes, address: Address) -> None:
        self.engine.receive(data, address, self.now_ns)
        self.engine.flush()

    def statistics(self) -> Statistics:
        answer = self.do(ReadStatistics(room=ROOM))
        assert isinstance(answer, Statistics)
        return answer

    def seating(self, peer: str) -> list[str | None]:
        """Who sits where for a peer, as it was last told."""
        told = [e for e in self.events if isinstance(e, Seating) and e.peer == peer][-1]
        return [seat.source if seat is not None else None for seat in told.seats]

    async def close(self) -> None:
        for peer in self.peers:
            await peer.close()
        await self.router.close(self.now_ns)


class _Pipe:
    """The ICE transport that aiortc's DTLS client believes it has."""

    role = "controlling"
    state = "completed"

    def __init__(self, stage: Stage, address: Address) -> None:
        self._stage = stage
        self._address = address
        self.received: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def _send(self, data: bytes) -> None:
        self._stage.receive(data, self._address)

    async def _recv(self) -> bytes:
        data = await self.received.get()
        if data is None:
            raise ConnectionError
        return data


class StagePeer:
    """A client: its SDP, its checks, its DTLS, its end of SRTP."""

    _ports = 1000

    def __init__(self, stage: Stage, name: str) -> None:
        StagePeer._ports += 1
        self.stage = stage
        self.name = PeerId(name)
        self.address: Address = ("192.0.2.1", StagePeer._ports)
        self.certificate = aiortc_dtls.RTCCertificate.generateCertificate()
        self.ufrag = f"u{StagePeer._ports}"
        self.answer = ""
        self.seats = 0
        self._pipe = _Pipe(stage, self.address)
        self._dtls: Any = None
        self._inbox: list[bytes] = []

    @property
    def fingerprint(self) -> str:
        prints = self.certificate.getFingerprints()
        return next(f.value for f in prints if f.algorithm == "sha-256")

    def negotiate(self, *lines: str | Line, fresh: bool = False, **offered: str) -> Negotiated:
        """Send an offer with these sections and take the answer."""
        offered = {"fingerprint": self.fingerprint, "ufrag": self.ufrag, **offered}
        sdp = offer(*lines, **offered)
        answer = self.stage.do(Negotiate(room=ROOM, peer=self.name, sdp=sdp, fresh=fresh))
        assert isinstance(answer, Negotiated)
        self.answer, self.seats = answer.sdp, answer.seats
        return answer

    def field(self, name: str) -> str:
        """An attribute of the answer."""
        found = re.search(rf"a={name}:(\S+)", self.answer)
        assert found is not None
        return found[1]

    def ssrc(self, seat: int, kind: str) -> int:
        """The SSRC of one of our seats' legs."""
        found = re.search(rf"a=ssrc:(\d+) msid:seat{seat} seat{seat}-{kind}", self.answer)
        assert found is not None
        return int(found[1])

    def check(self, *, password: str | None = None, nominate: bool = True) -> None:
        """A connectivity check from our address."""
        attributes: dict[str, object] = {
            "USERNAME": f"{self.field('ice-ufrag')}:{self.ufrag}",
            "ICE-CONTROLLING": 1,
        }
        if nominate:
            attributes["USE-CANDIDATE"] = None
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, os.urandom(12), attributes)
        message.add_message_integrity((password or self.field("ice-pwd")).encode())
        self.stage.receive(bytes(message), self.address)

    async def connect(self, *, fingerprint: str | None = None) -> StagePeer:
        """Check the path and shake hands."""
        self.check()
        self._dtls = aiortc_dtls.RTCDtlsTransport(self._pipe, [self.certificate])  # type: ignore[arg-type]
        self._dtls._set_role("client")
        value = fingerprint or self.answer.split("a=fingerprint:sha-256 ")[1].split()[0]
        remote = aiortc_dtls.RTCDtlsParameters([aiortc_dtls.RTCDtlsFingerprint("sha-256", value)])
        handshake = asyncio.ensure_future(self._dtls.start(remote))
        await self._carry_until(handshake.done)
        await handshake
        return self

    async def connected(self) -> StagePeer:
        """`connect`, and our side knows it too."""
        await self.connect()

        def is_connected() -> bool:
            rows = [r for r in self.stage.statistics().transports if r.peer == self.name]
            return rows[0].state == "connected"

        await self._carry_until(is_connected)
        return self

    async def _carry_until(self, done: Callable[[], bool]) -> None:
        """Carry datagrams to and fro, a turn of the loop for each, until `done`."""
        async with asyncio.timeout(10):
            while not done():
                self._sort()
                await asyncio.sleep(0)

    def send(self, packet: RtpPacket) -> None:
        """An RTP packet through our SRTP."""
        self.stage.receive(self._dtls._tx_srtp.protect(bytes(packet)), self.address)

    def report(self, *packets: RtcpPacket) -> None:
        """A compound RTCP packet through our SRTP."""
        self.stage.receive(self._dtls._tx_srtp.protect_rtcp(compound(packets)), self.address)

    def received(self) -> list[RtpPacket]:
        """RTP that came since the last call."""
        return [RtpPacket.parse(self._dtls._rx_srtp.unprotect(d)) for d in self._take(rtcp=False)]

    def told(self, kind: type | None = None) -> list[Any]:
        """RTCP packets that came since the last call, all or of one kind."""
        packets: list[RtcpPacket] = []
        for data in self._take(rtcp=True):
            packets += parse_compound(self._dtls._rx_srtp.unprotect_rtcp(data))
        return [p for p in packets if kind is None or isinstance(p, kind)]

    async def close(self) -> None:
        if self._dtls is not None:
            task = self._dtls._task
            await self._dtls.stop()
            self._pipe.received.put_nowait(None)
            if task is not None:
                await asyncio.gather(task, return_exceptions=True)

    def _sort(self) -> None:
        """Hand DTLS to the handshake and keep the rest."""
        mine = [data for address, data in self.stage.wire.sent if address == self.address]
        self.stage.wire.sent = [s for s in self.stage.wire.sent if s[0] != self.address]
        for data in mine:
            if 20 <= data[0] <= 63:
                self._pipe.received.put_nowait(data)
            else:
                self._inbox.append(data)

    def _take(self, *, rtcp: bool) -> list[bytes]:
        self._sort()
        media = [d for d in self._inbox if d[0] >= 128]
        taken = [d for d in media if (64 <= d[1] & 0x7F <= 95) is rtcp]
        self._inbox = [d for d in self._inbox if d not in taken]
        return taken


def voice(sequence: int, *, ssrc: int = 11, level: int = 127) -> RtpPacket:
    """An Opus packet with its audio level (header extension 1) and MID (4)."""
    extension = bytes((0x10, level, 0x40, ord("0")))
    return RtpPacket(111, sequence, sequence * 960, ssrc, b"opus", False, (), 0xBEDE, extension)


def picture(sequence: int, *, ssrc: int = 21, key: bool = False, mid: str = "1") -> RtpPacket:
    """A VP8 frame of one packet with its MID (header extension 4)."""
    payload = bytes((0x10, 0x00 if key else 0x01)) + b"frame"
    extension = bytes((0x40, ord(mid), 0, 0))
    return RtpPacket(96, sequence, sequence * 3000, ssrc, payload, True, (), 0xBEDE, extension)
