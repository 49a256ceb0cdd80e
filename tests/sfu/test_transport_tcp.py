"""The TCP side of the media port, with real sockets, a real engine and real checks."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from aioice import stun

from sfu import clock
from sfu.errors import ConfigError
from sfu.forwarder.contract import Address
from sfu.transport import tcp
from sfu.transport.address import tcp_address
from sfu.transport.framing import MAX_FRAME_BYTES, frame, take_frames
from sfu.transport.tcp import (
    MAX_WAITING_BYTES,
    UNCHECKED_NS,
    UNCHECKED_PACKETS,
    UNHEARD_NS,
    TcpPort,
    open_listener,
)
from tests.sfu.routing import SECOND, Stage, StagePeer
from tests.support.eventually import eventually


class Desk:
    """A stage whose transports can be reached by TCP; what is sent to connections goes there."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.listener = open_listener("127.0.0.1", 0)
        self.taking: dict[Address, tcp.Take] = {}
        self.port = TcpPort(
            self.listener, self.stage.engine, self._divert, self.stage.transports.lose
        )
        self.stage.transports._send = self._send

    def _divert(self, address: Address, take: tcp.Take | None) -> None:
        if take is None:
            del self.taking[address]
        else:
            self.taking[address] = take

    def _send(self, data: bytes, address: Address) -> None:
        take = self.taking.get(address)
        if take is None:
            self.stage.wire.send(data, address)
        else:
            take((data,))

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection(*self.listener.getsockname())
        return Client(reader, writer)


class Client:
    """A peer's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.address: tuple[str, int] = writer.get_extra_info("sockname")
        self.key = tcp_address(*self.address)
        self._stream = bytearray()

    def send(self, data: bytes) -> None:
        self.writer.write(frame([data]))

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            while True:
                packets = take_frames(self._stream)
                if packets:
                    return packets[0]
                data = await self.reader.read(65_536)
                assert data, "the connection was closed"
                self._stream += data

    async def is_closed(self) -> None:
        async with asyncio.timeout(5):
            assert await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    desk.port.start()
    yield desk
    desk.port.stop()
    desk.listener.close()
    assert not desk.taking
    await desk.stage.close()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    client = await desk.connect()
    yield client
    await client.close()


def check_of(peer: StagePeer, *, nominate: bool = True) -> bytes:
    """A binding request as the peer would send it."""
    attributes: dict[str, object] = {
        "USERNAME": f"{peer.field('ice-ufrag')}:{peer.ufrag}",
        "ICE-CONTROLLING": 1,
    }
    if nominate:
        attributes["USE-CANDIDATE"] = None
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, os.urandom(12), attributes)
    message.add_message_integrity(peer.field("ice-pwd").encode())
    return bytes(message)


def is_at(desk: Desk, peer: StagePeer, address: Address) -> bool:
    """Whether the peer's media goes to an address."""
    (home,) = (h for h in desk.stage.router.homes() if h.peer.id == peer.name)
    return desk.stage.engine.holder(address) == home.connection.transport.handle


async def test_check__is_answered_with_the_real_address(desk: Desk, client: Client) -> None:
    peer = desk.stage.peer("an", "mic")
    client.send(check_of(peer))
    answer = stun.parse_message(await client.receive())
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == client.address
    assert is_at(desk, peer, client.key)


async def test_check_in_single_bytes__is_answered(desk: Desk, client: Client) -> None:
    peer = desk.stage.peer("an", "mic")
    for byte in frame([check_of(peer)]):
        client.writer.write(bytes((byte,)))
        await client.writer.drain()
    assert stun.parse_message(await client.receive())


async def test_end_of_the_connection__frees_the_address(desk: Desk, client: Client) -> None:
    peer = desk.stage.peer("an", "mic")
    client.send(check_of(peer))
    await client.receive()
    await client.close()
    await eventually(lambda: "still there" if is_at(desk, peer, client.key) else None)
    peer.check(nominate=False)
    assert is_at(desk, peer, peer.address)


async def test_end_of_a_connection_that_was_left__changes_nothing(
    desk: Desk, client: Client
) -> None:
    peer = desk.stage.peer("an", "mic")
    client.send(check_of(peer))
    await client.receive()
    peer.check()
    assert is_at(desk, peer, peer.address)
    await client.close()
    await eventually(lambda: None if not len(desk.port) else "still open")
    assert is_at(desk, peer, peer.address)


