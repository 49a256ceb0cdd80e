from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.forwarder.contract import Codec, Forwarder, LegSpec, StreamSpec
from sfu.forwarder.engine import MAX_REPORTERS
from sfu.forwarder.switchboard import MAX_ELSEWHERE
from sfu.rtp.packet import RtpPacket
from sfu.rtp.rtcp import ReceiverReport
from tests.sfu.forwarding import (
    CM,
    GCM,
    START_NS,
    VP8_PT,
    Party,
    Stage,
    numbers,
    video,
)


def test_engine__is_the_forwarder_of_the_contract() -> None:
    forwarder: Forwarder = Stage().engine
    assert forwarder.drain_levels() == []


def test_receive__stun__is_punted_from_any_address() -> None:
    stage = Stage()
    party = stage.party()
    for address in (party.address, ("198.51.100.7", 9)):
        stage.receive(b"\0\1stun", address)
    assert stage.heard.stun == [
        (b"\0\1stun", party.address, START_NS),
        (b"\0\1stun", ("198.51.100.7", 9), START_NS),
    ]


def test_receive__dtls__is_punted_only_from_a_known_address() -> None:
    stage = Stage()
    party = stage.party()
    stage.receive(b"\x16dtls", party.address)
    stage.receive(b"\x16dtls", ("198.51.100.7", 9))
    assert stage.heard.dtls == [(party.transport, b"\x16dtls")]
    assert stage.engine.stray_packets == 1


def test_receive__media_before_the_keys__is_dropped() -> None:
    stage = Stage()
    party = stage.party(connected=False)
    stage.engine.set_address(party.transport, party.address)
    party.send(video(1, key=True))
    stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(1))), party.address)
    assert stage.engine.transport_counters(party.transport).dropped_packets == 2
    assert (stage.heard.unknown, stage.heard.rtcp) == ([], [])


def test_receive__rtcp__is_punted_decrypted() -> None:
    stage = Stage()
    party = stage.party()
    report = bytes(ReceiverReport(7))
    datagram = party.keys.protect_rtcp(report)
    stage.receive(datagram, party.address)
    stage.receive(datagram, party.address)
    assert stage.heard.rtcp == [(party.transport, report, START_NS)]
    assert stage.engine.transport_counters(party.transport).dropped_packets == 1


def test_receive__unknown_ssrc__is_punted_and_goes_on_when_adopted() -> None:
    stage = Stage()
    party = stage.party()
    party.send(video(1))
    assert [RtpPacket.parse(packet) for packet in stage.heard.unknown] == [video(1)]
    assert stage.engine.transport_counters(party.transport).dropped_packets == 1
    stage.heard.adopt = StreamSpec(party.transport, 1, "video", "VP8", VP8_PT, 90_000)
    party.send(video(2))
    party.send(video(3))
    assert len(stage.heard.unknown) == 2
    assert stage.engine.transport_counters(party.transport).dropped_packets == 1


def test_unknown_ssrcs__leave_nothing_behind_in_srtp() -> None:
    stage = Stage()
    party = stage.party()
    party.adds("video", 1)
    known = party.send(video(1, key=True))
    refused = party.send(video(1, ssrc=77))
    for _ in range(3):
        # What SRTP has a record of it refuses as a replay, before anybody is asked.
        stage.receive(refused, party.address)
        stage.receive(known, party.address)
    assert len(stage.heard.unknown) == 4


def test_stream_that_was__is_not_forgotten_by_srtp() -> None:
    stage = Stage()
    party = stage.party()
    stream = party.adds("video", 1)
    old = party.send(video(1, key=True))
    stage.engine.remove_stream(stream)
    party.send(video(2))
    stage.receive(old, party.address)
    assert [RtpPacket.parse(packet) for packet in stage.heard.unknown] == [video(2)]


def test_rtcp__from_too_many_senders__is_dropped() -> None:
    stage = Stage()
    party = stage.party()
    party.adds("video", 1)
    for ssrc in range(1000, 1000 + MAX_REPORTERS + 10):
        stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(ssrc))), party.address)
    assert len(stage.heard.rtcp) == MAX_REPORTERS
    assert stage.engine.transport_counters(party.transport).dropped_packets == 10
    for ssrc in (1, 1000):
        stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(ssrc))), party.address)
    assert len(stage.heard.rtcp) == MAX_REPORTERS + 2


