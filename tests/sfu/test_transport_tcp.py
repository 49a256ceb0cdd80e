"""The TCP side of the media port, with real sockets, a real engine and real checks."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator

import pytest
from aioice import stun

from sfu import clock
from sfu.control.messages import CloseRoom
from sfu.errors import ConfigError
from sfu.forwarder.address import tcp_address
from sfu.forwarder.contract import Address
from sfu.forwarder.switchboard import MAX_ELSEWHERE
from sfu.transport import tcp
from sfu.transport.framing import MAX_FRAME_BYTES, frame, take_frames
from sfu.transport.tcp import (
    MAX_WAITING_BYTES,
    UNCHECKED_NS,
    UNCHECKED_PACKETS,
    UNHEARD_NS,
    TcpPort,
    network_of,
    open_listener,
)
from tests.sfu.routing import ROOM, SECOND, Stage, StagePeer
from tests.support.eventually import eventually

#: linux/sockios.h: bytes of a TCP socket that were not sent yet.
SIOCOUTQNSD = 0x894B


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

    async def connect(self, host: str = "127.0.0.1") -> Client:
        reader, writer = await asyncio.open_connection(
            *self.listener.getsockname(), local_addr=(host, 0)
        )
        return Client(reader, writer)


class Client:
    """A peer's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.address: tuple[str, int] = writer.get_extra_info("sockname")
        self.key = tcp_address(*self.address)
        self._stream = bytearray()
        self._packets: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        self.writer.write(frame([data]))

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            while not self._packets:
                data = await self.reader.read(65_536)
                assert data, "the connection was closed"
                self._stream += data
                self._packets += take_frames(self._stream)
        return self._packets.popleft()

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


async def test_connections_of_one_peer__are_few_and_end_with_it(desk: Desk) -> None:
    peer = desk.stage.peer("an", "mic")
    clients = [await desk.connect() for _ in range(MAX_ELSEWHERE + 3)]
    for client in clients:
        client.send(check_of(peer))
        await client.receive()
    desk.port.watch(clock.now_ns())
    kept = {client.key for client in clients[2:]}
    assert set(desk.taking) == kept, "the newest, one of them nominated"
    desk.stage.do(CloseRoom(room=ROOM))
    desk.port.watch(clock.now_ns())
    assert len(desk.port) == 0
    for client in clients:
        await client.is_closed()
        await client.close()


async def test_connection_that_floods__is_hung_up_on(
    desk: Desk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_PACKETS_PER_S", 100)
    client.send(check_of(desk.stage.peer("an", "mic")))
    await client.receive()
    client.writer.write(frame([b"\x80" + bytes(11)]) * 101)
    await client.is_closed()


async def test_connection_that_ends__leaves_the_path_over_udp_that_is_in_reserve(
    desk: Desk, client: Client
) -> None:
    peer = desk.stage.peer("an", "mic")
    desk.stage.now_ns = clock.now_ns()
    peer.check(nominate=False)
    client.send(check_of(peer))
    await client.receive()
    assert is_at(desk, peer, client.key)
    await client.close()
    await eventually(lambda: "still open" if len(desk.port) else None)
    assert desk.stage.engine.hears(peer.address)
    assert not desk.stage.engine.hears(client.key)


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
        frame([b"\0"]),
        frame([b"GET / HTTP/1.1\r\n\r\n"]),
        frame([b"\x80" + bytes(40)]),
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    ],
)
async def test_stranger__is_hung_up_on_at_once(desk: Desk, client: Client, data: bytes) -> None:
    client.writer.write(data)
    await client.is_closed()
    assert desk.stage.wire.sent == []


@pytest.mark.parametrize("limit", ["host", "all"])
async def test_connections__are_limited_and_the_oldest_stranger_makes_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    if limit == "host":
        monkeypatch.setattr(tcp, "MAX_CONNECTIONS_PER_HOST", 2)
    else:
        desk.port._limit = 2
    peer = desk.stage.peer("an", "mic")
    checked, stranger = await desk.connect(), await desk.connect()
    checked.send(check_of(peer))
    await checked.receive()
    newest = await desk.connect()
    await stranger.is_closed()
    assert (len(desk.port), desk.port.accepted, desk.port.refused) == (2, 3, 1)
    newest.send(check_of(peer, nominate=False))
    await newest.receive()
    refused = await desk.connect()
    await refused.is_closed()
    assert (len(desk.port), desk.port.accepted, desk.port.refused) == (2, 3, 2)
    await checked.close()
    await eventually(lambda: None if len(desk.port) == 1 else "still open")
    again = await desk.connect()
    await eventually(lambda: None if len(desk.port) == 2 else "not accepted")
    for client in (stranger, newest, refused, again):
        await client.close()


async def test_crowded_host__makes_room_by_its_own_connections(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS_PER_HOST", 1)
    clients = [await desk.connect(host) for host in ("127.0.0.2", "127.0.0.1", "127.0.0.1")]
    await clients[1].is_closed()
    assert set(desk.taking) == {clients[0].key, clients[2].key}
    for client in clients:
        await client.close()


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::"),
        ("fe80::1%2", "fe80::"),
    ],
)
def test_network__of_ipv6_is_a_64(host: str, network: str) -> None:
    assert network_of(host) == network


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


async def test_burst_into_an_empty_queue__leaves_room_for_voice_and_comes_out_whole(
    desk: Desk, client: Client
) -> None:
    client.send(check_of(desk.stage.peer("an", "mic")))
    await client.receive()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of asyncio's own
    (take,) = desk.taking.values()
    pictures = [b"\x80" + n.to_bytes(2, "big") + bytes(1_197) for n in range(10_000)]
    take(pictures)
    dropped = desk.port.dropped_packets
    assert dropped > 1000
    (connection,) = desk.port._connections.values()
    assert len(connection._waiting) <= MAX_WAITING_BYTES // 2 + len(pictures[0])
    voices = [b"\x80" + bytes(99)] * 50
    take(voices)
    assert desk.port.dropped_packets == dropped
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert [await client.receive() for _ in range(10_050 - dropped)] == [
        *pictures[: 10_000 - dropped],
        *voices,
    ]


async def test_peer_that_does_not_read__leaves_little_in_the_kernel(
    desk: Desk, client: Client
) -> None:
    """What waits there goes before the voice, and no rule of ours reaches it."""
    client.send(check_of(desk.stage.peer("an", "mic")))
    await client.receive()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of asyncio's own
    (take,) = desk.taking.values()
    while not desk.port.dropped_packets:
        take([b"\x80" + bytes(1_199)] * 10)
    (connection,) = desk.port._connections.values()
    unsent = fcntl.ioctl(connection._tcp, SIOCOUTQNSD, bytes(4))
    # The kernel fills the segment that it has begun, of 64 KiB on the loopback interface.
    assert int.from_bytes(unsent, sys.byteorder) <= (16 + 64) * 1024


async def test_fault_of_ours_on_the_way_out__is_counted(
    desk: Desk, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk.stage.engine, "flush", lambda: 1 / 0)
    client.send(check_of(desk.stage.peer("an", "mic")))
    await eventually(lambda: None if desk.port.faults else "not counted")
    assert "not sent" in caplog.text


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
