"""One peer of a room: its permissions, its transport, what it sends and what it receives."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sfu.control.messages import SendKind
from sfu.ids import PeerId, SourceId
from sfu.router.allowance import Allowance
from sfu.router.downlink import Downlink
from sfu.router.publisher import Publisher
from sfu.router.repairs import Repairs
from sfu.router.subscriber import Subscriber
from sfu.router.uplink import Uplink
from sfu.transport.answer import Local, build_answer
from sfu.transport.description import Offer, check_continues
from sfu.transport.peer import PeerTransport

#: Packets that one peer may ask to have repeated: more is an outage or an attack.
_RESENDS_PER_S = 1000.0
_RESENDS_BURST = 2000.0
#: And those that it is sent again unasked. A good picture on a path that loses a tenth each way
#: needs five a second; a path that loses more because it is full is not to be filled by them.
_UNASKED_PER_S = 10.0
_UNASKED_BURST = 30.0
#: RTCP of one peer. A browser with sixteen seats on a bad network sends some 150 a second: a NACK
#: and a report for each picture, and twenty times transport-wide feedback.
_RTCP_PER_S = 200.0
_RTCP_BURST = 400.0
#: A round trip of a peer of which none was measured yet.
_USUAL_ROUND_TRIP_NS = 80_000_000
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where all peers find us: the certificate's fingerprint and our addresses."""

    fingerprint: str
    addresses: tuple[tuple[str, int], ...]
    tcp_addresses: tuple[tuple[str, int], ...]


@dataclass(slots=True, eq=False)
class Connection:
    """Everything of a peer that ends with its transport."""

    transport: PeerTransport
    offer: Offer
    publisher: Publisher
    subscriber: Subscriber
    uplink: Uplink
    downlink: Downlink
    #: The SSRC that our reports and requests to this peer come from.
    ssrc: int
    session_id: int = field(default_factory=lambda: secrets.randbits(62))
    answers: int = 0
    resends: Allowance = field(default_factory=lambda: Allowance(_RESENDS_PER_S, _RESENDS_BURST))
    unasked: Allowance = field(default_factory=lambda: Allowance(_UNASKED_PER_S, _UNASKED_BURST))
    repairs: Repairs = field(default_factory=Repairs)
    rtcp: Allowance = field(default_factory=lambda: Allowance(_RTCP_PER_S, _RTCP_BURST))
    round_trip_ms: float | None = None
    #: Nanoseconds from the peer's clock to ours, the same for all its streams.
    clock_offset_ns: int | None = None
    fir_number: int = 0
    #: Whether it was told since its last offer that it should offer again.
    asked_to_offer: bool = False
    #: Of how many seats it was told what becomes of their pictures.
    pictures_told: int = 0
    #: The loudest level heard since the last `Flows`, in -dBov.
    loudest: int | None = None

    def answer(self, endpoint: Endpoint, *, saver: bool) -> str:
        """The SDP answer to `offer`."""
        self.answers += 1
        local = Local(
            self.session_id,
            self.answers,
            self.transport.ufrag,
            self.transport.password,
            endpoint.fingerprint,
            endpoint.addresses,
            self.subscriber.ssrcs(),
            self.publisher.formats,
            saver,
            endpoint.tcp_addresses,
        )
        return build_answer(self.offer, local)

    @property
    def round_trip_ns(self) -> int:
        """The newest that is known, or the usual one."""
        if self.downlink.round_trip_ns is not None:
            return self.downlink.round_trip_ns
        if self.round_trip_ms is None:
            return _USUAL_ROUND_TRIP_NS
        return int(self.round_trip_ms * _NS_PER_MS)


@dataclass(slots=True, eq=False)
class Peer:
    """A peer, which may have no connection yet. `seated` outlives a connection (page refresh)."""

    id: PeerId
    arrived: int
    version: int = -1
    send: frozenset[SendKind] = frozenset()
    receive: bool = False
    #: Set by the client's media state: a screen that is not shared any more takes no seat.
    shares_screen: bool = True
    pinned: Sequence[SourceId] = ()
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
