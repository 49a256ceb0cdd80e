"""One peer of a room: its permissions, its transport, what it sends and what it receives."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from sfu.control.messages import SendKind
from sfu.ids import PeerId, SourceId
from sfu.router.allowance import Allowance
from sfu.router.bitrate import UplinkBudget
from sfu.router.publisher import Publisher
from sfu.router.subscriber import Subscriber
from sfu.transport.answer import Local, build_answer
from sfu.transport.description import Offer, check_continues
from sfu.transport.peer import PeerTransport

#: Packets that one peer may ask to have repeated: more is an outage or an attack.
_RESENDS_PER_S = 1000.0
_RESENDS_BURST = 2000.0


@dataclass(slots=True)
class Connection:
    """Everything of a peer that ends with its transport."""

    transport: PeerTransport
    offer: Offer
    publisher: Publisher
    subscriber: Subscriber
    budget: UplinkBudget
    #: The SSRC that our reports and requests to this peer come from.
    ssrc: int = field(default_factory=lambda: secrets.randbits(31) + 1)
    session_id: int = field(default_factory=lambda: secrets.randbits(62))
    answers: int = 0
    resends: Allowance = field(default_factory=lambda: Allowance(_RESENDS_PER_S, _RESENDS_BURST))
    round_trip_ms: float | None = None
    #: Nanoseconds from the peer's clock to ours, the same for all its streams.
    clock_offset_ns: int | None = None
    fir_number: int = 0

    def answer(self, fingerprint: str, addresses: tuple[tuple[str, int], ...]) -> str:
        """The SDP answer to `offer`; `fingerprint` is our certificate's."""
        self.answers += 1
        local = Local(
            self.session_id,
            self.answers,
            self.transport.ufrag,
            self.transport.password,
            fingerprint,
            addresses,
            self.subscriber.ssrcs(),
        )
        return build_answer(self.offer, local)


@dataclass(slots=True)
class Peer:
    """A peer, which may have no connection yet. `seated` outlives a connection (page refresh)."""

    id: PeerId
    arrived: int
    version: int = -1
    send: frozenset[SendKind] = frozenset()
    receive: bool = False
    #: Set by the client's media state: a screen that is not shared any more takes no seat.
    shares_screen: bool = True
    pinned: tuple[SourceId, ...] = ()
    spoke_ns: int = 0
    seated: tuple[SourceId | None, ...] = ()
    wanted: int = 0
    told: bool = False
    connection: Connection | None = None

    def kept_by(self, offer: Offer, *, fresh: bool) -> Connection | None:
        """The connection that an offer renegotiates; None when it begins a new one.

        Raises `OfferError` when it names our transport and does not continue our offer.
        """
        connection = self.connection
        if connection is None or fresh or connection.transport.is_over:
            return None
        if offer.fingerprint != connection.transport.remote_fingerprint:
            return None
        check_continues(connection.offer, offer)
        return connection
