"""A bot's transport: one UDP socket with ICE, DTLS and SRTP, without asyncio on the packet path."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from typing import Any, cast

import pylibsrtp
from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
)
from aiortc.rtcicetransport import RTCIceTransport

from load_tests.description import Answer, Credentials
from load_tests.ice import FIRST_RETRY_S, LONGEST_RETRY_S, Agent

CONNECT_TIMEOUT_S = 15.0
_RECEIVE_BUFFER_BYTES = 4 * 1_048_576
_DATAGRAM_BYTES = 2_048
#: Datagrams read in one wake-up, so that no bot starves the others.
_BURST = 64
#: What browsers offer first (RFC 8827 §6.5); one list for every server.
_PROFILES = [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80]


class WireError(Exception):
    """The transport did not come about."""


class Wire:
    """Bound to `host`. `on_srtp(datagram, now_ns)` gets RTP as it came, `on_rtcp(packet, now_ns)`
    RTCP decrypted.
    """

    def __init__(
        self,
        certificate: RTCCertificate,
        host: str,
        on_srtp: Callable[[bytes, int], None],
        on_rtcp: Callable[[bytes, int], None],
    ) -> None:
        self._certificate = certificate
        self._on_srtp = on_srtp
        self._on_rtcp = on_rtcp
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._socket.bind((host, 0))
        self._receive = self._socket.recv
        self._dtls_datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self._dtls: RTCDtlsTransport | None = None
        self._agent: Agent | None = None
        self._remote = ("", 0)
        self._answered = asyncio.Event()
        self._protect: Callable[[bytes], bytes] | None = None
        self._unprotect: Callable[[bytes], bytes] | None = None
        self.address: tuple[str, int] = self._socket.getsockname()
        self.rejected = 0
        self.unsent = 0

    async def connect(self, ours: Credentials, answer: Answer, *, offered: bool) -> None:
        """ICE, then DTLS in the role that the other side leaves; `offered` when we did.

        Raises `WireError`.
        """
        self._socket.connect(answer.address)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        self._remote = answer.address
        self._agent = Agent(ours, answer.credentials, controlling=offered)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._check()
                await self._shake_hands(answer)
        except TimeoutError as error:
            step = "DTLS" if self._agent.connected else "ICE"
            raise WireError(f"{step} not done after {CONNECT_TIMEOUT_S} s") from error

    async def _check(self) -> None:
        assert self._agent is not None
        retry_s = FIRST_RETRY_S
        while not self._answered.is_set():
            self.send(self._agent.request())
            try:
                await asyncio.wait_for(self._answered.wait(), retry_s)
            except TimeoutError:
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    async def _shake_hands(self, answer: Answer) -> None:
        ice = cast(RTCIceTransport, _IceOfWire(self.send, self._dtls_datagrams))
        self._dtls = dtls = RTCDtlsTransport(ice, [self._certificate])
        dtls._srtp_profiles = _PROFILES
        dtls._set_role("server" if answer.setup == "active" else "client")  # RFC 8842 §5.3
        fingerprint = RTCDtlsFingerprint("sha-256", answer.credentials.fingerprint)
        await dtls.start(RTCDtlsParameters([fingerprint]))
        if dtls.state != "connected":
            raise WireError(f"DTLS is {dtls.state}")
        outgoing, incoming = dtls._tx_srtp, dtls._rx_srtp
        self._protect, self._protect_rtcp = outgoing.protect, outgoing.protect_rtcp
        self._unprotect, self._unprotect_rtcp = incoming.unprotect, incoming.unprotect_rtcp

    def protect(self, packet: bytes) -> bytes:
        """Encrypt an RTP packet."""
        assert self._protect is not None, "connect first"
        return self._protect(packet)

    def unprotect(self, datagram: bytes) -> bytes | None:
        """Decrypt an RTP packet; None when it is not authentic, which is counted."""
        assert self._unprotect is not None, "connect first"
        try:
            return self._unprotect(datagram)
        except pylibsrtp.Error:
            self.rejected += 1
            return None

    def send(self, datagram: bytes) -> None:
        """Send what is encrypted, or STUN or DTLS; a full send buffer drops it and counts."""
        try:
            self._socket.send(datagram)
        except OSError as error:
            # ECONNREFUSED is an ICMP answer to an earlier datagram: the server has gone.
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED):
                raise
            self.unsent += 1

    def send_rtcp(self, compound: bytes) -> None:
        """Encrypt and send a compound RTCP packet."""
        self.send(self._protect_rtcp(compound))

    def refresh_consent(self) -> None:
        """Ask for consent again (RFC 7675)."""
        if self._agent is not None:
            self.send(self._agent.request())

    async def close(self) -> None:
        """Say goodbye by DTLS and close the socket."""
        if self._dtls is not None:
            await self._dtls.stop()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._receive(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP answer
            if not data:
                continue
            first = data[0]
            if 128 <= first <= 191 and len(data) > 1:
                self._media(data)
            elif first <= 3 and self._agent is not None:
                reply = self._agent.receive(data, self._remote)
                if reply is not None:
                    self.send(reply)
                if self._agent.connected:
                    self._answered.set()
            elif 20 <= first <= 63:
                self._dtls_datagrams.put_nowait(data)

    def _media(self, data: bytes) -> None:
        if self._unprotect is None:
            return  # the keys are not there yet
        now_ns = time.monotonic_ns()
        if not 64 <= data[1] & 0x7F <= 95:  # RFC 5761 §4
            self._on_srtp(data, now_ns)
            return
        try:
            packet = self._unprotect_rtcp(data)
        except pylibsrtp.Error:
            self.rejected += 1
        else:
            self._on_rtcp(packet, now_ns)


class _IceOfWire:
    """What aiortc's DTLS transport needs of an ICE transport."""

    role = "controlling"
    state = "completed"

    def __init__(self, send: Callable[[bytes], Any], received: asyncio.Queue[bytes]) -> None:
        self._send_now = send
        self._received = received

    async def _send(self, data: bytes) -> None:
        self._send_now(data)

    async def _recv(self) -> bytes:
        return await self._received.get()