def test_rtcp__that_is_forged__takes_no_senders_place() -> None:
    stage = Stage()
    party = stage.party()
    for ssrc in range(1000, 1000 + MAX_REPORTERS):
        stage.receive(bytes(ReceiverReport(ssrc)) + bytes(20), party.address)
    stage.receive(party.keys.protect_rtcp(bytes(ReceiverReport(7))), party.address)
    assert len(stage.heard.rtcp) == 1


def test_set_address__none__sends_and_takes_nothing_but_stun() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    assert len(receiver.datagrams()) == 1
    stage.engine.set_address(receiver.transport, None)
    assert stage.engine.holder(receiver.address) is None
    sender.send(video(2, key=True))
    stage.receive(b"\x16dtls", receiver.address)
    stage.receive(b"\0\1stun", receiver.address)
    assert receiver.datagrams() == []
    assert (stage.heard.dtls, len(stage.heard.stun)) == ([], 1)
    stage.engine.set_address(receiver.transport, receiver.address)
    assert stage.engine.holder(receiver.address) == receiver.transport
    sender.send(video(3, key=True))
    assert len(receiver.datagrams()) == 1


def test_set_address__newest_wins_and_frees_the_old_one() -> None:
    stage = Stage()
    party = stage.party()
    party.adds("video", 1)
    old, new = party.address, ("203.0.113.5", 5)
    stage.engine.set_address(party.transport, new)
    assert stage.engine.holder(old) is None
    assert stage.engine.holder(new) == party.transport
    stage.engine.send_rtcp(party.transport, bytes(ReceiverReport(7)))
    assert [address for address, _ in stage.wire.sent] == [new]


def test_set_address__of_another_transport__silences_that_one() -> None:
    stage = Stage()
    sender, first, second = stage.party(), stage.party(), stage.party(connected=False)
    first.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    assert len(first.datagrams()) == 1
    stage.engine.set_address(second.transport, first.address)
    sender.send(video(2, key=True))
    assert stage.wire.sent == []
    stage.engine.remove_transport(first.transport)
    stage.receive(b"\x16dtls", first.address)
    assert stage.heard.dtls == [(second.transport, b"\x16dtls")]


def unharmed(stage: Stage, sender: Party, receiver: Party, sequence: int) -> bool:
    """Whether a good packet still goes through."""
    receiver.datagrams()
    sender.send(video(sequence, key=True))
    return numbers(receiver.received()) == [sequence]


def test_receive__replayed__is_dropped() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    datagram = sender.send(video(1, key=True))
    for _ in range(5):
        stage.receive(datagram, sender.address)
    assert numbers(receiver.received()) == [1]
    assert stage.engine.transport_counters(sender.transport).dropped_packets == 5


@given(st.data())
def test_receive__truncated_or_flipped__is_dropped(data: st.DataObject) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    good = sender.keys.protect(bytes(video(1, key=True)))
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        at, bit = data.draw(st.integers(2, len(good) - 1)), 1 << data.draw(st.integers(0, 7))
        bad = good[:at] + bytes((good[at] ^ bit,)) + good[at + 1 :]
    stage.receive(bad, sender.address)
    assert receiver.datagrams() == []
    assert unharmed(stage, sender, receiver, 2)


@given(st.lists(st.binary(max_size=1600), max_size=10))
def test_receive__garbage__no_crash_and_no_effect(garbage: list[bytes]) -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    for data in garbage:
        stage.receive(data, sender.address)
        stage.receive(data, ("198.51.100.7", 9))
    assert unharmed(stage, sender, receiver, 1)


@pytest.mark.parametrize("lead", [b"\x80\x60", b"\x80\xc8", b"\xbf\x60", b"\xbf\xc8"])
@pytest.mark.parametrize("profile", [GCM, CM])
def test_receive__shorter_than_any_packet__is_dropped(lead: bytes, profile: int) -> None:
    stage = Stage()
    sender = stage.party(profile=profile)
    for size in range(1, 40):
        stage.receive((lead + bytes(40))[:size], sender.address)
    assert stage.engine.transport_counters(sender.transport).dropped_packets == 39
    assert (stage.heard.rtcp, stage.heard.unknown) == ([], [])


