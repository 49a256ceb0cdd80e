"""What all tests of the SFU share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aioice.ice
import pytest

from tests.sfu.routing import CALL, Stage, StagePeer


@pytest.fixture(autouse=True)
def _loopback_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice leaves 127.0.0.1 out of its host candidates; tests have no other network for sure."""

    def only_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(aioice.ice, "get_host_addresses", only_loopback)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A router on a real engine."""
    stage = Stage(tap_buffer_bytes=1 << 26)
    yield stage
    assert stage.router.state.faults.count == 0
    await stage.close()


@pytest.fixture
async def pair(stage: Stage) -> tuple[StagePeer, StagePeer]:
    """Two connected peers who may do everything."""
    an = await stage.peer("an", *CALL).connected()
    binh = await stage.peer("binh", *CALL).connected()
    return an, binh
