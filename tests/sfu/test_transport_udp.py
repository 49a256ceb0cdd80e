from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import cast

import pytest

from sfu.errors import ConfigError
from sfu.forwarder.contract import Address, Forwarder
from sfu.transport.udp import WORTH_PER_S, Moderation, UdpPort, announced, open_socket
from tests.support.eventually import eventually


def test_announced__are_the_configured_ones() -> None:
    with open_socket("127.0.0.1", 0) as udp:
        port = udp.getsockname()[1]
        assert announced(udp, ["203.0.113.5"]) == [("203.0.113.5", port)]


def test_announced__of_one_address__is_that() -> None:
    with open_socket("127.0.0.1", 0) as udp:
        assert announced(udp, []) == [("127.0.0.1", udp.getsockname()[1])]


def test_announced__of_all_addresses__ends_with_the_loopback() -> None:
    with open_socket("0.0.0.0", 0) as udp:
        port = udp.getsockname()[1]
        found = announced(udp, [])
        assert found[-1] == ("127.0.0.1", port)
        assert all(host != "0.0.0.0" for host, _ in found)


def test_port_in_use__is_one_sentence() -> None:
    with open_socket("127.0.0.1", 0) as first, pytest.raises(ConfigError) as caught:
        open_socket("127.0.0.1", first.getsockname()[1])
    assert str(caught.value).startswith("SFU_UDP_HOST and SFU_UDP_PORT: ")
    assert str(caught.value).endswith(".")


def test_socket__does_not_block_and_has_large_buffers() -> None:
    with open_socket("127.0.0.1", 0) as udp:
        assert not udp.getblocking()
        assert udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 200_000


def ticks(moderation: Moderation, wakeups: int, from_s: float, count: int) -> list[bool]:
    """`wakeups` in each of `count` milliseconds."""
    return [moderation.note(wakeups, from_s + number / 1000) for number in range(count)]


