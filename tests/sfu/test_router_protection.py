from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.control.messages import OpenRoom, Pictures, View
from sfu.errors import CommandError
from sfu.ids import PeerId, RoomId, SourceId
from sfu.router.protection import LEVELS, MARKS, Level, Protection, Reading
from tests.sfu.routing import ROOM, SECOND, Stage, StagePeer
from tests.sfu.simulcast import CAMERA, Camera, tick

CALM = Reading(0.1, 0.001, 100)
FULL = Reading(1.0, 0.5, 200_000)


def after(readings: Iterable[Reading]) -> list[Level]:
    """The level after each second's reading."""
    protection = Protection()
    levels = []
    for second, reading in enumerate(readings):
        protection.note(reading, second * SECOND)
        levels.append(protection.level)
    return levels


def test_calm__is_normal() -> None:
    assert set(after([CALM] * 30)) == {"normal"}


def test_one_busy_second__changes_nothing() -> None:
    assert set(after([CALM, FULL, CALM, FULL, FULL, CALM] * 5)) == {"normal"}


def test_normal__full__climbs_step_by_step_to_voices() -> None:
    assert after([FULL] * 15)[2::3] == ["busy", "middle", "lowest", "voices", "voices"]


def test_voices__calm__comes_back_step_by_step() -> None:
    levels = after([FULL] * 15 + [CALM] * 50)
    assert [levels[14 + 11 * n] for n in range(5)] == list(reversed(LEVELS))


def test_between_the_marks__it_stays() -> None:
    between = Reading((MARKS["busy"].enter.cpu + MARKS["busy"].leave.cpu) / 2, 0.001, 100)
    assert after([FULL] * 3 + [between] * 60)[-1] == "busy"


@pytest.mark.parametrize("field", Reading._fields)
def test_any_of_the_three__is_enough(field: str) -> None:
    assert after([CALM._replace(**{field: getattr(FULL, field)})] * 4)[-1] == "busy"


@given(
    st.lists(
        st.builds(Reading, st.floats(0, 2), st.floats(0, 2), st.floats(0, 300_000)), max_size=60
    )
)
def test_levels__change_by_one_step_at_a_time(readings: list[Reading]) -> None:
    places = [LEVELS.index(level) for level in after(readings)]
    assert all(abs(b - a) <= 1 for a, b in pairwise(places))


# -------------------------------------------------------------- in the router


def load(stage: Stage, reading: Reading, seconds: int) -> None:
    for _ in range(seconds):
        stage.now_ns += SECOND
        stage.router.protect(reading, stage.now_ns)


async def test_busy_node__takes_no_new_room_and_keeps_those_it_has(stage: Stage) -> None:
    load(stage, FULL, 3)
    with pytest.raises(CommandError) as caught:
        stage.do(OpenRoom(room=RoomId("another")))
    assert caught.value.code == "busy"
    stage.do(OpenRoom(room=ROOM))
    assert stage.router.state.rooms_refused == 1


def shown(stage: Stage) -> str:
    (row,) = (r for r in stage.statistics().legs if r.peer == "binh" and r.kind == "video")
    return row.rid


async def test_overload__lowers_pictures_then_stops_them_but_not_what_is_pinned(
    stage: Stage,
) -> None:
    an = await stage.peer("an", "mic", CAMERA).connected()
    binh: StagePeer = await stage.peer("binh", "hear", "see").connected()
    camera = Camera(an)
    camera.run(6)
    assert shown(stage) == "f"
    for level, rid in (("middle", "h"), ("lowest", "q")):
        while stage.router.state.protection.level != level:
            load(stage, FULL, 1)
        camera.run(1)
        assert shown(stage) == rid
    load(stage, FULL, 3)
    assert stage.router.state.protection.level == "voices"
    tick(stage)
    told = [e.seats for e in stage.events if isinstance(e, Pictures)]
    assert told[-1] == ("busy",)
    pin = (SourceId("an/camera"),)
    stage.do(View(room=ROOM, peer=PeerId("binh"), pinned=pin))
    camera.run(3)
    assert [e.seats for e in stage.events if isinstance(e, Pictures)][-1] == ("shown",)
    assert {p.ssrc for p in binh.received()} == {binh.ssrc(0, "video")}


async def test_step__settles_no_room_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[object] = []
    monkeypatch.setattr(stage.router.rooms[ROOM], "settle", settled.append)
    load(stage, FULL, 3)
    assert stage.router.state.protection.level == "busy"
    assert settled == []