@given(
    st.sampled_from(["opus", "VP8", "H264", "VP9", "AV1"]),
    st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 0xFFFF)), max_size=20),
)
def test_receive__authentic_nonsense__no_crash_and_no_effect(
    codec: Codec, bodies: list[tuple[bytes, int]]
) -> None:
    stage = Stage()
    hostile, sender, receiver = stage.party(), stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    spec = StreamSpec(hostile.transport, 3, "video", codec, 96, 90_000, 1, 2)
    leg = stage.engine.add_leg(LegSpec(receiver.transport, 901, "video", {codec: 99}))
    stage.engine.select(leg, stage.engine.add_stream(spec))
    for body, sequence in bodies:
        first = bytes((0x80 | body[0] & 0x3F if body else 0x80, 96))
        packet = first + sequence.to_bytes(2, "big") + bytes(7) + b"\3" + body[1:]
        try:
            datagram = hostile.keys.protect(packet)
        except Exception:  # not even SRTP takes it
            continue
        stage.receive(datagram, hostile.address)
    assert unharmed(stage, sender, receiver, 1)


def test_forward__too_long_for_srtp__is_counted_and_not_sent() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    long = video(1, key=True)
    sender.send(RtpPacket(VP8_PT, 1, 3000, 1, long.payload + bytes(1334)))
    assert stage.engine.refused_packets == 1
    assert unharmed(stage, sender, receiver, 2)


def test_hear__packets_from_a_checked_address_are_taken_and_nothing_is_sent_there() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    other = ("192.0.2.77", 7)
    packet = sender.keys.protect(bytes(video(1, key=True)))
    stage.receive(packet, other)
    assert (receiver.datagrams(), stage.engine.stray_packets) == ([], 1)
    stage.engine.hear(sender.transport, other)
    stage.receive(packet, other)
    assert len(receiver.datagrams()) == 1
    counters = stage.engine.transport_counters(sender.transport)
    assert (counters.received_packets, counters.elsewhere_packets) == (1, 1)
    assert stage.engine.holder(other) is None


def test_hear__the_address_that_was_left_is_heard_until_there_is_none() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    receiver.sees(sender.adds("video", 1))
    left = sender.address
    stage.engine.set_address(sender.transport, ("192.0.2.77", 7))
    stage.receive(sender.keys.protect(bytes(video(1, key=True))), left)
    assert len(receiver.datagrams()) == 1
    stage.engine.set_address(sender.transport, None)
    stage.receive(sender.keys.protect(bytes(video(2, key=True))), left)
    assert receiver.datagrams() == []


def test_lose__sends_nothing_there_and_still_hears_the_others() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    other = ("192.0.2.77", 7)
    stage.engine.hear(sender.transport, other)
    assert stage.engine.lose(sender.address) == sender.transport
    assert stage.engine.lose(sender.address) is None
    assert not stage.engine.hears(sender.address)
    assert stage.engine.hears(other)
    stage.receive(sender.keys.protect(bytes(video(1, key=True))), other)
    assert len(receiver.datagrams()) == 1
    assert stage.engine.lose(receiver.address) == receiver.transport
    stage.receive(sender.keys.protect(bytes(video(2))), other)
    assert receiver.datagrams() == []


def test_lose__of_an_address_that_is_only_heard__forgets_it() -> None:
    stage = Stage()
    party = stage.party()
    other = ("192.0.2.77", 7)
    stage.engine.hear(party.transport, other)
    assert stage.engine.lose(other) is None
    assert not stage.engine.hears(other)
    assert stage.engine.holder(party.address) == party.transport


def test_hear__keeps_the_newest_few_and_yields_to_another_transport() -> None:
    stage = Stage()
    one, another = stage.party(), stage.party()
    addresses = [("192.0.2.77", port) for port in range(1, MAX_ELSEWHERE + 2)]
    for address in [addresses[1], addresses[0], *addresses[1:]]:
        stage.engine.hear(one.transport, address)
    assert [stage.engine.hears(address) for address in addresses] == [False, *[True] * 4]
    stage.engine.hear(another.transport, addresses[-1])
    for address in addresses:
        stage.receive(b"\x16dtls", address)
    counters = [stage.engine.transport_counters(p.transport) for p in (one, another)]
    assert [counter.elsewhere_packets for counter in counters] == [MAX_ELSEWHERE - 1, 1]
    assert stage.heard.dtls == []
