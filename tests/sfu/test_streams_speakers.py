from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.streams.speakers import HOLD_NS, STALE_NS, ActiveSpeakers

PACKET_NS = 20_000_000
TALK, QUIET = 25, 90


class Room:
    """Feeds levels of several people, a packet of each every 20 ms."""

    def __init__(self) -> None:
        self.speakers: ActiveSpeakers[str] = ActiveSpeakers()
        self.now_ns = 1_000_000_000

    def hears(self, seconds: float, **levels: int) -> tuple[str, ...]:
        for _ in range(round(seconds * 50)):
            self.now_ns += PACKET_NS
            for key, level in levels.items():
                self.speakers.note(key, level, self.now_ns)
        return self.speakers.current(self.now_ns)


def test_current__who_talks__speaks() -> None:
    assert Room().hears(1, an=TALK, binh=QUIET) == ("an",)


def test_current__nobody__nothing() -> None:
    assert Room().speakers.current(0) == ()
    assert Room().hears(1, an=127, binh=QUIET) == ()


def test_current__a_cough__is_no_speech() -> None:
    room = Room()
    room.hears(1, an=QUIET)
    assert room.hears(0.08, an=10) == ()


def test_current__a_pause_for_breath__goes_on_speaking() -> None:
    room = Room()
    room.hears(1, an=TALK)
    assert room.hears(0.8, an=QUIET) == ("an",)
    assert room.hears(HOLD_NS / 1e9, an=QUIET) == ()


def test_current__packets_stop__falls_silent() -> None:
    room = Room()
    room.hears(1, an=TALK)
    assert room.speakers.current(room.now_ns + STALE_NS) == ("an",)
    assert room.speakers.current(room.now_ns + HOLD_NS + 1) == ()


def test_current__louder_first() -> None:
    assert Room().hears(2, an=40, binh=20, chi=30) == ("binh", "chi", "an")


def test_current__nearly_as_loud__order_stays() -> None:
    room = Room()
    assert room.hears(1, an=30, binh=34) == ("an", "binh")
    for _ in range(10):
        assert room.hears(0.5, an=34, binh=30) == ("an", "binh")
        assert room.hears(0.5, an=30, binh=34) == ("an", "binh")


def test_current__clearly_louder__overtakes() -> None:
    room = Room()
    room.hears(1, an=30, binh=34)
    assert room.hears(1, an=40, binh=20) == ("binh", "an")


def test_current__levels_in_batches__the_same() -> None:
    speakers: ActiveSpeakers[str] = ActiveSpeakers()
    for batch in range(5):
        for _ in range(10):
            speakers.note("an", TALK, batch * 200_000_000)
    assert speakers.current(800_000_000) == ("an",)


def test_forget__is_gone_at_once() -> None:
    room = Room()
    room.hears(1, an=TALK, binh=TALK)
    room.speakers.forget("an")
    room.speakers.forget("nobody")
    assert room.speakers.current(room.now_ns) == ("binh",)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-5, 300), st.integers(-(10**9), 10**9)),
        max_size=60,
    )
)
def test_current__any_notes__names_each_once(notes: list[tuple[str, int, int]]) -> None:
    speakers: ActiveSpeakers[str] = ActiveSpeakers()
    for key, level, now_ns in notes:
        speakers.note(key, level, now_ns)
        current = speakers.current(now_ns)
        assert len(set(current)) == len(current)
        assert set(current) <= {seen for seen, _, _ in notes}
