from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.history import NO_SWITCH, StreamPacket
from sfu.streams.layers import ALL, HIGHEST, LayerFilter


def packet(
    index: int,
    temporal: int = 0,
    spatial: int = 0,
    *,
    begins: bool = True,
    key: bool = False,
    switch: tuple[int, int] = (NO_SWITCH, 0),
    time: int | None = None,
) -> StreamPacket:
    made = StreamPacket()
    made.index, made.timestamp = index, index if time is None else time
    made.temporal, made.spatial, made.begins, made.key_frame = temporal, spatial, begins, key
    made.switch_from, made.switch_to = switch
    return made


def test_new__is_open_and_admits_everything() -> None:
    limits = LayerFilter()
    assert limits.is_open
    assert limits.admits(packet(1, 3, 3))


def test_want__lower__at_the_next_picture() -> None:
    limits = LayerFilter()
    limits.want(0, 1)
    assert not limits.is_open
    assert limits.admits(packet(1, 2, begins=False))
    assert not limits.admits(packet(2, 2))
    assert limits.admits(packet(3, 1))
    assert not limits.admits(packet(4, 0, 1, begins=False))
    assert limits.admits_late(packet(1, 2))
    assert not limits.admits_late(packet(2, 0, 1))


def test_start__what_is_wanted_is_in_force() -> None:
    limits = LayerFilter()
    limits.want(0, 0)
    limits.start()
    assert not limits.admits(packet(1, 1, begins=False))
    limits.want(ALL, ALL)
    assert not limits.is_open
    limits.start()
    assert limits.is_open


@pytest.mark.parametrize(
    ("codec", "wanted", "is_open"),
    [
        ("VP8", (0, 3), True),
        ("VP8", (0, 2), False),
        ("H264", (0, 0), True),
        ("VP9", (0, ALL), False),
        ("VP9", (ALL, ALL), True),
    ],
)
def test_start__limits_above_all_that_the_codec_has__is_open(
    codec: str, wanted: tuple[int, int], is_open: bool
) -> None:
    limits = LayerFilter()
    limits.want(*wanted)
    limits.start(HIGHEST[codec])
    assert limits.is_open is is_open


@pytest.mark.parametrize(
    ("switch", "admitted"),
    [((NO_SWITCH, 0), False), ((0, 1), True), ((1, 2), False), ((0, ALL), True)],
)
def test_want__higher_temporal__where_the_stream_switches(
    switch: tuple[int, int], admitted: bool
) -> None:
    limits = LayerFilter()
    limits.want(ALL, 0)
    limits.start()
    limits.want(ALL, 2)
    assert limits.admits(packet(5, 1, switch=switch)) is admitted
    assert not limits.admits_late(packet(4, 1))


def test_want__higher_spatial__at_a_key_frame() -> None:
    limits = LayerFilter()
    limits.want(0, 0)
    limits.start()
    limits.want(2, 2)
    assert not limits.admits(packet(1, 0, 1, switch=(0, ALL)))
    assert limits.admits(packet(2, key=True))
    assert limits.admits(packet(3, 2, 2))
    assert [limits.admits_late(packet(index, 0, 1)) for index in (1, 2)] == [False, True]


def test_waits__until_a_key_frame_for_layers_that_the_codec_can_have() -> None:
    limits = LayerFilter()
    limits.want(0, 0)
    limits.start()
    waits = []
    for spatial, key in ((0, False), (1, False), (1, True)):
        limits.want(spatial, ALL)
        limits.admits(packet(5, key=key))
        waits.append(limits.waits)
    assert waits == [False, True, False]


def test_waits__codec_without_spatial_layers__never() -> None:
    limits = LayerFilter()
    limits.want(0, 0)
    limits.start(HIGHEST["VP8"])
    limits.want(ALL, ALL)
    assert not limits.waits


def test_drops__between_two_packets_of_a_dropped_picture__is_dropped_too() -> None:
    limits = LayerFilter()
    assert limits.drops(packet(10, time=1), 4) == 10
    assert limits.drops(packet(14, time=1), 4) == 11
    assert limits.drops(packet(16, time=2), 2) == 16
    limits.forwards()
    assert limits.drops(packet(18, time=2), 2) == 18


def test_mark__end_of_the_highest_layer_that_is_forwarded() -> None:
    limits = LayerFilter()
    limits.want(1, ALL)
    limits.start()
    ends = packet(1, 0, 1)
    ends.ends = True
    assert limits.mark(ends) == 0x80
    ends.spatial = 0
    assert limits.mark(ends) == 0
    assert limits.mark(packet(2, 0, 1)) == 0


steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans(), st.integers(0, 2)), max_size=60
)


@given(steps)
def test_filter__packets_of_a_picture_are_judged_alike_early_and_late(
    pictures: list[tuple[int, int, bool, int]],
) -> None:
    limits, index = LayerFilter(), 0
    for wanted, temporal, switches, lower in pictures:
        judged = []
        for number in range(3):
            if number == 1:
                limits.want(ALL, wanted)
            made = packet(
                index,
                temporal,
                begins=number == 0,
                switch=(lower, temporal) if switches else (NO_SWITCH, 0),
            )
            judged.append((made, limits.admits(made)))
            index += 1
        assert len({admitted for _, admitted in judged}) == 1
        assert all(limits.admits_late(made) == admitted for made, admitted in judged)