async def test_nomination_over_tcp__waits_while_udp_is_nominated(
    desk: Desk, client: Client
) -> None:
    peer = desk.stage.peer("an", "mic")
    desk.stage.now_ns = clock.now_ns()
    peer.check()
    client.send(check_of(peer))
    await client.receive()
    assert is_at(desk, peer, peer.address)
    desk.stage.now_ns = clock.now_ns() - SECOND
    peer.check()
    client.send(check_of(peer))
    await client.receive()
    assert is_at(desk, peer, client.key)
    peer.check()
    assert is_at(desk, peer, peer.address)


async def test_nomination_over_tcp__while_udp_is_only_checked__is_followed(
    desk: Desk, client: Client
) -> None:
    """A browser under load reaches us over TCP first, and keeps its UDP pair in reserve."""
    peer = desk.stage.peer("an", "mic")
    desk.stage.now_ns = clock.now_ns()
    peer.check(nominate=False)
    client.send(check_of(peer))
    await client.receive()
    assert is_at(desk, peer, client.key)
    peer.check(nominate=False)
    assert is_at(desk, peer, client.key)


async def test_connection_without_a_valid_check__is_closed(desk: Desk, client: Client) -> None:
    peer = desk.stage.peer("an", "mic")
    checked = await desk.connect()
    checked.send(check_of(peer, nominate=False))
    await checked.receive()
    now_ns = clock.now_ns()
    desk.port.watch(now_ns + UNCHECKED_NS - SECOND * 5)
    assert len(desk.port) == 2
    desk.port.watch(now_ns + UNCHECKED_NS + SECOND)
    assert len(desk.port) == 1
    await client.is_closed()
    desk.port.watch(now_ns + UNHEARD_NS + SECOND)
    assert len(desk.port) == 0
    await checked.is_closed()
    await checked.close()


async def test_connection_with_many_checks_of_nobody__is_hung_up_on(
    desk: Desk, client: Client
) -> None:
    check = check_of(desk.stage.peer("an", "mic"))
    for _ in range(UNCHECKED_PACKETS + 1):
        client.send(check[:-1] + bytes((check[-1] ^ 1,)))
    await client.is_closed()
    assert desk.port.received_packets <= UNCHECKED_PACKETS


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!H", MAX_FRAME_BYTES + 1),
        frame([b"GET / HTTP/1.1\r\n\r\n"]),
        frame([b"\x80" + bytes(40)]),
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    ],
)
async def test_stranger__is_hung_up_on_at_once(desk: Desk, client: Client, data: bytes) -> None:
    client.writer.write(data)
    await client.is_closed()
    assert desk.stage.wire.sent == []


async def test_connections_of_one_host__are_limited(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS_PER_HOST", 2)
    clients = [await desk.connect() for _ in range(3)]
    await clients[2].is_closed()
    assert (len(desk.port), desk.port.accepted, desk.port.refused) == (2, 2, 1)
    await clients[0].close()
    await eventually(lambda: None if len(desk.port) == 1 else "still open")
    clients.append(await desk.connect())
    await eventually(lambda: None if len(desk.port) == 2 else "not accepted")
    for client in clients[1:]:
        await client.close()


async def test_peer_that_does_not_read__loses_the_newest_pictures_first(
    desk: Desk, client: Client
) -> None:
    peer = desk.stage.peer("an", "mic")
    client.send(check_of(peer))
    await client.receive()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of asyncio's own
    (take,) = desk.taking.values()
    picture, voice = b"\x80" + bytes(1_199), b"\x80" + bytes(99)
    for _ in range(20_000):
        take((picture,))
        if desk.port.dropped_packets:
            break
    assert desk.port.dropped_packets == 1
    take((voice,))
    assert desk.port.dropped_packets == 1, "voice still has room"
    for _ in range(MAX_WAITING_BYTES // len(voice)):
        take((voice,))
    assert desk.port.dropped_packets > 1, "even voice is bounded"
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert await client.receive() == picture


async def test_peer_that_is_gone__is_found_out_when_it_is_sent_to(desk: Desk) -> None:
    peer = desk.stage.peer("an", "mic")
    client = await desk.connect()
    client.send(check_of(peer))
    await client.receive()
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()
    (take,) = desk.taking.values()
    take((b"\x80" + bytes(40),))
    take((b"\x80" + bytes(40),))
    await eventually(lambda: None if not len(desk.port) else "still open")
    await client.close()


def test_listener__says_in_one_sentence_that_the_port_is_taken() -> None:
    with open_listener("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen with TCP on 127.0.0.1 port {port}"):
            open_listener("127.0.0.1", port)
