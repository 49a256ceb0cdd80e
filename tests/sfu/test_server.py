"""Two real stacks: aiortc peers through a whole SFU, over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from sfu import clock
from sfu.control.client import SfuFailure
from sfu.control.messages import (
    Load,
    Negotiate,
    OpenRoom,
    PeerTransport,
    Permit,
    Speakers,
    StartTap,
    StopTap,
)
from sfu.control.tap import Record, RecordKind, parse_records
from sfu.ids import PeerId, RoomId, TapId
from tests.support.caller import SECRET, Caller, Sfu, running_sfu
from tests.support.eventually import eventually

ROOM = RoomId("room-1")
TAP = TapId("recording-1")
HEADERS = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    async with running_sfu() as running:
        await running.client.request(OpenRoom(room=ROOM))
        yield running


@pytest.fixture
async def callers(sfu: Sfu) -> list[Caller]:
    """Two peers in a call."""
    found = [sfu.caller(ROOM, "an"), sfu.caller(ROOM, "binh")]
    for caller in found:
        await permit(sfu, caller.peer)
        await caller.call()
    return found


async def permit(sfu: Sfu, peer: str, *, version: int = 1, allowed: bool = True) -> None:
    await sfu.client.request(
        Permit(
            room=ROOM,
            peer=PeerId(peer),
            version=version,
            send=("audio", "video", "screen") if allowed else (),
            receive=allowed,
        )
    )


async def sent_to(sfu: Sfu, peer: str) -> int:
    rows = (await sfu.statistics(ROOM)).transports
    return next(row.rtp_sent_packets for row in rows if row.peer == peer)


async def test_two_peers__hear_and_see_each_other(sfu: Sfu, callers: list[Caller]) -> None:
    an, binh = callers
    await an.hears_and_sees()
    await binh.hears_and_sees()
    told = [e.state for e in sfu.events if isinstance(e, PeerTransport) and e.peer == "an"]
    assert told == ["connecting", "connected"]
    await eventually(
        lambda: (
            None
            if any(isinstance(e, Speakers) and "an" in e.peers for e in sfu.events)
            else "nobody was told who speaks"
        )
    )

    async def round_trip() -> str | None:
        rows = (await sfu.statistics(ROOM)).transports
        return None if all(row.round_trip_ms is not None for row in rows) else "no round trip"

    await eventually(round_trip)


async def test_hold__cuts_every_packet_and_return_brings_them_back(
    sfu: Sfu, callers: list[Caller]
) -> None:
    an, binh = callers
    await binh.hears_and_sees()
    await permit(sfu, "binh", version=2, allowed=False)
    to_an, to_binh = await sent_to(sfu, "an"), await sent_to(sfu, "binh")

    async def still_sending() -> str | None:
        rows = (await sfu.statistics(ROOM)).streams
        counts = [row.packets for row in rows if row.peer == "binh" and row.kind == "audio"]
        return None if counts and counts[0] > 100 else f"binh has sent {counts}"

    await eventually(still_sending)
    assert (await sent_to(sfu, "an"), await sent_to(sfu, "binh")) == (to_an, to_binh)
    await permit(sfu, "binh", version=3)
    await binh.hears_and_sees()
    await an.hears_and_sees()


async def test_page_refresh__replaces_the_transport(sfu: Sfu, callers: list[Caller]) -> None:
    binh = callers[1]
    await binh.hears_and_sees()
    again = sfu.caller(ROOM, "an")
    await again.call(fresh=True)
    await again.hears_and_sees()
    await binh.hears_and_sees()
    assert [r.peer for r in (await sfu.statistics(ROOM)).transports] == ["an", "binh"]


async def test_more_seats__by_a_further_offer(sfu: Sfu, callers: list[Caller]) -> None:
    an = callers[0]
    await an.hears_and_sees()
    chi = sfu.caller(ROOM, "chi")
    await permit(sfu, "chi")
    await chi.call(seats=2)
    an.pc.addTransceiver("audio", "recvonly")
    an.pc.addTransceiver("video", "recvonly")
    assert (await an.negotiate()).seats == 2
    await an.hears_and_sees(1)
    await an.hears_and_sees(0)
    await chi.hears_and_sees(1)


async def test_loss_on_the_way_in_and_out__is_repaired(
    sfu: Sfu, callers: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    an, binh = callers
    await an.hears_and_sees()
    await binh.hears_and_sees()
    receive, dropped = sfu.program.router.forwarder.receive, 0

    def lossy(data: bytes, address: tuple[str, int], now_ns: int) -> None:
        nonlocal dropped
        # Every tenth datagram that may be RTP is lost.
        if data[0] & 0xC0 == 0x80 and not 64 <= data[1] & 0x7F <= 95 and os.urandom(1)[0] < 25:
            dropped += 1
            return
        receive(data, address, now_ns)

    monkeypatch.setattr(sfu.program.router.forwarder, "receive", lossy)

    async def repaired() -> str | None:
        rows = [r for r in (await sfu.statistics(ROOM)).streams if r.kind == "video"]
        asked = sum(row.nack_sent for row in rows)
        lost = sum(row.lost for row in rows)
        if dropped < 60 or asked < 5:
            return f"dropped {dropped}, asked {asked}"
        return None if lost < dropped / 4 else f"of {dropped} dropped {lost} are still lost"

    await eventually(repaired, within_s=20)
    await an.hears_and_sees()
    await binh.hears_and_sees()


async def test_garbage_to_the_udp_port__harms_nobody(sfu: Sfu, callers: list[Caller]) -> None:
    an, _ = callers
    await an.hears_and_sees()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        for first in range(256):
            for size in (0, 1, 20, 100, 1400, 3000):
                data = (bytes((first,)) + os.urandom(size))[: size or 0]
                attacker.sendto(data, ("127.0.0.1", sfu.program.udp_port))
    await an.hears_and_sees()
    assert sfu.program.udp.faults == 0


async def test_load__is_told_each_second(sfu: Sfu) -> None:
    await eventually(lambda: None if any(isinstance(e, Load) for e in sfu.events) else "no load")
    load = next(e for e in sfu.events if isinstance(e, Load))
    assert load.rooms == 1
    assert load.cpu >= 0


async def test_bad_offer__is_a_failure_with_a_code(sfu: Sfu) -> None:
    await permit(sfu, "an")
    with pytest.raises(SfuFailure) as caught:
        await sfu.client.request(Negotiate(room=ROOM, peer=PeerId("an"), sdp="v=0"))
    assert caught.value.code == "bad_offer"
    assert caught.value.detail.startswith("no_sections")


async def test_lost_control_connection__closes_nothing(sfu: Sfu, callers: list[Caller]) -> None:
    an, _ = callers
    await an.hears_and_sees()
    await sfu.client.close()
    await an.hears_and_sees()
    await sfu.client.start()
    await eventually(lambda: None if sfu.client.connected else "not connected")
    sfu.events.clear()
    await sfu.client.request(OpenRoom(room=ROOM))
    await eventually(
        lambda: (
            None
            if PeerTransport(room=ROOM, peer=PeerId("an"), state="connected") in sfu.events
            else "the newcomer was not told what is"
        )
    )


# ---------------------------------------------------------------------- taps


class Recorder:
    """Reads a tap as a recorder does, and hangs up when told."""

    def __init__(self, sfu: Sfu) -> None:
        self.url = f"http://127.0.0.1:{sfu.program.control_port}/tap/{TAP}"
        self.records: list[Record] = []

    async def read(self, enough: int | None) -> int | None:
        """Until `enough` more records came, or to the end; the close code, None if we hung up."""
        last = self.records[-1].sequence if self.records else 0
        goal = None if enough is None else len(self.records) + enough
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.ws_connect(f"{self.url}?after={last}") as tap,
        ):
            async for message in tap:
                assert message.type is aiohttp.WSMsgType.BINARY
                self.records += parse_records(message.data)
                await tap.send_str(str(self.records[-1].sequence))
                if goal is not None and len(self.records) >= goal:
                    return None
            return tap.close_code

    def assert_whole(self) -> None:
        assert [r.sequence for r in self.records] == list(range(1, len(self.records) + 1))


async def test_tap__goes_on_after_disconnects_without_gap_or_duplicate(
    sfu: Sfu, callers: list[Caller]
) -> None:
    an, _ = callers
    await an.hears_and_sees()
    await sfu.client.request(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"), PeerId("binh"))))
    recorder = Recorder(sfu)
    for _ in range(5):
        await recorder.read(40)
    await sfu.client.request(StopTap(tap=TAP))
    await asyncio.wait_for(recorder.read(None), 10)
    recorder.assert_whole()
    assert recorder.records[-1].kind is RecordKind.END
    opened = [r for r in recorder.records if r.kind is RecordKind.OPEN]
    assert len(opened) == 4
    assert {r.track for r in recorder.records if r.kind is RecordKind.RTP} == {1, 2, 3, 4}
    assert any(r.kind is RecordKind.REPORT for r in recorder.records)
    now_ns = time.time_ns()
    assert all(now_ns - r.arrival_ns < 60 * 1_000_000_000 for r in recorder.records)

    async def gone() -> str | None:
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.get(recorder.url) as answer,
        ):
            return None if answer.status == 404 else f"the tap answers {answer.status}"

    await eventually(gone)


async def test_closing__lets_readers_have_their_taps_to_the_end() -> None:
    async with running_sfu() as sfu:
        await sfu.client.request(OpenRoom(room=ROOM))
        await permit(sfu, "an")
        an = sfu.caller(ROOM, "an")
        await an.call()
        await sfu.client.request(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"),)))
        recorder = Recorder(sfu)
        reading = asyncio.create_task(recorder.read(None))
        await eventually(lambda: None if recorder.records else "nothing read yet")
    await asyncio.wait_for(reading, 10)
    recorder.assert_whole()
    assert recorder.records[-1].kind is RecordKind.END


async def test_closing__waits_for_no_reader_that_sleeps() -> None:
    async with aiohttp.ClientSession(headers=HEADERS) as session, asyncio.timeout(20):
        async with running_sfu() as sfu:
            await sfu.client.request(OpenRoom(room=ROOM))
            await sfu.client.request(StartTap(room=ROOM, tap=TAP, peers=()))
            tap = await session.ws_connect(f"http://127.0.0.1:{sfu.program.control_port}/tap/{TAP}")
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 5
        await tap.close()


async def test_tap__goes_by_the_wall_clock_of_its_beginning(
    sfu: Sfu, callers: list[Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    hour_ns = 3_600 * 1_000_000_000
    real_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + hour_ns)  # set before it begins
    started_ns = time.time_ns()
    await sfu.client.request(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"),)))
    await callers[0].hears_and_sees()
    recorder = Recorder(sfu)
    await recorder.read(20)
    monkeypatch.setattr(time, "time_ns", lambda: 0)  # set while it runs
    await callers[0].hears_and_sees()
    await sfu.client.request(StopTap(tap=TAP))
    await asyncio.wait_for(recorder.read(None), 10)
    arrivals = [record.arrival_ns for record in recorder.records]
    assert arrivals == sorted(arrivals)
    assert started_ns < arrivals[0]
    assert arrivals[-1] < clock.now_ns() + hour_ns + 1_000_000_000


async def test_newer_reader__takes_over(sfu: Sfu, callers: list[Caller]) -> None:
    await callers[0].hears_and_sees()
    await sfu.client.request(StartTap(room=ROOM, tap=TAP, peers=(PeerId("an"),)))
    first, second = Recorder(sfu), Recorder(sfu)
    reading = asyncio.create_task(first.read(None))
    await eventually(lambda: None if first.records else "nothing read yet")
    await second.read(20)
    assert await asyncio.wait_for(reading, 10) == 4001
    assert second.records[0].sequence >= 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tap/nobody", 404),
        (f"/tap/{TAP}?after=x", 400),
        (f"/tap/{TAP}?after={'9' * 21}", 400),
        (f"/tap/{TAP}?after=99999", 409),
    ],
)
async def test_tap__of_nobody_or_with_a_bad_place__is_refused(
    sfu: Sfu, path: str, status: int
) -> None:
    await sfu.client.request(StartTap(room=ROOM, tap=TAP, peers=()))
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        url = f"http://127.0.0.1:{sfu.program.control_port}{path}"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url)
    assert caught.value.status == status


@pytest.mark.parametrize("text", ["x", "-1", "99999", "1.5", ""])
async def test_tap__with_a_bad_acknowledgement__is_closed(sfu: Sfu, text: str) -> None:
    await sfu.client.request(StartTap(room=ROOM, tap=TAP, peers=()))
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        url = f"http://127.0.0.1:{sfu.program.control_port}/tap/{TAP}"
        async with session.ws_connect(url) as tap:
            await tap.send_str(text)
            message = await tap.receive(timeout=5)
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 4002
