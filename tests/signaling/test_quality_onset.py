"""When bad signs become a fault, and when it is over."""

from __future__ import annotations

from signaling.quality.onset import Onset


def looked(signs: str, after_s: float = 2.5) -> Onset:
    """One sign a second: `b`ad, `g`ood or `?`."""
    onset = Onset(after_s)
    for second, sign in enumerate(signs, start=1):
        onset.look({"b": True, "g": False, "?": None}[sign], second - 1.0, float(second))
    return onset


def test_bad__fault_after_its_time() -> None:
    assert not looked("bb").is_fault
    assert looked("bbb").is_fault


def test_since__when_the_first_bad_second_began() -> None:
    assert looked("ggbbb").since == 2.0


def test_good__before_it_is_a_fault__begins_anew() -> None:
    assert not looked("bbgbb").is_fault


def test_good__one_second_is_luck() -> None:
    assert looked("bbbg").is_fault
    assert not looked("bbbgg").is_fault
    assert looked("bbbgbg").is_fault


def test_unknown__once__holds() -> None:
    onset = looked("bb?b")
    assert onset.is_fault
    assert onset.since == 0.0


def test_unknown__longer__bad_ones_are_not_in_a_row() -> None:
    assert not looked("b??b").is_fault
    onset = looked("bb????bbb")
    assert onset.is_fault
    assert onset.since == 6.0


def test_unknown__a_fault_goes_on() -> None:
    onset = looked("bbb????b")
    assert onset.is_fault
    assert onset.since == 0.0


def test_unknown__for_long__forgotten() -> None:
    assert not looked("bbb?????").is_fault


def test_unknown__alone_makes_no_fault() -> None:
    assert not looked("b???").is_fault