def test_moderation__at_the_rate_that_is_not_worth_it__never() -> None:
    assert not any(ticks(Moderation(), WORTH_PER_S // 1000, 5.0, 1000))


def test_moderation__twice_the_rate__soon_and_for_as_long() -> None:
    noted = ticks(Moderation(), WORTH_PER_S // 500, 5.0, 1000)
    assert not any(noted[:5])
    assert all(noted[10:])


def test_moderation__after_the_last__ends_within_twenty_milliseconds_and_begins_anew() -> None:
    moderation = Moderation()
    ticks(moderation, 4, 5.0, 100)
    after = ticks(moderation, 0, 5.1, 40)
    assert after[0]
    assert not any(after[20:])
    assert not moderation.note(1, 5.2)
    assert ticks(moderation, 4, 5.3, 100)[-1]


class Forwarding:
    """What the port calls of a forwarder; a packet that says so is a fault of ours."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.times_ns: list[int] = []
        self.flushes = 0
        self.fails_to_send = False

    def receive(self, data: bytes, address: Address, now_ns: int) -> None:
        if data == b"fault":
            raise RuntimeError
        self.received.append(data)
        self.times_ns.append(now_ns)

    def flush(self) -> None:
        self.flushes += 1
        if self.fails_to_send:
            raise RuntimeError


class Wire:
    """A port that reads a socket of its own, and a socket to send to it from."""

    def __init__(self, on_sample: Callable[[float, int], None] | None = None) -> None:
        self.forwarding = Forwarding()
        self.samples: list[int] = []
        self.udp = open_socket("127.0.0.1", 0)
        self.port = UdpPort(
            self.udp,
            cast(Forwarder, self.forwarding),
            on_sample or (lambda _, size: self.samples.append(size)),
        )
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.connect(self.udp.getsockname())

    def close(self) -> None:
        self.port.stop()
        self.udp.close()
        self.sender.close()

    def missing(self, count: int) -> str | None:
        got = len(self.forwarding.received)
        return None if got == count else f"{got} of {count} arrived"


@pytest.fixture
def wire() -> Iterator[Wire]:
    with closing(Wire()) as made:
        yield made


async def test_port__each_datagram__once_in_order_with_its_time(wire: Wire) -> None:
    wire.port.start()
    sent = [bytes((number,)) for number in range(100)]
    for data in sent:
        wire.sender.send(data)
    await eventually(lambda: wire.missing(100))
    assert wire.forwarding.received == sent
    assert wire.forwarding.times_ns == sorted(wire.forwarding.times_ns)
    assert wire.port.received_packets == 100
    assert 2 <= wire.forwarding.flushes < 100


async def send_densely(wire: Wire, count: int) -> None:
    """One at each turn of the loop, so that each would wake it."""
    for _ in range(count):
        wire.sender.send(b"x")
        await asyncio.sleep(0)


async def reads_by_the_timer(wire: Wire) -> int:
    """Send densely until it does, which takes a while where the loop is slow; how many it took."""
    sent = 0

    async def complaint() -> str | None:
        nonlocal sent
        await send_densely(wire, 200)
        sent += 200
        return None if wire.port._timer is not None else "each datagram wakes it"

    await eventually(complaint)
    return sent


async def test_port__dense_datagrams__several_at_a_reading_and_none_lost(wire: Wire) -> None:
    wire.port.start()
    await send_densely(wire, 2000)
    assert wire.forwarding.flushes < 1000
    for _ in range(150):  # more than one reading takes
        wire.sender.send(b"x")
    await eventually(lambda: wire.missing(2150))


async def test_port__dense_datagrams_have_ended__waits_to_be_woken_again(wire: Wire) -> None:
    wire.port.start()
    await send_densely(wire, 200)
    seen = -1

    def busy() -> str | None:
        nonlocal seen
        before, seen = seen, wire.forwarding.flushes
        return None if before == seen else "the port still reads by the timer"

    await eventually(busy)
    wire.sender.send(b"x")
    await eventually(lambda: wire.missing(201))


async def test_stop__while_it_reads_by_the_timer__nothing_more_is_read(wire: Wire) -> None:
    wire.port.start()
    await send_densely(wire, 200)
    wire.port.stop()
    while wire.udp in select.select([wire.udp], [], [], 0)[0]:
        wire.udp.recv(10)
    read = len(wire.forwarding.received)
    wire.sender.send(b"last")
    heir = Forwarding()
    port = UdpPort(wire.udp, cast(Forwarder, heir), lambda _, size: None)
    port.start()
    await eventually(lambda: None if heir.received else "nothing has come")
    port.stop()
    assert (heir.received, len(wire.forwarding.received)) == ([b"last"], read)


async def test_port__fault_of_ours__costs_one_datagram(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    wire.port.start()
    for data in (b"a", b"fault", b"fault", b"b"):
        wire.sender.send(data)
    await eventually(lambda: wire.missing(2))
    assert wire.forwarding.received == [b"a", b"b"]
    assert wire.port.faults == 2
    assert len(caplog.records) == 1


async def test_port__fault_in_sending_while_it_reads_by_the_timer__it_reads_on(wire: Wire) -> None:
    wire.port.start()
    sent = await reads_by_the_timer(wire)
    wire.forwarding.fails_to_send = True
    before = wire.forwarding.flushes
    await eventually(lambda: None if wire.forwarding.flushes > before + 1 else "reads no more")
    wire.sender.send(b"x")
    await eventually(lambda: wire.missing(sent + 1))
    assert wire.port.faults > 1


async def test_port__fault_in_what_is_told_while_it_reads_by_the_timer__it_reads_on() -> None:
    told: list[int] = []

    def tell(_: float, size: int) -> None:
        told.append(size)
        raise RuntimeError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    with closing(Wire(tell)) as wire:
        wire.port.start()
        await send_densely(wire, 2000)
        assert len(told) > 1
        await eventually(lambda: wire.missing(2000))


async def test_port__one_reading_in_sixteen__is_timed(wire: Wire) -> None:
    wire.port.start()
    for number in range(32):
        wire.sender.send(b"x")
        await eventually(lambda number=number: wire.missing(number + 1))
    assert wire.samples == [1, 1]
