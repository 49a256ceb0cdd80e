"""aiortc's DTLS and bandwidth estimator, bent to our transports.

The only file that touches private names of aiortc (its version is pinned). aiortc's
`RTCDtlsTransport` is given an object in the place of its ICE transport that carries DTLS datagrams
only: RTP never enters its chain of awaits. After the handshake its two SRTP sessions go to the
forwarder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, cast

from aiortc import rtcdtlstransport as aiortc_dtls
from aiortc.rate import RemoteBitrateEstimator
from OpenSSL import SSL

from sfu.forwarder.contract import Cipher
from sfu.transport.srtp import SrtpCipher

log = logging.getLogger(__name__)

#: A flight of a handshake is at most a few datagrams; a peer that floods gets the rest dropped.
_MAX_QUEUED_DATAGRAMS = 32
#: From the first datagram of the handshake to its end, over a bad network, with retransmissions.
_HANDSHAKE_S = 30.0
# AES-GCM at 128 bit is the cheapest on hardware with AES; the other is mandatory
# (RFC 8827 §6.5, RFC 5764 §4.1.2).
_PROFILES = [aiortc_dtls.SRTP_AEAD_AES_128_GCM, aiortc_dtls.SRTP_AES128_CM_SHA1_80]


class Certificate:
    """The key pair and self-signed certificate of one process (RFC 8827 §6.5)."""

    def __init__(self) -> None:
        self.native = aiortc_dtls.RTCCertificate.generateCertificate()

    @property
    def fingerprint(self) -> str:
        """SHA-256 as SDP writes it (RFC 8122 §5)."""
        prints = self.native.getFingerprints()
        return next(str(f.value) for f in prints if f.algorithm == "sha-256")


class _DatagramPipe:
    """What `RTCDtlsTransport` uses of an ICE transport."""

    role = "controlled"  # RFC 8445 §6.1.1: a lite agent never controls

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.state = "completed"
        self.first = asyncio.Event()
        self._send_now = send
        self._received: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_QUEUED_DATAGRAMS)

    def feed(self, data: bytes) -> None:
        if self.state == "completed" and not self._received.full():
            self._received.put_nowait(data)
            self.first.set()

    def close(self) -> None:
        self.state = "closed"
        if self._received.full():
            self._received.get_nowait()
        self._received.put_nowait(None)
        self.first.set()

    async def _recv(self) -> bytes:
        data = await self._received.get()
        if data is None:
            raise ConnectionError("the transport is closed")
        return data

    async def _send(self, data: bytes) -> None:
        self._send_now(data)


class DtlsSrtp:
    """The DTLS side of one transport, passive, and the SRTP sessions that come of it.

    Call `feed` with each DTLS datagram. One of the callbacks follows: `on_keys(cipher)` when the
    handshake is done and the peer's certificate has `fingerprint`; `on_broken()` when not; later
    `on_shut()` when the peer closes. `close` ends it and waits for its tasks.
    """

    def __init__(
        self,
        certificate: Certificate,
        fingerprint: str,
        *,
        send: Callable[[bytes], None],
        on_keys: Callable[[Cipher], None],
        on_broken: Callable[[], None],
        on_shut: Callable[[], None],
    ) -> None:
        self._pipe = _DatagramPipe(send)
        self._dtls = aiortc_dtls.RTCDtlsTransport(cast(Any, self._pipe), [certificate.native])
        self._dtls._srtp_profiles = _PROFILES
        self._dtls._set_role("server")
        self._dtls.on("statechange", self._on_state)
        self._remote = aiortc_dtls.RTCDtlsParameters(
            fingerprints=[aiortc_dtls.RTCDtlsFingerprint("sha-256", fingerprint)]
        )
        self._on_keys = on_keys
        self._on_broken = on_broken
        self._on_shut = on_shut
        self._closing = False
        self._task = asyncio.create_task(self._handshake(), name="dtls-handshake")

    def feed(self, data: bytes) -> None:
        """One DTLS datagram from the peer; dropped when too many wait."""
        self._pipe.feed(data)

    async def close(self) -> None:
        """Tell the peer (close_notify), end all tasks."""
        self._closing = True
        self._task.cancel()
        pump: asyncio.Future[None] | None = self._dtls._task
        with contextlib.suppress(SSL.Error):
            await self._dtls.stop()
        self._pipe.close()
        tasks = [task for task in (self._task, pump) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._dtls.remove_all_listeners()

    async def _handshake(self) -> None:
        await self._pipe.first.wait()
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await self._dtls.start(self._remote)
        except (SSL.Error, TimeoutError, ValueError) as error:
            log.info("DTLS handshake failed: %s", type(error).__name__)
        except Exception:  # whatever the peer sent must stay this transport's own trouble
            log.exception("DTLS handshake failed in an unforeseen way")
        if self._closing:
            return
        if self._dtls.state == "connected":
            self._on_keys(SrtpCipher(self._dtls._tx_srtp, self._dtls._rx_srtp))
        else:
            self._on_broken()

    def _on_state(self) -> None:
        if self._dtls.state == "closed" and not self._closing:
            self._on_shut()


class ArrivalEstimator:
    """Estimates from absolute send times what a path carries (draft-ietf-rmcat-gcc-02)."""

    def __init__(self) -> None:
        self._estimator = RemoteBitrateEstimator()

    def add(self, arrival_ms: int, abs_send_time: int, size_bytes: int, ssrc: int) -> int | None:
        """Note one packet; the new estimate in bits a second when there is one."""
        estimate = self._estimator.add(
            arrival_time_ms=arrival_ms,
            abs_send_time=abs_send_time,
            payload_size=size_bytes,
            ssrc=ssrc,
        )
        return None if estimate is None else int(estimate[0])
