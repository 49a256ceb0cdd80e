from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.forwarder.address import tcp_address
from sfu.forwarder.batch import (
    MAX_SEGMENTED_BYTES,
    MAX_SEGMENTS,
    Batch,
    equal_runs,
)
from sfu.forwarder.contract import Address


class CountingSocket(socket.socket):
    """A real UDP socket that counts its system calls and can refuse like a kernel."""

    single = segmented = 0
    refuse_segmented: int | None = None
    refuse_single: int | None = None

    def sendto(self, data: bytes, address: Address) -> int:  # type: ignore[override]  # one form
        self.single += 1
        if self.refuse_single is not None:
            raise OSError(self.refuse_single, "refused")
        return super().sendto(data, address)

    def sendmsg(self, *arguments: object) -> int:
        self.segmented += 1
        if self.refuse_segmented is not None:
            raise OSError(self.refuse_segmented, "refused")
        return super().sendmsg(*arguments)  # type: ignore[arg-type]  # passed through


@pytest.fixture
def udp() -> Iterator[CountingSocket]:
    with closing(CountingSocket(socket.AF_INET, socket.SOCK_DGRAM)) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.setblocking(False)
        yield opened


class Receiver:
    """A socket that was sent to; loopback delivers within the system call."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: Address = self.socket.getsockname()

    def received(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(65_536))
            except BlockingIOError:
                return found


@pytest.fixture
def first() -> Iterator[Receiver]:
    receiver = Receiver()
    with closing(receiver.socket):
        yield receiver


@pytest.fixture
def second() -> Iterator[Receiver]:
    receiver = Receiver()
    with closing(receiver.socket):
        yield receiver


def packets(*sizes: int) -> list[bytes]:
    return [bytes((number % 256,)) * size for number, size in enumerate(sizes)]


def send_all(batch: Batch, made: Sequence[bytes], address: Address) -> None:
    for data in made:
        batch.gather(data, address)
    batch.flush()


def test_flush__one_packet_an_address__sent_as_it_is(
    udp: CountingSocket, first: Receiver, second: Receiver
) -> None:
    batch = Batch(udp)
    batch.gather(b"a", first.address)
    batch.gather(b"b", second.address)
    assert first.received() == []
    batch.flush()
    batch.flush()
    assert (first.received(), second.received()) == ([b"a"], [b"b"])
    assert (udp.single, udp.segmented, batch.sent_packets) == (2, 0, 2)


@pytest.mark.parametrize(("sizes", "segmented"), [((9, 9), 1), ((9, 5), 1), ((5, 9), 0)])
def test_flush__two_packets__one_send_when_the_second_is_no_longer(
    udp: CountingSocket, first: Receiver, sizes: tuple[int, int], segmented: int
) -> None:
    made = packets(*sizes)
    send_all(Batch(udp), made, first.address)
    assert first.received() == made
    assert (udp.segmented, udp.single) == (segmented, 0 if segmented else 2)


def test_flush__equal_sizes__one_segmented_send(udp: CountingSocket, first: Receiver) -> None:
    batch = Batch(udp)
    made = packets(*[1100] * 20, 300)
    send_all(batch, made, first.address)
    assert first.received() == made
    assert (udp.single, udp.segmented, batch.sent_packets) == (0, 1, 21)


def test_flush__two_addresses__each_gets_its_own(
    udp: CountingSocket, first: Receiver, second: Receiver
) -> None:
    batch = Batch(udp)
    made = packets(*[500] * 16)
    for number, data in enumerate(made):
        batch.gather(data, (first, second)[number % 2].address)
    batch.flush()
    assert (first.received(), second.received()) == (made[::2], made[1::2])
    assert udp.segmented == 2


def test_flush__more_than_the_kernel_takes__several_sends(
    udp: CountingSocket, first: Receiver
) -> None:
    batch = Batch(udp)
    made = packets(*[1200] * 150)
    send_all(batch, made, first.address)
    assert first.received() == made
    assert batch.dropped_packets == 0


def test_flush__mixed_sizes__order_is_kept(udp: CountingSocket, first: Receiver) -> None:
    batch = Batch(udp)
    made = packets(900, 900, 900, 900, 120, 901, 901, 901, 901, 901, 120, 1200)
    send_all(batch, made, first.address)
    assert first.received() == made
    assert (udp.segmented, udp.single) == (2, 1)


@pytest.mark.parametrize(
    ("refusal", "tried"), [(errno.EIO, 1), (errno.ENOPROTOOPT, 1), (errno.EINVAL, 2)]
)
def test_flush__no_segmentation__sent_one_by_one(
    udp: CountingSocket, first: Receiver, refusal: int, tried: int
) -> None:
    udp.refuse_segmented = refusal
    batch = Batch(udp)
    made = packets(*[100] * 8)
    for _ in range(2):
        send_all(batch, made, first.address)
    assert first.received() == made * 2
    assert udp.segmented == tried
    assert (batch.sent_packets, batch.dropped_packets) == (16, 0)


@pytest.mark.parametrize(
    "refusal", [errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EPERM]
)
def test_send__kernel_does_not_take_it__dropped_and_counted(
    udp: CountingSocket, first: Receiver, refusal: int
) -> None:
    udp.refuse_single = udp.refuse_segmented = refusal
    batch = Batch(udp)
    batch.send(b"now", first.address)
    send_all(batch, packets(*[100] * 8), first.address)
    assert (batch.sent_packets, batch.dropped_packets) == (0, 9)
    udp.refuse_single = udp.refuse_segmented = None
    batch.send(b"again", first.address)
    assert first.received() == [b"again"]


def test_send__nobody_listens__nothing_is_raised(udp: CountingSocket) -> None:
    gone = Receiver()
    gone.socket.close()
    batch = Batch(udp)
    for _ in range(3):
        send_all(batch, packets(*[100] * 8), gone.address)
        batch.send(b"alone", gone.address)
    assert batch.sent_packets + batch.dropped_packets == 27


def test_send__larger_than_a_datagram__dropped(udp: CountingSocket, first: Receiver) -> None:
    batch = Batch(udp)
    batch.send(bytes(70_000), first.address)
    assert (first.received(), batch.dropped_packets) == ([], 1)


ONE, ANOTHER = tcp_address("192.0.2.1", 1), tcp_address("192.0.2.1", 2)


def test_divert__packets_go_there_and_what_is_sent_later_is_dropped(
    udp: CountingSocket, first: Receiver
) -> None:
    batch = Batch(udp)
    taken: list[bytes] = []
    batch.divert(ONE, taken.extend)
    batch.gather(b"1", ONE)
    batch.gather(b"2", first.address)
    batch.gather(b"3", ONE)
    batch.flush()
    batch.send(b"4", ONE)
    batch.send(b"5", first.address)
    assert (taken, first.received()) == ([b"1", b"3", b"4"], [b"2", b"5"])
    assert (batch.sent_packets, udp.single) == (5, 2)
    batch.gather(b"6", ONE)
    batch.divert(ONE, None)
    batch.divert(ONE, None)
    batch.flush()
    batch.send(b"7", ONE)
    assert (len(taken), batch.dropped_packets) == (3, 2)
    assert udp.single == 2, "its host would be looked up as a name"


def test_divert__ended_by_its_own_taker__the_others_still_get_theirs(udp: CountingSocket) -> None:
    batch = Batch(udp)
    taken: list[bytes] = []

    def take(packets: Sequence[bytes]) -> None:
        taken.extend(packets)
        for address in (ONE, ANOTHER):
            batch.divert(address, None)

    for address in (ONE, ANOTHER):
        batch.divert(address, take)
        batch.gather(b"x", address)
    batch.flush()
    assert taken == [b"x", b"x"]


def test_flush__many_are_diverted__only_those_with_packets_are_looked_at(
    udp: CountingSocket, first: Receiver
) -> None:
    looked_at: list[str] = []

    class Host(str):
        def __hash__(self) -> int:
            looked_at.append(self)
            return super().__hash__()

    batch = Batch(udp)
    for number in range(100):
        batch.divert((Host(f"tcp/{number}"), 9), lambda _: None)
    looked_at.clear()
    batch.gather(b"x", first.address)
    batch.flush()
    assert (looked_at, first.received()) == ([], [b"x"])


@given(st.lists(st.integers(1, 1500) | st.sampled_from([1100, 1101]), max_size=300))
def test_equal_runs__any_sizes__kept_in_order_and_within_the_limits(sizes: list[int]) -> None:
    made = packets(*sizes)
    runs = list(equal_runs(made))
    assert [data for run in runs for data in run] == made
    for run in runs:
        assert 1 <= len(run) <= MAX_SEGMENTS
        assert sum(map(len, run)) <= MAX_SEGMENTED_BYTES
        assert {len(data) for data in run[:-1]} <= {len(run[0])}
        assert len(run[-1]) <= len(run[0])


def test_equal_runs__are_as_long_as_they_may_be() -> None:
    assert [len(run) for run in equal_runs(packets(*[100] * 130))] == [64, 64, 2]
    assert [len(run) for run in equal_runs(packets(*[1300] * 60))] == [50, 10]
    assert [len(run) for run in equal_runs(packets(9, 9, 5, 9, 5, 5, 6))] == [3, 2, 1, 1]
