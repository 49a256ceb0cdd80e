from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiortc import rtcdtlstransport as aiortc_dtls

from sfu.forwarder.contract import Cipher
from sfu.transport.aiortc_adapter import ArrivalEstimator, Certificate, DtlsSrtp
from tests.support.eventually import eventually

CERTIFICATE = Certificate()


class Client:
    """aiortc's own DTLS client on a pipe in memory; `lose` datagrams of ours are lost first."""

    role = "controlling"
    state = "completed"

    def __init__(self, *, lose: int = 0) -> None:
        self.certificate = aiortc_dtls.RTCCertificate.generateCertificate()
        self.received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.server: DtlsSrtp | None = None
        self.lose = lose
        self.dtls = aiortc_dtls.RTCDtlsTransport(self, [self.certificate])  # type: ignore[arg-type]
        self.dtls._set_role("client")

    @property
    def fingerprint(self) -> str:
        return next(f.value for f in self.certificate.getFingerprints() if f.algorithm == "sha-256")

    def from_server(self, data: bytes) -> None:
        if self.lose:
            self.lose -= 1
        else:
            self.received.put_nowait(data)

    async def _send(self, data: bytes) -> None:
        if self.server is not None:
            self.server.feed(data)

    async def _recv(self) -> bytes:
        data = await self.received.get()
        if data is None:
            raise ConnectionError
        return data

    async def start(self) -> None:
        remote = aiortc_dtls.RTCDtlsFingerprint("sha-256", CERTIFICATE.fingerprint)
        await self.dtls.start(aiortc_dtls.RTCDtlsParameters([remote]))

    async def stop(self) -> None:
        task = self.dtls._task
        await self.dtls.stop()
        self.received.put_nowait(None)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)


class Heard:
    """What the adapter said."""

    def __init__(self) -> None:
        self.ciphers: list[Cipher] = []
        self.said: list[str] = []

    def serve(self, client: Client, fingerprint: str) -> DtlsSrtp:
        client.server = DtlsSrtp(
            CERTIFICATE,
            fingerprint,
            send=client.from_server,
            on_keys=self.ciphers.append,
            on_broken=lambda: self.said.append("broken"),
            on_shut=lambda: self.said.append("shut"),
        )
        return client.server


async def test_handshake__gives_a_cipher_that_fits_the_peers() -> None:
    client, heard = Client(), Heard()
    server = heard.serve(client, client.fingerprint)
    await client.start()
    await eventually(lambda: None if heard.ciphers else "no keys yet")
    (cipher,) = heard.ciphers
    packet = bytes((0x80, 111, 0, 1)) + bytes(8) + b"payload"
    peer: Any = client.dtls
    assert peer._rx_srtp.unprotect(cipher.protect(packet)) == packet
    assert cipher.unprotect(peer._tx_srtp.protect(packet)) == packet
    report = bytes((0x80, 201, 0, 1, 0, 0, 0, 1))
    assert peer._rx_srtp.unprotect_rtcp(cipher.protect_rtcp(report)) == report
    # AES-GCM adds a tag of 16 bytes, the other profile one of 10.
    assert len(cipher.protect(bytes((0x80, 111, 0, 2)) + packet[4:])) == len(packet) + 16
    await client.stop()
    await eventually(lambda: None if heard.said == ["shut"] else f"heard {heard.said}")
    await server.close()


async def test_repeated_packet__is_encrypted_again() -> None:
    client, heard = Client(), Heard()
    server = heard.serve(client, client.fingerprint)
    await client.start()
    await eventually(lambda: None if heard.ciphers else "no keys yet")
    packet = bytes((0x80, 111, 0, 1)) + bytes(8) + b"payload"
    assert heard.ciphers[0].protect(packet) == heard.ciphers[0].protect(packet)
    await server.close()
    await client.stop()


async def test_lost_flight__is_sent_again() -> None:
    client, heard = Client(lose=1), Heard()
    server = heard.serve(client, client.fingerprint)
    await client.start()
    await eventually(lambda: None if heard.ciphers else "no keys yet")
    assert client.lose == 0
    await server.close()
    await client.stop()


async def test_wrong_fingerprint__is_broken_and_gives_no_keys() -> None:
    client, heard = Client(), Heard()
    server = heard.serve(client, ":".join(["00"] * 32))
    await client.start()
    await eventually(lambda: None if heard.said else "nothing said yet")
    assert heard.said == ["broken"]
    assert heard.ciphers == []
    await server.close()
    await client.stop()


async def test_garbage__then_a_handshake() -> None:
    client, heard = Client(), Heard()
    server = heard.serve(client, client.fingerprint)
    for size in (1, 13, 14, 200):
        server.feed(b"\x16" * size)
    await client.start()
    await eventually(lambda: None if heard.ciphers else "no keys yet")
    await server.close()
    await client.stop()


@pytest.mark.parametrize("datagrams", [0, 1, 100])
async def test_close__before_the_handshake_is_done__leaves_nothing(datagrams: int) -> None:
    client, heard = Client(), Heard()
    server = heard.serve(client, client.fingerprint)
    for _ in range(datagrams):
        server.feed(b"\x16" * 20)
    await server.close()
    server.feed(b"\x16" * 20)
    assert heard.said == []
    assert heard.ciphers == []


def test_estimator__of_a_steady_flow__gives_a_rate_near_it() -> None:
    estimator = ArrivalEstimator()
    estimates = []
    for packet in range(2000):  # 10 ms apart, 1250 bytes: 1 Mb/s
        send_time = packet * (1 << 18) // 100 % (1 << 24)
        found = estimator.add(packet * 10, send_time, 1250, 1)
        estimates += [found] if found is not None else []
    assert 800_000 < estimates[-1] < 3_000_000
