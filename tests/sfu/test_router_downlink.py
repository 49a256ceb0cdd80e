"""What one viewer's reports make of what it is sent."""

from __future__ import annotations

import pytest

from sfu.router.allocation import Allocation
from sfu.router.downlink import Downlink
from sfu.streams.congestion.estimator import CEILING_BPS, START_BPS
from tests.sfu.forwarding import START_NS, Stage

SECOND = 1_000_000_000


class Viewer:
    """One that agreed to tell what arrives, and was sent one packet."""

    def __init__(self) -> None:
        stage = Stage()
        transport = stage.party().transport
        self.downlink = Downlink(transport, stage.engine, START_NS)
        self.downlink.numbered = True
        self.sends = stage.engine._transports[transport].sends
        self.now_ns = START_NS

    def report(self, loss: float, times: int) -> None:
        """A receiver report each second."""
        for _ in range(times):
            self.now_ns += SECOND
            self.downlink.loss_report(loss, self.now_ns)


@pytest.fixture
def viewer() -> Viewer:
    return Viewer()


def test_numbers_that_are_never_told_of__its_loss_is_believed(viewer: Viewer) -> None:
    viewer.sends.note(viewer.now_ns, 1000)
    viewer.report(0.0, 5)
    assert viewer.downlink.budget_bps(0) == START_BPS
    viewer.report(0.5, 10)
    assert viewer.downlink.loss() == 0.5
    assert viewer.downlink.budget_bps(0) < START_BPS / 4
    assert viewer.downlink.estimate_bps == viewer.downlink.budget_bps(0)


def test_numbers_that_are_never_told_of__without_loss__nothing_is_withheld(viewer: Viewer) -> None:
    viewer.sends.note(viewer.now_ns, 1000)
    viewer.report(0.0, 7)
    assert viewer.downlink.budget_bps(0) == CEILING_BPS


def test_nothing_sent_with_a_number__nothing_is_missed(viewer: Viewer) -> None:
    viewer.report(0.5, 60)
    assert viewer.downlink.budget_bps(0) == START_BPS


def test_repeats__are_sent_twice_where_loss_is_no_sign_of_a_full_path(viewer: Viewer) -> None:
    viewer.downlink.numbered = False
    assert viewer.downlink.repeats() == 1
    viewer.report(0.01, 1)
    assert viewer.downlink.repeats() == 1
    viewer.report(0.05, 1)
    assert viewer.downlink.repeats() == 2
    viewer.report(0.5, 2)
    assert viewer.downlink.repeats() == 1, "the estimate was lowered for it"


def test_short__only_when_less_fits_than_when_it_was_decided() -> None:
    stage = Stage()
    downlink = Downlink(stage.party().transport, stage.engine, START_NS)
    downlink.receiver_limit(500_000, START_NS)
    short = []
    for limit_bps in (500_000, 400_000, 900_000):
        downlink.decided(Allocation((), 800_000, 800_000))
        short.append(downlink.is_short)  # nothing else would come of it now
        downlink.receiver_limit(limit_bps, START_NS)
        short.append(downlink.is_short)
    assert short == [False, False, False, True, False, False]
