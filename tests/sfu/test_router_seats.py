from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.ids import PeerId, SourceId
from sfu.router.seats import Candidate, arrange, ranked


def camera(name: str, arrived: int, *, spoke_ns: int = 0) -> Candidate:
    return Candidate(SourceId(f"{name}/camera"), PeerId(name), False, arrived, spoke_ns)


def screen(name: str, arrived: int) -> Candidate:
    return Candidate(SourceId(f"{name}/screen"), PeerId(name), True, arrived)


def seated(
    candidates: list[Candidate],
    before: tuple[str | None, ...] = (),
    seats: int | list[bool] = 2,
    pinned: tuple[str, ...] = (),
) -> list[str | None]:
    """The names on the seats; a screen is `name!`."""
    with_video = [True] * seats if isinstance(seats, int) else seats
    sources = [None if b is None else _source(b) for b in before]
    found = arrange(
        ranked(candidates), sources, with_video, pinned=[_source(name) for name in pinned]
    )
    return [None if s is None else s.replace("/camera", "").replace("/screen", "!") for s in found]


def _source(name: str) -> SourceId:
    return SourceId(f"{name[:-1]}/screen" if name.endswith("!") else f"{name}/camera")


A, B, C = camera("a", 1), camera("b", 2), camera("c", 3)


def test_seats__are_given_in_order_of_arrival() -> None:
    assert seated([C, B, A]) == ["a", "b"]


def test_too_few_sources__leave_seats_empty() -> None:
    assert seated([A]) == ["a", None]
    assert seated([]) == [None, None]


def test_who_leaves__leaves_an_empty_seat_and_others_stay() -> None:
    assert seated([B, C], ("a", "b", "c"), seats=3) == [None, "b", "c"]


def test_newcomer__takes_the_empty_seat() -> None:
    assert seated([B, C], (None, "b")) == ["c", "b"]


def test_speaker_without_a_seat__takes_that_of_the_least_recent_speaker() -> None:
    a, b = camera("a", 1, spoke_ns=50), camera("b", 2, spoke_ns=10)
    assert seated([a, b, camera("c", 3, spoke_ns=99)], ("a", "b")) == ["a", "c"]


def test_speaker_with_a_seat__moves_nobody() -> None:
    assert seated([A, camera("b", 2, spoke_ns=9)], ("a", "b")) == ["a", "b"]


def test_screen__comes_before_speakers() -> None:
    assert seated([A, camera("b", 2, spoke_ns=9), screen("c", 3)], ("a", "b")) == ["c!", "b"]


def test_pinned__comes_before_screens() -> None:
    candidates = [A, B, screen("c", 3)]
    assert seated(candidates, ("a", None), seats=1, pinned=("b",)) == ["b"]


def test_pin_of_nobody__changes_nothing() -> None:
    assert seated([A, B], pinned=("nobody",)) == ["a", "b"]


def test_screen__never_sits_where_it_cannot_be_seen() -> None:
    assert seated([screen("c", 3)], seats=[False]) == [None]
    assert seated([A, screen("c", 3)], ("a", None), seats=[True, False]) == ["c!", "a"]
    assert seated([screen("c", 3), A], (None, "c!"), seats=[True, False]) == ["c!", "a"]


def test_camera__may_sit_on_a_seat_without_video() -> None:
    assert seated([A, B], seats=[True, False]) == ["a", "b"]


def test_fewer_seats_than_before__keep_the_best() -> None:
    assert seated([A, B, C], ("a", "b", "c"), seats=1) == ["a"]


names = st.sampled_from("abcdefgh")
candidate_lists = st.lists(
    st.builds(
        lambda name, is_screen, spoke: (
            screen(name, ord(name)) if is_screen else camera(name, ord(name), spoke_ns=spoke)
        ),
        names,
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=12,
    unique_by=lambda c: c.source,
)


@given(candidate_lists, st.lists(st.booleans(), max_size=6), st.lists(names, max_size=3))
def test_any_seating__is_whole_and_stable(
    candidates: list[Candidate], with_video: list[bool], pinned: list[str]
) -> None:
    order = ranked(candidates)
    pins = [SourceId(f"{name}/camera") for name in pinned]
    first = arrange(order, (), with_video, pinned=pins)
    taken = [source for source in first if source is not None]
    assert len(taken) == len(set(taken))
    assert set(taken) <= {c.source for c in candidates}
    screens = {c.source for c in candidates if c.screen}
    assert not any(s in screens and not v for s, v in zip(first, with_video, strict=True))
    cameras = sum(not c.screen for c in candidates)
    assert len(taken) >= min(cameras, len(with_video))
    assert arrange(order, first, with_video, pinned=pins) == first


@given(candidate_lists, candidate_lists, st.lists(st.booleans(), min_size=1, max_size=6))
def test_who_stays_seated__keeps_the_seat(
    before: list[Candidate], after: list[Candidate], with_video: list[bool]
) -> None:
    first = arrange(ranked(before), (), with_video)
    second = arrange(ranked(after), first, with_video)
    screens = any(c.screen for c in after)
    for index, source in enumerate(first):
        if source is not None and source in second and (all(with_video) or not screens):
            assert second[index] == source
