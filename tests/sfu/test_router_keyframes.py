"""Who waits for a key frame, on a real engine."""

from __future__ import annotations

from sfu.control.messages import RemovePeer, StartTap, StopTap
from sfu.ids import TapId
from tests.sfu.routing import CALL, ROOM, Stage, picture


async def test_viewers_who_leave_before_the_key_frame__are_not_kept(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    requests = stage.router.state.key_frames
    for name in ("binh", "chi", "dung"):
        viewer = await stage.peer(name, "hear", "see").connected()
        assert len(requests._waits_for) == 1
        stage.do(RemovePeer(room=ROOM, peer=viewer.name))
        assert len(requests._waits_for) == 0
    assert requests._waiting == {}


async def test_taps_that_end_before_the_key_frame__are_not_kept(stage: Stage) -> None:
    an = await stage.peer("an", *CALL).connected()
    an.send(picture(1))
    requests = stage.router.state.key_frames
    stage.do(StartTap(room=ROOM, tap=TapId("tap"), version=1, peers=(an.name,)))
    assert len(requests._waits_for) == 1
    stage.do(StopTap(tap=TapId("tap")))
    assert len(requests._waits_for) == 0
