"""The other end of a browser's call in its shortest form: takes packets, gives feedback."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page

from sfu.forwarder.contract import Cipher
from sfu.rtp.demux import Protocol, classify
from sfu.rtp.extensions import value
from sfu.rtp.packet import payload_bounds
from sfu.rtp.transport_cc import TICK_NS, TransportFeedback
from sfu.transport.aiortc_adapter import Certificate, DtlsSrtp
from sfu.transport.answer import Local, SeatSsrcs, build_answer
from sfu.transport.description import TRANSPORT_CC_URI, Offer, parse_offer
from sfu.transport.stun import authenticate, binding_response
from tests.support.offering import take_answer

#: Of <asm-generic/socket.h>: when the kernel got a datagram. Our own clock is read too late, and
#: the browser would take that for a busy path.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
_FEEDBACK_S = 0.05


class Taker:
    """The other side of one page's connection: keeps each RTP packet that it gets, decrypted."""

    def __init__(self, offer: Offer) -> None:
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(16)
        self.certificate = Certificate()
        self.packets: list[bytes] = []
        self._offer = offer
        self._arrivals: dict[int, int] = {}
        self._feedbacks = 0
        self._cipher: Cipher | None = None
        self._address: tuple[str, int] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        self._dtls = DtlsSrtp(
            self.certificate,
            offer.fingerprint,
            send=self._send,
            on_keys=self._keys,
            on_broken=lambda: None,
            on_shut=lambda: None,
        )

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()
        return host, port

    async def close(self) -> None:
        """End the call."""
        await self._dtls.close()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _keys(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def _send(self, data: bytes) -> None:
        if self._address is not None:
            self._socket.sendto(data, self._address)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, address = self._socket.recvmsg(2048, 64)
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                self._receive(data, address, seconds * 1_000_000_000 + nanoseconds)

    def _receive(self, data: bytes, address: tuple[str, int], now_ns: int) -> None:
        kind = classify(data)
        if kind is Protocol.STUN:
            request = authenticate(data, self.password)
            if request is not None:
                self._address = address
                self._send(binding_response(request, address, self.password))
        elif kind is Protocol.DTLS:
            self._dtls.feed(data)
        elif kind is Protocol.RTP and self._cipher is not None:
            self._take(self._cipher.unprotect(data), now_ns)

    def _take(self, packet: bytes, now_ns: int) -> None:
        for section in self._offer.sections:
            number = value(packet, section.extensions.get(TRANSPORT_CC_URI, 0))
            if number is not None:
                self._arrivals[int.from_bytes(number, "big")] = now_ns
                break
        start, end = payload_bounds(packet)
        if start < end:
            self.packets.append(packet)

    def feed_back(self) -> None:
        """Tell the page what arrived since the last time."""
        if not self._arrivals or not self.packets or self._cipher is None:
            return
        arrivals, self._arrivals = self._arrivals, {}
        base = min(arrivals)
        reference = min(arrivals.values()) // 64_000_000
        order = sorted(arrivals)
        feedback = TransportFeedback(
            sender_ssrc=1,
            # Chromium reads no feedback but about an SSRC that it sends with.
            media_ssrc=int.from_bytes(self.packets[-1][8:12], "big"),
            base_sequence=base,
            feedback_count=self._feedbacks & 0xFF,
            reference_time=reference & 0xFFFFFF,
            status_count=order[-1] - base + 1,
            offsets=tuple(number - base for number in order),
            ticks=tuple((arrivals[n] - reference * 64_000_000) // TICK_NS for n in order),
        )
        self._feedbacks += 1
        empty_report = bytes.fromhex("80c9000100000001")
        self._send(self._cipher.protect_rtcp(empty_report + bytes(feedback)))

    async def feed_back_for_ever(self) -> None:
        """A feedback packet each 50 ms."""
        while True:
            await asyncio.sleep(_FEEDBACK_S)
            self.feed_back()


@asynccontextmanager
async def taking(page: Page, text: str, *, saver: bool = False) -> AsyncIterator[Taker]:
    """Answer a page's offer and take what it sends."""
    offer = parse_offer(text)
    taker = Taker(offer)
    seats = tuple(SeatSsrcs(3 * n + 1, 3 * n + 2, 3 * n + 3) for n in range(len(offer.seats())))
    fingerprint = taker.certificate.fingerprint
    await take_answer(
        page,
        build_answer(
            offer,
            Local(
                1,
                1,
                taker.ufrag,
                taker.password,
                fingerprint,
                (taker.address,),
                seats,
                saver=saver,
            ),
        ),
    )
    feedback = asyncio.create_task(taker.feed_back_for_ever())
    try:
        yield taker
    finally:
        feedback.cancel()
        await asyncio.gather(feedback, return_exceptions=True)
        await taker.close()
