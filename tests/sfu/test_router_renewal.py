"""New offers, new transports, and what they keep, on a real engine."""

from __future__ import annotations

from sfu.control.messages import (
    PeerTransport,
    RemovePeer,
)
from sfu.ids import PeerId
from tests.sfu.offers import Line
from tests.sfu.routing import CALL, ROOM, Stage, StagePeer, picture, voice
from tests.sfu.simulcast import CAMERA, Camera


async def test_fresh_offer__replaces_the_transport_and_keeps_the_seats(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    again = StagePeer(stage, "an")
    stage.peers.append(again)
    before = len(stage.events)
    again.negotiate(*CALL, fresh=True)
    await again.connected()
    told = [e for e in stage.events[before:] if isinstance(e, PeerTransport)]
    assert [(e.peer, e.state) for e in told] == [("an", "connecting"), ("an", "connected")]
    assert stage.seating("binh") == ["an/camera"]
    binh.received()
    an.send(voice(2))
    assert binh.received() == []
    again.send(voice(1))
    assert len(binh.received()) == 1
    assert len(stage.statistics().transports) == 2


async def test_another_fingerprint__is_a_fresh_connection_too(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    again = StagePeer(stage, "an")
    stage.peers.append(again)
    again.negotiate(*CALL)
    assert again.field("ice-ufrag") != pair[0].field("ice-ufrag")
    await again.connected()


async def test_new_ufrag__restarts_ice_and_media_goes_on(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    old = an.field("ice-ufrag")
    an.ufrag = "another"
    an.negotiate(*CALL)
    assert an.field("ice-ufrag") != old
    an.send(voice(1))
    assert len(binh.received()) == 1
    an.address = ("198.51.100.1", 5)
    an.check()
    an.send(voice(2))
    assert len(binh.received()) == 1


async def test_further_offer__that_leaves_out_what_we_did__keeps_streams_and_legs(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(voice(1))
    an.send(picture(1, key=True))
    first = {p.ssrc: p.sequence for p in binh.received()}
    left_out = ("a=rtcp-fb:96 transport-cc", "a=rtcp-fb:96 goog-remb")
    for peer in pair:
        peer.negotiate("mic", "cam", "hear", Line("see", without=left_out))
    an.send(voice(2))
    an.send(picture(2))
    after = {p.ssrc: p.sequence for p in binh.received()}
    assert after == {ssrc: (sequence + 1) % 65_536 for ssrc, sequence in first.items()}


async def test_further_offer__with_fewer_layers__ends_the_old_streams(stage: Stage) -> None:
    an = await stage.peer("an", "mic", CAMERA).connected()
    Camera(an).frame(key=True)
    assert len(stage.statistics().streams) == 3
    an.negotiate("mic", "cam")
    assert stage.statistics().streams == ()
    an.send(picture(1, key=True))
    assert [row.packets for row in stage.statistics().streams] == [1]
    stage.do(RemovePeer(room=ROOM, peer=an.name))
    assert stage.statistics().transports == ()


async def test_totals__do_not_fall_when_a_peer_goes(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, _ = pair
    an.send(voice(1))
    stage.do(RemovePeer(room=ROOM, peer=an.name))
    stage.do(RemovePeer(room=ROOM, peer=PeerId("binh")))
    totals = stage.router.state.retired.by_kind["audio"]
    assert (totals.received_packets, totals.sent_packets) == (1, 1)
