from __future__ import annotations

from typing import Any

import pytest

from load_tests.__main__ import all_valid


def row(*, ours: bool, theirs: bool | None = None) -> dict[str, Any]:
    sides = {"ours": {"valid": ours}}
    return sides if theirs is None else sides | {"theirs": {"valid": theirs}, "ratio": 0.7}


@pytest.mark.parametrize(
    ("rows", "succeeded"),
    [
        ([row(ours=True)], True),
        ([row(ours=True, theirs=True), row(ours=True, theirs=True)], True),
        ([row(ours=False)], False),
        ([row(ours=True, theirs=True), row(ours=True, theirs=False)], False),
        ([], False),
    ],
)
def test_compare__succeeds_only_when_all_figures_are_valid(
    rows: list[dict[str, Any]], succeeded: bool
) -> None:
    assert all_valid({"loads": rows}) is succeeded
