"""What crosses and what does not, and who sits where, on a real engine."""

from __future__ import annotations

from sfu.control.messages import (
    MediaState,
    Seating,
    SeatView,
    Speakers,
    View,
)
from sfu.ids import PeerId, SourceId
from sfu.router import ticks
from sfu.rtp.rtcp import (
    PictureLossIndication,
)
from tests.sfu.routing import ALL, CALL, MS, ROOM, SECOND, Stage, StagePeer, picture, voice


async def test_not_permitted__nothing_goes_either_way(stage: Stage) -> None:
    stage.permit("an")
    stage.permit("cho", (), receive=False)
    an = await stage.peer("an", *CALL).connected()
    waiting = await stage.peer("cho", *CALL, permitted=False).connected()
    for peer in (an, waiting):
        peer.send(voice(1))
        peer.send(picture(1, key=True))
    assert waiting.received() == []
    assert an.received() == []
    assert [row for row in stage.statistics().legs if row.peer == "cho"] == []
    row = next(r for r in stage.statistics().transports if r.peer == "cho")
    assert row.rtp_sent_packets == 0
    assert stage.seating("cho") == [None]
    assert stage.seating("an") == [None]


async def test_hold__stops_both_ways_at_once_and_return_brings_all_back(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    for peer in pair:
        peer.send(voice(1))
        peer.send(picture(1, key=True))
    assert len(an.received()) == len(binh.received()) == 2
    stage.permit("binh", (), receive=False, version=1)
    for peer in pair:
        peer.send(voice(2))
        peer.send(picture(2, key=True))
    assert an.received() == binh.received() == []
    stage.permit("binh", ALL, version=2)
    for peer in pair:
        peer.send(voice(3))
        peer.send(picture(3, key=True))
    assert len(an.received()) == len(binh.received()) == 2


async def test_late_admission__does_not_undo_a_hold(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    stage.permit("binh", (), receive=False, version=7)
    stage.permit("binh", ALL, version=6)
    an.send(voice(1))
    binh.send(voice(1))
    assert an.received() == binh.received() == []
    stage.permit("binh", ALL, version=7)
    an.send(voice(2))
    assert len(binh.received()) == 1


async def test_permission_for_voice_only__lets_no_picture_through(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    stage.permit("an", ("audio",))
    an.send(voice(1))
    an.send(picture(1, key=True))
    assert [p.ssrc for p in binh.received()] == [binh.ssrc(0, "audio")]


async def test_observer__sees_and_is_not_seen(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    stage.permit("xem", ())
    observer = await stage.peer("xem", "hear", "see", permitted=False).connected()
    an.send(voice(1))
    assert len(observer.received()) == 1
    assert stage.seating("an") == [None]


async def test_wanted__counts_all_that_a_peer_may_see(stage: Stage) -> None:
    for name in ("an", "binh", "chi"):
        stage.peer(name, *CALL)
    told = [e for e in stage.events if isinstance(e, Seating) and e.peer == "an"][-1]
    assert told.wanted == 2
    assert [s.peer if s else None for s in told.seats] == ["binh"]


async def test_more_seats__are_filled_after_renegotiation(stage: Stage) -> None:
    an = stage.peer("an", *CALL)
    for name in ("binh", "chi"):
        stage.peer(name, *CALL)
    assert an.negotiate(*CALL, "hear", "see").seats == 2
    assert stage.seating("an") == ["binh/camera", "chi/camera"]


async def test_speaker__takes_the_seat_and_is_told(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    await stage.peer("binh", *CALL).connected()
    chi = await stage.peer("chi", *CALL).connected()
    assert stage.seating("an") == ["binh/camera"]
    for sequence in range(60):
        chi.send(voice(sequence + 1, level=20))
        stage.now_ns += 20 * MS
        ticks.speakers(stage.router, stage.now_ns)
    assert [e.peers for e in stage.events if isinstance(e, Speakers)] == [("chi",)]
    assert stage.seating("an") == ["chi/camera"]
    an.received()
    chi.send(voice(99))
    assert len(an.received()) == 1


async def test_hidden_seat__gets_no_picture_until_it_is_shown(
    stage: Stage, pair: tuple[StagePeer, StagePeer]
) -> None:
    an, binh = pair
    an.send(picture(1, key=True))
    stage.do(View(room=ROOM, peer=binh.name, seats=(SeatView(seat=0, height_px=0),)))
    an.send(picture(2, key=True))
    an.send(voice(1))
    video = binh.ssrc(0, "video")
    assert [p.ssrc for p in binh.received()] == [video, binh.ssrc(0, "audio")]
    an.told()
    stage.now_ns += 2 * SECOND
    stage.do(View(room=ROOM, peer=binh.name, seats=(SeatView(seat=0, height_px=360),)))
    assert an.told(PictureLossIndication) != []
    an.send(picture(3, key=True))
    assert [p.ssrc for p in binh.received()] == [video]


async def test_view__hidden_before_there_is_a_picture__stays_hidden(stage: Stage) -> None:
    binh = await stage.peer("binh", *CALL).connected()
    view = (SeatView(seat=0, height_px=0), SeatView(seat=9, height_px=0))
    stage.do(View(room=ROOM, peer=binh.name, seats=view))
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1, key=True))
    assert binh.received() == []


async def test_pin__brings_to_the_seat(stage: Stage) -> None:
    for name in ("an", "binh", "chi"):
        stage.peer(name, *CALL)
    stage.do(View(room=ROOM, peer=PeerId("an"), pinned=(SourceId("chi/camera"),)))
    assert stage.seating("an") == ["chi/camera"]


async def test_screen__is_a_source_of_its_own_while_it_is_shared(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    binh = await stage.peer("binh", "mic", "cam", "screen").connected()
    assert stage.seating("an") == ["binh/screen"]
    binh.send(picture(1, key=True, ssrc=31, mid="2"))
    assert [p.ssrc for p in an.received()] == [an.ssrc(0, "video")]
    off = MediaState(room=ROOM, peer=binh.name, audio=False, video=False, screen=False)
    stage.do(off)
    assert stage.seating("an") == ["binh/camera"]
