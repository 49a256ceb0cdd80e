"""One transport of the table: checks, nomination, DTLS, silence."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aioice import stun

from sfu.control.messages import CloseRoom, PeerTransport
from sfu.router import ticks
from sfu.rtp.rtcp import PictureLossIndication
from sfu.transport.lifecycle import QUIET_NS, SILENCE_NS
from tests.sfu.offers import FINGERPRINT
from tests.sfu.routing import ROOM, SECOND, Stage, StagePeer, picture
from tests.support.eventually import eventually


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()


def state(stage: Stage, peer: StagePeer) -> str:
    return next(r.state for r in stage.statistics().transports if r.peer == peer.name)


def watch(stage: Stage) -> None:
    for home in stage.router.homes():
        home.connection.transport.watch(stage.now_ns)


async def test_check__is_answered_to_where_it_came_from(stage: Stage) -> None:
    peer = stage.peer("an", "mic")
    peer.check()
    ((address, data),) = stage.wire.sent
    assert address == peer.address
    assert stun.parse_message(data).attributes["XOR-MAPPED-ADDRESS"] == peer.address
    assert stage.transports.checks.answered == 1


async def test_check__with_a_wrong_password__is_dropped_and_counted(stage: Stage) -> None:
    peer = stage.peer("an", "mic")
    peer.check(password="x" * 24)
    assert stage.wire.sent == []
    assert stage.transports.checks.bad_integrity == 1


async def test_check__for_nobody__is_dropped_and_counted(stage: Stage) -> None:
    peer = stage.peer("an", "mic")
    peer.answer = peer.answer.replace(peer.field("ice-ufrag"), "nobody")
    peer.check()
    assert stage.wire.sent == []
    assert stage.transports.checks.unknown == 1


async def test_handshake__leads_to_connected(stage: Stage) -> None:
    peer = stage.peer("an", "mic")
    assert state(stage, peer) == "connecting"
    await peer.connected()
    states = [e.state for e in stage.events if isinstance(e, PeerTransport)]
    assert states == ["connecting", "connected"]


async def test_another_certificate_than_offered__fails_the_transport(stage: Stage) -> None:
    stage.permit("an")
    peer = StagePeer(stage, "an")
    stage.peers.append(peer)
    peer.negotiate("mic", fingerprint=FINGERPRINT)
    await peer.connect()
    await eventually(lambda: None if state(stage, peer) == "failed" else "not failed")
    peer.check()
    assert state(stage, peer) == "failed"  # a valid check does not mend it


async def test_offer_after_a_broken_handshake__begins_anew(stage: Stage) -> None:
    stage.permit("an")
    peer = StagePeer(stage, "an")
    stage.peers.append(peer)
    peer.negotiate("mic", fingerprint=FINGERPRINT)
    await peer.connect()
    await eventually(lambda: None if state(stage, peer) == "failed" else "not failed")
    await peer.close()
    again = StagePeer(stage, "an")
    stage.peers.append(again)
    again.negotiate("mic")
    await again.connected()


async def test_silence__fails_and_a_check_mends(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    watch(stage)
    stage.now_ns += SILENCE_NS - 1
    watch(stage)
    assert state(stage, peer) == "disconnected"
    stage.now_ns += 1
    watch(stage)
    assert state(stage, peer) == "failed"
    peer.check(nominate=False)
    assert state(stage, peer) == "connected"


async def test_quiet_for_five_seconds__is_told_within_half_a_second_and_sent_to(
    stage: Stage,
) -> None:
    peer = await stage.peer("an", "mic").connected()
    watch(stage)
    began_ns = stage.now_ns
    while state(stage, peer) == "connected":
        stage.now_ns += SECOND // 2
        watch(stage)
    assert QUIET_NS <= stage.now_ns - began_ns <= QUIET_NS + SECOND // 2
    assert state(stage, peer) == "disconnected"
    assert sent_to(stage, peer)
    peer.check(nominate=False)
    assert state(stage, peer) == "connected"


async def test_quiet__ends_with_the_first_packet(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    watch(stage)
    stage.now_ns += QUIET_NS
    watch(stage)
    assert state(stage, peer) == "disconnected"
    stage.engine.receive(b"\x80\x6f" + bytes(10), peer.address, stage.now_ns)
    watch(stage)
    assert state(stage, peer) == "connected"
    states = [e.state for e in stage.events if isinstance(e, PeerTransport)]
    assert states == ["connecting", "connected", "disconnected", "connected"]


def sent_to(stage: Stage, peer: StagePeer) -> bool:
    """Whether RTCP to the peer goes to its address."""
    stage.wire.sent.clear()
    (home,) = (h for h in stage.router.homes() if h.peer.id == peer.name)
    stage.engine.send_rtcp(home.connection.transport.handle, b"\x80\xc9\0\1\0\0\0\1")
    return [address for address, _ in stage.wire.sent] == [peer.address]


async def test_failed_transport__is_sent_nothing_until_a_check_mends_it(stage: Stage) -> None:
    peer = await stage.peer("an", "mic", "hear", "see").connected()
    binh = await stage.peer("binh", "mic", "cam").connected()
    binh.send(picture(1, key=True))
    assert len(peer.received()) == 1
    watch(stage)
    stage.now_ns += SILENCE_NS + SECOND
    binh.check()
    watch(stage)
    assert (state(stage, peer), state(stage, binh)) == ("failed", "connected")
    binh.told()
    binh.send(picture(2, key=True))
    assert not sent_to(stage, peer)
    assert peer.received() == []
    peer.check(nominate=False)
    ticks.repair(stage.router, stage.now_ns)
    assert len(binh.told(PictureLossIndication)) == 1
    assert sent_to(stage, peer)
    peer.told()
    binh.send(picture(3, key=True))
    assert len(peer.received()) == 1


async def test_closed_transport__is_sent_nothing(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    assert sent_to(stage, peer)
    await peer.close()
    await eventually(lambda: None if state(stage, peer) == "closed" else "not closed")
    assert not sent_to(stage, peer)
    peer.check()
    assert not sent_to(stage, peer)


async def test_silent_address__is_left_for_one_that_is_checked(stage: Stage) -> None:
    """A NAT that forgot the peer gives the nominated pair another address."""
    peer = await stage.peer("an", "mic").connected()
    silent, peer.address = peer.address, ("198.51.100.9", 9)
    stage.now_ns += 3 * SECOND - 1
    peer.check(nominate=False)
    assert not sent_to(stage, peer), "browsers check unused pairs too"
    stage.now_ns += 1
    peer.check(nominate=False)
    assert sent_to(stage, peer)
    assert stage.engine.holder(silent) is None


async def test_address_of_another__is_refused_while_the_other_is_there(stage: Stage) -> None:
    victim = await stage.peer("an", "mic").connected()
    thief = await stage.peer("binh", "mic").connected()
    own, thief.address = thief.address, victim.address
    stage.wire.sent.clear()
    thief.check()
    assert stage.wire.sent == []
    assert stage.transports.checks.address_taken == 1
    assert sent_to(stage, victim)
    watch(stage)
    stage.now_ns += SILENCE_NS + SECOND
    thief.address = own
    thief.check()
    watch(stage)
    assert state(stage, victim) == "failed"
    thief.address = victim.address
    thief.check()
    assert sent_to(stage, thief)


async def test_lost_address__is_had_again_with_the_next_check(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    other = stage.engine.add_transport()
    stage.engine.set_address(other, peer.address)
    assert not sent_to(stage, peer)
    stage.engine.remove_transport(other)
    peer.check()
    assert sent_to(stage, peer)


@pytest.mark.parametrize(("seconds", "result"), [(1, "connected"), (2, "failed")])
async def test_flood__of_two_seconds_ends_the_transport(
    stage: Stage, seconds: int, result: str
) -> None:
    peer = await stage.peer("an", "mic").connected()
    watch(stage)
    for _ in range(seconds):
        for _ in range(5100):
            stage.engine.receive(b"\x80\x6f" + bytes(10), peer.address, stage.now_ns)
        stage.now_ns += SECOND
        watch(stage)
    stage.now_ns += SECOND
    watch(stage)
    assert state(stage, peer) == result
    peer.check()
    assert state(stage, peer) == result


async def test_new_address__with_a_nominating_check__moves_the_transport(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    old, peer.address = peer.address, ("198.51.100.9", 9)
    stage.wire.sent.clear()
    peer.check()
    (home,) = stage.router.homes()
    stage.engine.send_rtcp(home.connection.transport.handle, b"\x80\xc9\0\1\0\0\0\1")
    assert [address for address, _ in stage.wire.sent] == [peer.address, peer.address]
    assert old != peer.address


async def test_restart__answers_both_until_the_new_one_is_used(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    former = peer.answer
    peer.negotiate("mic", ufrag="another")
    assert peer.field("ice-ufrag") not in former
    restarted, peer.answer = peer.answer, former
    stage.wire.sent.clear()
    peer.check()
    assert len(stage.wire.sent) == 1, "the path in use is still agreed to"
    peer.answer, peer.address = restarted, ("198.51.100.9", 9)
    peer.check()
    assert state(stage, peer) == "connected"
    assert sent_to(stage, peer)
    peer.answer = former
    stage.wire.sent.clear()
    peer.check()
    assert stage.wire.sent == []
    assert stage.transports.checks.unknown == 1


async def test_restart__keeps_streams_legs_and_counters(stage: Stage) -> None:
    peer = await stage.peer("an", "mic", "hear", "see").connected()
    binh = await stage.peer("binh", "mic", "cam").connected()
    binh.send(picture(1, key=True))
    (first,) = peer.received()
    before = stage.statistics()
    peer.negotiate("mic", "hear", "see", ufrag="another")
    binh.send(picture(2))
    assert len(peer.received()) == 1, "media goes on while the new path is looked for"
    peer.address = ("198.51.100.9", 9)
    peer._pipe._address = peer.address
    peer.check()
    binh.send(picture(3))
    (third,) = peer.received()
    assert (third.ssrc, third.sequence) == (first.ssrc, first.sequence + 2)
    after = stage.statistics()
    assert len(after.legs) == len(before.legs)
    assert sum(row.packets for row in after.legs) == sum(row.packets for row in before.legs) + 2


async def test_restart_twice__needs_no_answer_to_the_first(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    original = peer.answer
    peer.negotiate("mic", ufrag="second")
    peer.negotiate("mic", ufrag="third")
    last, peer.answer = peer.answer, original
    stage.wire.sent.clear()
    peer.check()
    peer.answer = last
    peer.check()
    assert len(stage.wire.sent) == 2
    stage.do(CloseRoom(room=ROOM))
    peer.check()
    peer.answer = original
    peer.check()
    assert stage.transports.checks.unknown == 2


async def test_check_without_nomination__does_not_move_a_nominated_one(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    nominated, peer.address = peer.address, ("198.51.100.9", 9)
    peer.check(nominate=False)
    stage.wire.sent.clear()
    (home,) = stage.router.homes()
    stage.engine.send_rtcp(home.connection.transport.handle, b"\x80\xc9\0\1\0\0\0\1")
    assert [address for address, _ in stage.wire.sent] == [nominated]


async def test_goodbye_of_the_peer__closes_the_transport(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    await peer.close()
    await eventually(lambda: None if state(stage, peer) == "closed" else "not closed")


async def test_removed_peer__hears_goodbye_and_is_nobody(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    stage.do(CloseRoom(room=ROOM))
    assert len(stage.transports) == 0
    await stage.router.close(stage.now_ns)
    assert any(20 <= data[0] <= 63 for address, data in stage.wire.sent if address == peer.address)
    peer.check()
    assert stage.transports.checks.unknown == 1


async def test_goodbye__of_a_transport_that_failed_or_that_the_peer_closed__goes_nowhere(
    stage: Stage,
) -> None:
    """Its address may be somebody else's by now."""
    silent = await stage.peer("an", "mic").connected()
    watch(stage)
    stage.now_ns += SILENCE_NS
    watch(stage)
    closed = await stage.peer("binh", "mic").connected()
    await closed.close()
    await eventually(lambda: None if state(stage, closed) == "closed" else "not closed")
    assert state(stage, silent) == "failed"
    stage.wire.sent.clear()
    stage.do(CloseRoom(room=ROOM))
    await stage.router.close(stage.now_ns)
    assert stage.wire.sent == []


async def test_garbage__changes_nothing(stage: Stage) -> None:
    peer = await stage.peer("an", "mic").connected()
    for first in range(256):
        for size in (1, 2, 11, 12, 13, 60, 1400):
            stage.receive((bytes((first,)) * size)[:size], peer.address)
            stage.receive((bytes((first,)) + b"\0" * size)[:size], ("203.0.113.1", 7))
    peer.check()
    assert state(stage, peer) == "connected"
