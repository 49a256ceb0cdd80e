"""A room's counters as the control protocol gives them."""

from __future__ import annotations

from collections.abc import Iterator

from sfu.control.messages import LegRow, Statistics, StreamRow, TransportRow
from sfu.forwarder.contract import Forwarder
from sfu.ids import PeerId
from sfu.router.peer import Connection
from sfu.router.room import Room


def read_statistics(room: Room, forwarder: Forwarder, command_id: int) -> Statistics:
    """One row for each transport, stream and leg of a room."""
    connections = [(p.id, p.connection) for p in room.peers.values() if p.connection is not None]
    return Statistics(
        id=command_id,
        transports=tuple(_transport(peer, c, forwarder) for peer, c in connections),
        streams=tuple(row for peer, c in connections for row in _streams(peer, c, forwarder)),
        legs=tuple(row for peer, c in connections for row in _legs(peer, c, forwarder)),
    )


def _transport(peer: PeerId, connection: Connection, forwarder: Forwarder) -> TransportRow:
    counters = forwarder.transport_counters(connection.transport.handle)
    return TransportRow(
        peer=peer,
        state=connection.transport.state,
        received_packets=counters.received_packets,
        received_bytes=counters.received_bytes,
        sent_packets=counters.sent_packets,
        sent_bytes=counters.sent_bytes,
        rtp_sent_packets=counters.rtp_sent_packets,
        round_trip_ms=connection.round_trip_ms,
        estimate_bps=connection.downlink.estimate_bps,
    )


def _streams(peer: PeerId, connection: Connection, forwarder: Forwarder) -> Iterator[StreamRow]:
    for stream in connection.publisher:
        counters = forwarder.stream_counters(stream.handle)
        yield StreamRow(
            peer=peer,
            source=stream.source,
            kind=stream.kind,
            codec=stream.codec,
            packets=counters.packets,
            bytes=counters.bytes,
            lost=counters.lost,
            jitter_ms=counters.jitter * 1000 / stream.format.clock_rate,
            key_frames=counters.key_frames,
            pli_sent=stream.pli_sent,
            nack_sent=stream.nack_sent,
            rid=stream.rid,
            repaired=counters.repaired,
        )


def _legs(peer: PeerId, connection: Connection, forwarder: Forwarder) -> Iterator[LegRow]:
    for leg in connection.subscriber.legs():
        if leg.handle is None:
            continue
        counters = forwarder.leg_counters(leg.handle)
        yield LegRow(
            peer=peer,
            seat=leg.seat,
            kind=leg.kind,
            source=leg.stream.source if leg.stream is not None else None,
            packets=counters.packets,
            bytes=counters.bytes,
            resent=counters.resent,
            fraction_lost=leg.fraction_lost,
            rid=leg.shown.rid if leg.shown is not None else "",
        )
