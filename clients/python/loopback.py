"""Reaching a server on the same machine with aiortc.

aioice leaves 127.0.0.1 out of its host candidates. On a machine with another address it may pair
that one with a server on 127.0.0.1; on a machine that has none there is no candidate at all. So
when the server is on this machine, the loopback address is gathered too.
"""

from __future__ import annotations

from aioice import Candidate
from aiortc import RTCPeerConnection

LOOPBACK = "127.0.0.1"


def gather_loopback(peer_connection: RTCPeerConnection) -> None:
    """Let the one (bundled) transport of a new PeerConnection gather 127.0.0.1 alone.

    Call it after the first transceiver was added and before the local description is set.
    """
    ice = peer_connection.getTransceivers()[0].sender.transport.transport
    # The only private name that we touch; aiortc's version is pinned.
    connection = ice.iceGatherer._connection
    gather = connection.get_component_candidates

    async def gather_on_loopback(
        component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        return await gather(component, [LOOPBACK], timeout)

    connection.get_component_candidates = gather_on_loopback  # type: ignore[method-assign] # of this one only
