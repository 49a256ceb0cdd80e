"""An archive's steps, arrow by arrow; what they write is in test_service.py."""

from __future__ import annotations

import pytest

from recorder.archive import TABLE, Progress, Step, after
from recorder.errors import StateError


def test_collects__collected__muxes() -> None:
    assert after(Step.COLLECTS, Progress.COLLECTED) is Step.MUXES


def test_muxes__muxed__manifest() -> None:
    assert after(Step.MUXES, Progress.MUXED) is Step.MANIFEST


def test_manifest__listed__bundle() -> None:
    assert after(Step.MANIFEST, Progress.LISTED) is Step.BUNDLE


def test_bundle__handed_over__delivered() -> None:
    assert after(Step.BUNDLE, Progress.HANDED_OVER) is Step.DELIVERED


@pytest.mark.parametrize("step", [s for s in Step if s is not Step.DELIVERED])
def test_any_unfinished__failed__begins_again(step: Step) -> None:
    assert after(step, Progress.FAILED) is Step.COLLECTS


@pytest.mark.parametrize(
    ("step", "progress"), [(s, p) for s in Step for p in Progress if p not in TABLE[s]]
)
def test_every_other_arrow__is_our_fault(step: Step, progress: Progress) -> None:
    with pytest.raises(StateError):
        after(step, progress)
