"""Codecs: what is sent can be decoded by everybody who receives, or its sender is asked."""

from __future__ import annotations

from sfu.control.messages import OfferWanted, StartTap
from sfu.ids import PeerId, TapId
from sfu.router.decoding import ALL_VIDEO, choose, decodable, must_change
from sfu.transport.codecs import OfferedCodec
from sfu.transport.description import parse_offer
from tests.sfu.offers import Line, offer
from tests.sfu.routing import ROOM, Stage, StagePeer

VP9 = ("a=rtpmap:96 VP9/90000", "a=rtcp-fb:96 nack pli", "a=fmtp:96 profile-id=0")
VP8 = ("a=rtpmap:102 VP8/90000", "a=rtcp-fb:102 nack pli")
MODERN = Line("cam", codecs=(*VP9, *VP8))
SEES_ALL = Line("see", codecs=(*VP9, *VP8))
SEES_VP8 = Line("see", codecs=VP8)


def offered(line: Line) -> tuple[OfferedCodec, ...]:
    return parse_offer(offer("mic", line)).sections[1].codecs


def test_decodable__is_what_all_have_in_common() -> None:
    assert decodable([]) == ALL_VIDEO
    assert decodable([None]) == ALL_VIDEO
    assert decodable([frozenset({"VP8", "VP9"}), None, frozenset({"VP8"})]) == {"VP8"}


def test_choose__keeps_what_is_used_while_it_will_do() -> None:
    section = parse_offer(offer("mic", MODERN)).sections[1]
    vp9, vp8 = section.codecs
    assert choose(section, ALL_VIDEO, None) == vp9
    assert choose(section, ALL_VIDEO, vp8) == vp8
    assert choose(section, frozenset({"VP9"}), vp8) == vp9
    assert choose(section, frozenset({"H264"}), None) == vp8  # as many as can see it
    assert must_change(section, vp9, frozenset({"VP8"}))
    assert not must_change(section, vp9, frozenset({"H264"}))
    assert not must_change(section, vp8, frozenset({"VP8"}))


def wanted(stage: Stage) -> list[str]:
    return [e.peer for e in stage.events if isinstance(e, OfferWanted)]


def agreed(peer: StagePeer) -> str:
    """The codec of the camera in the answer."""
    section = peer.answer.split("m=video")[1]
    return section.split("a=rtpmap:")[1].split()[1].split("/")[0]


async def test_newcomer_who_cannot_decode__has_the_sender_fall_back(stage: Stage) -> None:
    an = stage.peer("an", "mic", MODERN, "hear", SEES_ALL)
    stage.peer("binh", "mic", MODERN, "hear", SEES_ALL)
    assert agreed(an) == "VP9"
    assert wanted(stage) == []
    chi = stage.peer("chi", "mic", "hear", SEES_VP8)
    assert sorted(wanted(stage)) == ["an", "binh"]
    chi.negotiate("mic", "hear", SEES_VP8)
    assert len(wanted(stage)) == 2  # asked once
    an.negotiate("mic", MODERN, "hear", SEES_ALL)
    assert agreed(an) == "VP8"
    assert len(wanted(stage)) == 2


async def test_person_in_the_waiting_room__changes_nobodys_codec(stage: Stage) -> None:
    stage.peer("an", "mic", MODERN, "hear", SEES_ALL)
    stage.permit("cho", (), receive=False)
    stage.peer("cho", "mic", "hear", SEES_VP8, permitted=False)
    assert wanted(stage) == []
    stage.permit("cho", (), version=1)
    assert wanted(stage) == ["an"]


async def test_recorder__is_one_who_must_be_able_to_read(stage: Stage) -> None:
    an = stage.peer("an", "mic", MODERN)
    assert agreed(an) == "VP9"
    stage.do(StartTap(room=ROOM, tap=TapId("t"), peers=(PeerId("an"),)))
    assert wanted(stage) == ["an"]
    an.negotiate("mic", MODERN)
    assert agreed(an) == "VP8"
