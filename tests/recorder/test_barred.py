"""What the consents bar: from each no to the next yes, and all after a recording was withdrawn."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from recorder.record.barred import Barred, barred
from recorder.record.dossier import ConsentRow, Dossier, RecordingSpan
from tests.recorder.consultation import consent
from tests.recorder.visits import T, visit

SECOND_NS = 1_000_000_000
T_NS = round(T) * SECOND_NS


def dossier(*rows: ConsentRow, spans: tuple[RecordingSpan, ...] = ()) -> Dossier:
    return msgspec.structs.replace(visit(), consents=rows, recordings=spans)


def span(name: str, reason: str, stopped_at: float | None = T + 9) -> RecordingSpan:
    return RecordingSpan(
        id=name,
        started_at=T,
        started_by="p1",
        stopped_at=stopped_at,
        stop_reason=reason,  # type: ignore[arg-type]  # the callers name reasons
    )


def holds(found: tuple[Barred, ...], peer: str, at_s: float) -> bool:
    return any(one.holds(peer, T_NS + round(at_s * SECOND_NS)) for one in found)


def test_given__bars_nothing() -> None:
    assert barred(dossier(consent("p2", "given", T)), "rec-1") == ()


def test_never_asked__bars_nothing() -> None:
    assert barred(dossier(), "rec-1") == ()


def test_refused__bars_this_person_from_then_on() -> None:
    found = barred(dossier(consent("p2", "refused", T + 3)), "rec-1")
    assert found == (Barred("peer2", T_NS + 3 * SECOND_NS, None),)
    assert not holds(found, "peer2", 2.999)
    assert holds(found, "peer2", 3)
    assert holds(found, "peer2", 9_999)
    assert not holds(found, "peer1", 4)


def test_withdrawn__bars_from_then_on_and_not_before() -> None:
    rows = (consent("p2", "given", T), consent("p2", "withdrawn", T + 5))
    found = barred(dossier(*rows), "rec-1")
    assert [holds(found, "peer2", at_s) for at_s in (-1, 4.999, 5, 6)] == [
        False,
        False,
        True,
        True,
    ]


def test_given_again__bars_only_between() -> None:
    rows = (
        consent("p2", "given", T),
        consent("p2", "withdrawn", T + 5),
        consent("p2", "refused", T + 6),
        consent("p2", "given", T + 8),
    )
    found = barred(dossier(*rows), "rec-1")
    assert found == (Barred("peer2", T_NS + 5 * SECOND_NS, T_NS + 8 * SECOND_NS),)
    assert holds(found, "peer2", 7.999)
    assert not holds(found, "peer2", 8)


def test_rows_out_of_order__count_by_their_time() -> None:
    rows = (consent("p2", "given", T + 8), consent("p2", "withdrawn", T + 5))
    assert barred(dossier(*rows), "rec-1") == barred(dossier(*reversed(rows)), "rec-1")


def test_recording_ended_by_a_withdrawal__bars_everybody_from_then_on() -> None:
    found = barred(dossier(spans=(span("rec-1", "consent_withdrawn"),)), "rec-1")
    assert found == (Barred("", T_NS + 9 * SECOND_NS, None),)
    assert holds(found, "peer1", 9)
    assert holds(found, "a peer of nobody", 10)
    assert not holds(found, "peer1", 8.999)


def test_other_recordings_and_other_ends__bar_nothing() -> None:
    spans = (
        span("rec-0", "consent_withdrawn"),
        span("rec-1", "stopped"),
        span("rec-2", "consent_withdrawn", None),
    )
    for name in ("rec-1", "rec-2", "rec-3"):
        assert barred(dossier(spans=spans), name) == ()


DECISIONS = st.lists(
    st.tuples(
        st.sampled_from(["p1", "p2"]),
        st.sampled_from(["given", "refused", "withdrawn"]),
        st.integers(0, 50),
    ),
    unique_by=lambda row: (row[0], row[2]),
)


@given(decisions=DECISIONS, person=st.sampled_from([1, 2]), at_s=st.integers(0, 51))
def test_at_every_moment__the_last_decision_counts(
    decisions: list[tuple[str, str, int]], person: int, at_s: int
) -> None:
    rows = [consent(who, what, T + when) for who, what, when in decisions]
    before = [(when, what) for who, what, when in decisions if who == f"p{person}"]
    last = max((one for one in before if one[0] <= at_s), default=(0, "given"))
    found = barred(dossier(*rows), "rec-1")
    assert holds(found, f"peer{person}", at_s) == (last[1] != "given")
